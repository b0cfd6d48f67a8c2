"""The words of a text as search tokens: one rule for every store. Its Unicode work comes from the package `regex`.

A word is a run of letters and digits with their combining marks. Texts are compared in Unicode's form NFC, without
regard to case. Scripts that are written without spaces have no visible words: their runs become overlapping pairs of
letters, and the last letter alone, so that each letter begins a token.

Every word has a folded form, in which accents and compatibility forms (full width, ligatures, superscripts) are gone.
Folded forms are found; whether a word was also written exactly as it is searched only decides the order.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from unicodedata import normalize, unidata_version

import regex

LETTERS_MAX = 128
"""Longer words count as equal where they begin with the same letters."""
SIZE_MAX = 900_000
"""The bytes of one record's tokens: a `tsvector` holds 1 MB. Only texts made for the purpose come near it."""

LEAD = "«"
"""Precedes a word of the first text field, the title or the name."""
EXACT = "≡"
"""Precedes a word as it was written, where it differs from its folded form."""
ONLY_FOLDED = "≈"
"""Precedes a folded form that was written in no text of the record."""
NUMBER = "№"
"""Precedes a display number."""
_FURTHER = "·"
"""Precedes a letter once for each mark that belongs to it, so that no prefix ends between a letter and its marks."""

RULE = f"1 {unidata_version} {regex.__version__}"
"""Identifies the rule. Stored tokens of another rule are rebuilt; count up when the rule changes."""

_WITHOUT_SPACES = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")
_SCRIPTS = "".join(rf"\p{{scx={script}}}" for script in _WITHOUT_SPACES)
_DENSE = rf"[[\p{{L}}\p{{N}}\p{{M}}]&&[{_SCRIPTS}]]"
"""The letters, digits and marks of scripts without spaces, as a set inside a pattern."""
_IGNORED = regex.compile(
    rf"(?V1)[\p{{Default_Ignorable_Code_Point}}--\u200b]|(?<={_DENSE})\u200b+(?={_DENSE})"
)
"""Joiners, soft hyphens, selectors, fillers; between letters of a script without spaces also U+200B, a line break."""
_RUN = regex.compile(
    rf"(?V1)(?P<dense>[[\p{{L}}\p{{N}}]&&{_DENSE}][{_DENSE}\p{{M}}]*)"
    rf"|(?P<spaced>[[\p{{L}}\p{{N}}]--{_DENSE}][[\p{{L}}\p{{N}}\p{{M}}]--{_DENSE}]*)"
)
_LETTER = regex.compile(r"\X")
_ACCENTED = regex.compile(r"(?V1)([\p{Latin}\p{Greek}\p{Cyrillic}\p{Arabic}\p{Hebrew}\p{N}])\p{M}+")
"""Letters of the scripts whose marks are accents, or points that are often left out. Elsewhere marks are vowels."""
_NO_PART_OF_A_WORD = regex.compile(r"(?V1)[^\p{L}\p{N}\p{M}]")
_SPACED = str.maketrans({code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)})


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text; of a script without spaces, one or two `letters`."""

    exact: str
    folded: str
    letters: int | None = None


def words_of(text: str) -> list[Word]:
    """The words that a search for this text looks for, in their order."""
    if text.isascii():
        return [Word(word, word) for word in _ascii_words(text)]
    return [
        _word(part, letters=min(len(parts), 2) if is_dense else None)
        for parts, is_dense in _parts_of(text)
        for part in (parts if len(parts) == 1 else parts[:-1])
    ]


def tokens_of(texts: Sequence[str], number: int | None = None) -> list[str]:
    """The distinct tokens of a record under which it is found. The first text is the one that leads."""
    lead, *others = texts
    if all(text.isascii() for text in texts):
        # Most texts are: a table finds their words in a tenth of the time, and none of them needs a folded form.
        leading = dict.fromkeys(_ascii_words(lead))
        others_too = leading | dict.fromkeys(_ascii_words("\n".join(others)))
        tokens = [*others_too, *[LEAD + word for word in leading]]
    else:
        tokens = _bounded(_tokens_of(lead, "\n".join(others)))
    if number is not None:
        tokens.append(f"{NUMBER}{number}")
    return tokens


def _tokens_of(lead: str, others: str) -> Iterator[str]:
    leading = list(_indexed(lead))
    words = dict.fromkeys((*leading, *_indexed(others)))
    as_written = {word.folded for word in words if word.exact == word.folded}
    folded = dict.fromkeys(word.folded for word in words)
    yield from folded
    yield from dict.fromkeys(LEAD + word.folded for word in leading)
    yield from (EXACT + word.exact for word in words if word.exact != word.folded)
    yield from (ONLY_FOLDED + form for form in folded if form not in as_written)


def _indexed(text: str) -> Iterable[Word]:
    if text.isascii():
        return [Word(word, word) for word in _ascii_words(text)]
    return [_word(part) for parts, _ in _parts_of(text) for part in parts]


def _ascii_words(text: str) -> list[str]:
    words = text.translate(_SPACED).split()
    return [word[:LETTERS_MAX] for word in words] if len(text) > LETTERS_MAX else words


def _parts_of(text: str) -> Iterator[tuple[list[str], bool]]:
    """The runs of letters, each with its parts as they are indexed, and whether its script has no spaces.

    A run of a script with spaces is one part. Other runs are their pairs of letters, then the last letter.
    """
    plain = normalize("NFC", normalize("NFD", _IGNORED.sub("", text)).casefold())
    for run in _RUN.finditer(plain):
        if run["dense"] is None:
            yield [run[0]], False
        else:
            letters = _LETTER.findall(run[0])
            pairs = [first + second for first, second in pairwise(letters)]
            yield [*pairs, letters[-1]], True


@lru_cache(4_096)
def _word(text: str, *, letters: int | None = None) -> Word:
    if text.isascii():
        return Word(text[:LETTERS_MAX], text[:LETTERS_MAX])
    return Word(_letter_by_letter(text), _letter_by_letter(_folded(text)), letters)


def _folded(text: str) -> str:
    bare = _ACCENTED.sub(r"\1", normalize("NFKD", text)).casefold()
    return normalize("NFC", _NO_PART_OF_A_WORD.sub("", bare)) or text


def _letter_by_letter(text: str) -> str:
    letters = _LETTER.findall(text[:LETTERS_MAX])
    return "".join(_FURTHER * (len(letter) - 1) + letter for letter in letters)


def _bounded(tokens: Iterable[str]) -> list[str]:
    kept, size = [], 0
    for token in tokens:
        size += len(token.encode())
        if size > SIZE_MAX:
            break
        kept.append(token)
    return kept
