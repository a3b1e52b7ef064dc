"""Tokenizers: characters, poems or pixels <-> token ids.

Each has `vocab_size` (V), `symbols` (a short string per token, for display), `encode` and `decode`. None of them is trained
(there are no merged subwords), so that likelihoods can be compared with published numbers character by character.
"""

import time
import unicodedata
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from genmodels.hanzi import SIMPLIFIED
from genmodels.messages import Message


class CharacterTokenizer:
    """One token per character.

    Arguments:
        alphabet: all characters, each once, such as "\\n !abc".
    """

    END: int | None = None  # no token ends a text

    def __init__(self, alphabet: str):
        if not isinstance(alphabet, str) or not alphabet or len(set(alphabet)) != len(alphabet):
            raise ValueError("alphabet must be a non-empty text without repeated characters.")
        self.symbols = list(alphabet)
        self.vocab_size = len(self.symbols)
        self.token_id = {c: i for i, c in enumerate(self.symbols)}
        self.start = [self.token_id.get("\n", 0)]  # context of the first character of a text

    def fold(self, text: str) -> str:
        """The text in this alphabet: accents and typographic marks become plain characters, the rest is left out."""
        text = text.replace("\r\n", "\n")
        return "".join(c if c in self.token_id else self._plain(c) for c in text)

    def _plain(self, c: str) -> str:
        """Characters of the alphabet in place of one that it lacks; may be empty."""
        if c in _REPLACEMENTS:
            plain = _REPLACEMENTS[c]
        else:
            plain = "".join(p for p in unicodedata.normalize("NFKD", c) if not unicodedata.combining(p))
        return "".join(p for p in plain if p in self.token_id)

    def encode(self, text: str) -> list[int]:
        """Text -> list of token ids. Characters outside the alphabet are folded, see `fold`."""
        return [self.token_id[c] for c in self.fold(text)]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.symbols[i] for i in ids)

    def encode_continuation(self, text: str, prompt: str) -> tuple[list[int], list[int]]:
        """(ids of the prompt, ids of the text). The text is what is to be scored; an empty prompt becomes `start`."""
        return self.encode(prompt) or list(self.start), self.encode(text)


_REPLACEMENTS = {  # where Unicode's compatibility decomposition (NFKD) does not yield plain characters
    "‘": "'",
    "’": "'",
    '"': "'",
    "“": "'",
    "”": "'",
    "–": "-",
    "—": "--",
    "…": "...",
    "\t": " ",
    "\r": "\n",
    "(": ",",
    ")": ",",
}

FORMS = {"五绝": (4, 5), "五律": (8, 5), "七绝": (4, 7), "七律": (8, 7)}  # form: (lines, characters per line)


