"""What a sequence is made of: characters, poems or pixels <-> whole numbers.

Each alphabet has `size` (V, how many tokens), `symbols` (one short string a token, to show), and turns its kind of thing into
numbers and back. None of them learns anything: a text in print can be compared character by character.
"""

import unicodedata
from collections.abc import Iterable

import torch
from torch import Tensor


class Characters:
    """One token a character.

    Arguments:
        alphabet: the characters, each once, such as "\\n !abc".
    """

    def __init__(self, alphabet: str):
        if not isinstance(alphabet, str) or not alphabet or len(set(alphabet)) != len(alphabet):
            raise ValueError("alphabet must be a text in which no character comes twice.")
        self.symbols = list(alphabet)
        self.size = len(self.symbols)
        self.number = {c: i for i, c in enumerate(self.symbols)}
        self.start = [self.number.get("\n", 0)]  # what stands before an empty text

    def fold(self, text: str) -> str:
        """The text in this alphabet's characters: accents and typographic marks become plain ones, the rest is left out."""
        return "".join(p for c in text.replace("\r\n", "\n") for p in (c if c in self.number else self._plain(c)))

    def _plain(self, c):
        c = _PLAIN.get(c) or "".join(p for p in unicodedata.normalize("NFKD", c) if not unicodedata.combining(p))
        return [p for p in c if p in self.number]

    def encode(self, text: str) -> list[int]:
        """Text -> list of token numbers. What the alphabet lacks is folded, see `fold`."""
        return [self.number[c] for c in self.fold(text)]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(self.symbols[i] for i in ids)

    def part(self, text: str, prompt: str) -> tuple[list[int], list[int]]:
        """(tokens before, tokens of the text): what is to be scored, and what stands before it."""
        return self.encode(prompt) or list(self.start), self.encode(text)


_PLAIN = {  # what Unicode's own rules do not make plain
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

FORMS = {"五绝": (4, 5), "五律": (8, 5), "七绝": (4, 7), "七律": (8, 7)}  # a form: (lines, characters a line)


class Poems:
    """Regular verse, one token a character, told beforehand its form, title and author.

    A poem's text is "form|title|author|body", the body of couplets "first line，second line。"; title and author may be
    empty. As tokens: the form (one token), the title, a bar, the author, a bar, the body, the end.

    Arguments:
        alphabet: the characters that may stand in title, author and body, each once.
    """

    UNKNOWN, END, BAR = 0, 1, 2

    def __init__(self, alphabet: str):
        own = "□\n|"
        if not isinstance(alphabet, str) or not {"，", "。"} <= set(alphabet) or len(set(own + alphabet)) != 3 + len(alphabet):
            raise ValueError("alphabet must be a text with ， and 。 and without □, | and new line; no character comes twice.")
        self.symbols = [*own, *FORMS, *alphabet]
        self.size = len(self.symbols)
        self.number = {s: i for i, s in enumerate(self.symbols)}
        self.start = [self.number["七绝"], self.BAR, self.BAR]
        self.marks = [self.number["，"], self.number["。"]]
        self.first = 3 + len(FORMS)  # tokens from here on are characters
        self.hanzi = torch.tensor([len(s) == 1 and "\u4e00" <= s <= "\u9fff" for s in self.symbols])  # (V,)

    def encode(self, text: str) -> list[int]:
        """A poem's text, or a beginning of it with the form's bar -> list of token numbers. Unknown characters become one."""
        form, bar, rest = text.partition("|")
        if form not in FORMS or not bar:
            raise ValueError(f"A poem must begin with its form and a bar, such as 七绝|: one of {', '.join(FORMS)}.")
        if rest.count("|") > 2:
            raise ValueError("A poem has three bars: form|title|author|body.")
        return [self.number[form], *self._characters(rest)]

    def _characters(self, text):
        """A new line is the end, and only at the end."""
        plain = text.replace("\n", "") + "\n" * text.endswith("\n")
        return [self.UNKNOWN if c == "□" else self.number.get(c, self.UNKNOWN) for c in plain]

    def decode(self, ids: Iterable[int]) -> str:
        words = [self.symbols[i] for i in ids]
        return "".join(f"{w}|" if w in FORMS else w for w in words)

    def part(self, text: str, prompt: str) -> tuple[list[int], list[int]]:
        """(tokens before, tokens of the text). After a prompt the text is what follows it, else a whole poem."""
        if prompt:
            return self.encode(prompt), self._characters(text)
        ids = self.encode(text)
        return ids[:1], ids[1:]

    def mask(self, form: str, at: int, forced: str | None = None) -> Tensor:
        """Which tokens may stand at place `at` (0 is the first) of a body of this form: (V,) True where allowed.

        forced: the character that must begin this line, or None.
        """
        lines, length = FORMS[form]
        line, place = divmod(at, length + 1)
        allowed = torch.zeros(self.size, dtype=torch.bool)
        if line >= lines:
            allowed[self.END] = True
        elif place == length:
            allowed[self.marks[line % 2]] = True
        elif place == 0 and forced:
            allowed[self.number[forced]] = True
        else:
            allowed |= self.hanzi
        return allowed


class Pixels:
    """The 8-bit values of a grey picture in raster order, after one token for its class.

    Arguments:
        size: height and width of the picture.
        classes: number of classes; one more token says that the class is open.
        levels: of grey.
    """

    def __init__(self, size: int = 28, classes: int = 10, levels: int = 256):
        self.side, self.classes, self.levels = size, classes, levels
        self.size = levels + classes + 1
        self.symbols = [*map(str, range(levels)), *(f"class {c}" for c in range(classes)), "class open"]

    def encode(self, x: Tensor, y: Tensor) -> Tensor:
        """Pictures (B, 1, H, W) in [0, 1] and classes (B,), -1 where open -> tokens (B, 1 + HW)."""
        values = (x * (self.levels - 1)).round().long().flatten(1)
        label = torch.where(y < 0, self.classes, y) + self.levels
        return torch.cat([label[:, None], values], 1)

    def decode(self, ids: Tensor) -> Tensor:
        """Tokens (B, HW) without the class -> pictures (B, 1, H, W) in [0, 1]."""
        return ids.view(-1, 1, self.side, self.side).float() / (self.levels - 1)
