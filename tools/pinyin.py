"""The readings that the poems tool shows above characters: `python tools/pinyin.py` writes genmodels/pinyin.json.

Today's Mandarin, by pypinyin 0.55.0 (MIT), whose data are Unicode's and those of dictionaries; of several readings the most
common one. Of every character that the model of Tang poems can write.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from pypinyin import pinyin

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import genmodels as gm  # noqa: E402


def main() -> None:
    groups = defaultdict(list)
    for c in sorted(gm.load("transformer-tang").tokenizer.symbols):
        if readings := len(c) == 1 and pinyin(c, errors="ignore"):
            groups[readings[0][0]].append(c)
    lines = (f'{json.dumps(reading, ensure_ascii=False)}: "{"".join(groups[reading])}"' for reading in sorted(groups))
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (ROOT / "genmodels" / "pinyin.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