class PoemTokenizer:
    """Regular verse, one token per character, conditioned on form, title and author.

    A poem's text is "form|title|author|body", where the body consists of couplets "first line，second line。"; title and
    author may be empty. As tokens: the form (one token), the title, a bar, the author, a bar, the body, the end token.

    Arguments:
        alphabet: the characters of titles, authors and bodies, each once.
    """

    UNKNOWN, END, BAR = 0, 1, 2

    def __init__(self, alphabet: str):
        special = "□\n|"  # UNKNOWN, END, BAR
        if (
            not isinstance(alphabet, str)
            or not {"，", "。"} <= set(alphabet)
            or len(set(special + alphabet)) != 3 + len(alphabet)
        ):
            raise ValueError(
                "alphabet must be a text with ， and 。, without □, | and new lines, and without repeated characters."
            )
        self.symbols = [*special, *FORMS, *alphabet]
        self.vocab_size = len(self.symbols)
        self.token_id = {s: i for i, s in enumerate(self.symbols)}
        self.start = [self.token_id["七绝"], self.BAR, self.BAR]
        self.marks = [self.token_id["，"], self.token_id["。"]]  # punctuation, alternating at the ends of lines
        self.hanzi = torch.tensor(
            [len(s) == 1 and "\u4e00" <= s <= "\u9fff" for s in self.symbols]
        )  # (V,): is a Chinese character

    def simplify(self, text: str) -> str:
        """The text with simplified characters in place of the traditional ones that the alphabet lacks: 靜 becomes 静.

        What reads a text does this by itself; compare the result with the text to say which characters were read as others.
        """
        return "".join(c if c in self.token_id else self._simplified(c) for c in text)

    def _simplified(self, c: str) -> str:
        simplified = SIMPLIFIED.get(c, c)
        return simplified if simplified in self.token_id else c

    def encode(self, text: str) -> list[int]:
        """A poem's text, or a beginning of it that includes the form and its bar -> list of token ids.

        Traditional characters are simplified; all others outside the alphabet become UNKNOWN.
        """
        form, bar, remainder = text.partition("|")
        if form not in FORMS or not bar:
            raise ValueError(
                Message(
                    "A poem must begin with its form and a bar, such as 七绝|; the forms are {forms}.", forms=", ".join(FORMS)
                )
            )
        if remainder.count("|") > 2:
            raise ValueError(Message("A poem has at most three bars: form|title|author|body."))
        return [self.token_id[form], *self._encode_characters(remainder)]

    def _encode_characters(self, text: str) -> list[int]:
        """A final new line is the end token; all others are dropped."""
        ids = [self.token_id.get(c, self.UNKNOWN) for c in self.simplify(text.replace("\n", ""))]
        if text.endswith("\n"):
            ids.append(self.END)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        symbols = [self.symbols[i] for i in ids]
        return "".join(f"{symbol}|" if symbol in FORMS else symbol for symbol in symbols)

    def encode_continuation(self, text: str, prompt: str) -> tuple[list[int], list[int]]:
        """(ids of the prompt, ids of the text). Without a prompt the text must be a whole poem, whose form is the prompt."""
        if prompt:
            return self.encode(prompt), self._encode_characters(text)
        ids = self.encode(text)
        return ids[:1], ids[1:]

    def allowed_mask(self, form: str, position: int, forced: str | None = None) -> Tensor:
        """(V,) booleans: the tokens that the form allows at a position of the body, 0 being its first character.

        forced: the character that must begin this line, or None.
        """
        lines, length = FORMS[form]
        line, column = divmod(position, length + 1)
        allowed = torch.zeros(self.vocab_size, dtype=torch.bool)
        if line >= lines:
            allowed[self.END] = True
        elif column == length:
            allowed[self.marks[line % 2]] = True
        elif column == 0 and forced:
            allowed[self.token_id[forced]] = True
        else:
            allowed |= self.hanzi
        return allowed


class PixelTokenizer:
    """The 8-bit values of a grey picture in raster order, preceded by a token for its class.

    Arguments:
        size: height and width of the picture.
        classes: number of classes; one more token stands for "no class". It means something only to a model that was trained
            with it: `train.transformer` gives every picture its class, and `PixelTransformer` sums over the classes instead.
        levels: number of grey levels.
    """

    def __init__(self, size: int = 28, classes: int = 10, levels: int = 256):
        self.side = size
        self.classes = classes
        self.levels = levels
        self.vocab_size = levels + classes + 1
        self.symbols = [*map(str, range(levels)), *(f"class {c}" for c in range(classes)), "no class"]

    def encode(self, x: Tensor, y: Tensor) -> Tensor:
        """Pictures (B, 1, H, W) in [0, 1] and classes (B,), -1 for none -> token ids (B, 1 + HW)."""
        values = (x * (self.levels - 1)).round().long().flatten(1)
        label = torch.where(y < 0, self.classes, y) + self.levels
        return torch.cat([label[:, None], values], 1)

    def decode(self, ids: Tensor) -> Tensor:
        """Token ids (B, HW), without that of the class -> pictures (B, 1, H, W) in [0, 1]."""
        return ids.view(-1, 1, self.side, self.side).float() / (self.levels - 1)


def batches(steps: Iterable, seconds: float = 0.04) -> Iterator[list]:
    """Lists of the steps of some seconds of computing, the first step alone: one message per step would cost more than it.

    Seconds in which the thread waits for others do not count: on a busy server each step would be a message.
    """
    batch, deadline = [], 0.0
    for step in steps:
        batch.append(step)
        if time.thread_time() >= deadline:
            yield batch
            batch, deadline = [], time.thread_time() + seconds
    if batch:
        yield batch
