"""The words of a text as search tokens: one rule for every store. Its Unicode work comes from the package `regex`.

A word is a run of letters and digits with their combining marks. Texts are compared in Unicode's form NFC, without
regard to case. Scripts that are written without spaces have no visible words: their runs become overlapping pairs of
letters, and the last letter alone, so that each letter begins a token.

Every word has a folded form, in which accents and compatibility forms (full width, ligatures, superscripts) are gone,
and digits of all scripts are alike. Folded forms are found; whether a word was also written exactly as it is searched
only decides the order. A symbol that is made of letters (㈱, ㎡) counts as these letters.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from unicodedata import normalize, unidata_version

import regex

from adapters.records.folding import folded
from domain.symbols import letters_in

LETTERS_MAX = 128
"""Longer words count as equal where they begin with the same letters."""
SIZE_MAX = 900_000
"""The bytes of one record's tokens: a `tsvector` holds 1 MB. Only texts made for the purpose come near it."""

KNOWN_MAX, KNOWN_LENGTH_MAX = 8_192, 40
"""How many words outside ASCII are kept with their tokens, and up to which length: they occur again and again."""

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

RULE = f"2 {unidata_version} {regex.__version__}"
"""Identifies the rule. Stored tokens of another rule are rebuilt; count up when the rule changes."""

_SHARED = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")
"""Scripts without spaces that share letters with each other, such as the sign of long vowels in Kana."""
_BROKEN_ANYWHERE = ("SA", "ID", "CJ", "NS", "AK", "AP", "AS")
"""Unicode's classes of letters between which a line may be broken, because no space shows where a word ends."""
_UNBROKEN = (
    "Cham",
    "Grantha",
    "Makasar",
    "Buginese",
    "Khitan_Small_Script",
    "Cuneiform",
    "Egyptian_Hieroglyphs",
    "Anatolian_Hieroglyphs",
)
"""Scripts without spaces of which some letters, or all, are in no such class."""
_SPACED_SCRIPTS = r"[\p{Common}\p{Inherited}\p{Latin}\p{Hangul}]"
"""They have letters of these classes (full width, Korean letters), and spaces."""
_OF_SCRIPTS = "".join(
    [rf"\p{{scx={name}}}" for name in _SHARED] + [rf"\p{{sc={name}}}" for name in _UNBROKEN]
)
_OF_CLASSES = "".join(rf"\p{{lb={name}}}" for name in _BROKEN_ANYWHERE)
_PARTS = r"[\p{L}\p{M}[\p{N}--[\p{Nt=De}\p{Nt=Di}]]]"
_DENSE = rf"[{_PARTS}&&[{_OF_SCRIPTS}[[{_OF_CLASSES}]--{_SPACED_SCRIPTS}]]]"
"""The letters and marks of scripts without spaces, as a set inside a pattern. Their digits stand for themselves, as
Latin ones beside them do.
"""
_IGNORED = regex.compile(r"(?V1)[\p{Default_Ignorable_Code_Point}--\u200b]")
"""Joiners, soft hyphens, selectors, fillers. U+200B is none of them: it marks where a word ends."""
_NO_END = regex.compile(rf"(?V1)(?<={_DENSE})\u200b+(?={_DENSE})")
"""U+200B in a script without spaces, where texts with and without it must be found alike."""
_SYMBOL = regex.compile(r"(?V1)[^\p{L}\p{M}\p{ASCII}]|[\ufdfa\ufdfb]")
"""Perhaps a symbol with letters in it; the last two are letters that are several words."""
_APART = "\x1f"
"""Stands around the letters of a symbol. No part of a text has this character, since white space is removed before."""
_ALL_DENSE = regex.compile(rf"(?V1){_DENSE}+")
_MIDDLE_DOT = regex.compile(r"(?<=l)·(?=l)")
"""The dot of Catalan, col·lega, which many people leave out."""
_APOSTROPHE = regex.compile(r"(?<=\p{L})[\u02bb\u02bc]|[\u02bb\u02bc](?=\p{L})")
"""Apostrophes that are letters, as in пʼять: they part words like the ones that are typed for them."""
_SPACED_PARTS = rf"[[\p{{L}}\p{{N}}\p{{M}}]--{_DENSE}]"
_RUN = regex.compile(
    rf"(?V1)(?P<dense>[[\p{{L}}\p{{N}}]&&{_DENSE}][{_DENSE}\p{{M}}]*)"
    rf"|[[\p{{L}}\p{{N}}]--{_DENSE}]{_SPACED_PARTS}*(?={_APART}(?P<unit>\p{{L}}{_SPACED_PARTS}*))?"
)
"""A run of letters; `unit`: the letters of a symbol that follow it immediately, as in 30㎡."""
_LETTER = regex.compile(r"\X")
_SPACED = str.maketrans({code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)})


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text; of a script without spaces, one or two `letters`."""

    exact: str
    folded: str
    letters: int | None = None


def words_of(text: str) -> list[Word]:
    """The words that a search for this text looks for, in their order."""
    runs = (words for part in text.translate(_SPACED).split() for words in _runs_in(part))
    return [word for words in runs for word in (words if len(words) == 1 else words[:-1])]


def tokens_of(texts: Sequence[str], number: int | None = None) -> list[str]:
    """The distinct tokens of a record under which it is found. The first text is the one that leads."""
    lead, *others = texts
    if all(text.isascii() for text in texts):
        # Most texts are: a table finds their words in a tenth of the time, and none of them needs a folded form.
        leading = _ascii_words(lead)
        tokens = [*(leading | _ascii_words("\n".join(others))), *[LEAD + word for word in leading]]
    else:
        tokens = _bounded(_tokens_of(lead, "\n".join(others)))
    if number is not None:
        tokens.append(f"{NUMBER}{number}")
    return tokens


def _tokens_of(lead: str, others: str) -> Iterator[str]:
    plain, changed = _split(lead)
    leading = plain | dict.fromkeys(word.folded for word in changed)
    more_plain, more_changed = _split(others)
    plain, changed = plain | more_plain, changed | more_changed
    found = dict.fromkeys(word.folded for word in changed)
    yield from plain | found
    yield from [LEAD + word for word in leading]
    yield from [EXACT + word.exact for word in changed]
    yield from [ONLY_FOLDED + word for word in found if word not in plain]


def _split(text: str) -> tuple[dict[str, None], dict[Word, None]]:
    """The distinct words that equal their folded form, and the other ones."""
    plain, changed = dict[str, None](), dict[Word, None]()
    for part in text.translate(_SPACED).split():
        if part.isascii():
            plain[part[:LETTERS_MAX]] = None
            continue
        for word in (word for words in _runs_in(part) for word in words):
            if word.exact == word.folded:
                plain[word.folded] = None
            else:
                changed[word] = None
    return plain, changed


def _ascii_words(text: str) -> dict[str, None]:
    words = dict.fromkeys(text.translate(_SPACED).split())
    if len(text) > LETTERS_MAX and max(map(len, words), default=0) > LETTERS_MAX:
        return dict.fromkeys(word[:LETTERS_MAX] for word in words)
    return words


def _runs_in(part: str) -> Iterable[Sequence[Word]]:
    """The runs of letters in a part of a text without white space, each with its words as they are indexed.

    A run of a script with spaces is one word; before a symbol, it is also one with the symbol's letters. Any other
    consists of its pairs of letters, and then the last letter. A search does not ask for the
    last of several words.
    """
    if part.isascii():
        return ((Word(part[:LETTERS_MAX], part[:LETTERS_MAX]),),)
    return _known_runs(part) if len(part) <= KNOWN_LENGTH_MAX else _found_runs(part)


@lru_cache(KNOWN_MAX)
def _known_runs(part: str) -> tuple[Sequence[Word], ...]:
    return tuple(_found_runs(part))


def _found_runs(part: str) -> Iterator[Sequence[Word]]:
    plain = _spelled(
        normalize("NFC", normalize("NFD", _SYMBOL.sub(_letters_in, _IGNORED.sub("", part))).casefold())
    )
    for run in _RUN.finditer(plain):
        if run["dense"] is None:
            yield (_word(run[0]), _word(run[0] + run["unit"])) if run["unit"] else (_word(run[0]),)
            continue
        letters = _LETTER.findall(run[0])
        is_plain = len(letters) == len(run[0]) and folded(run[0]) == run[0]
        word = _plain_word if is_plain else _word
        yield (*(word(first + second, 2) for first, second in pairwise(letters)), word(letters[-1], 1))


def _spelled(text: str) -> str:
    """The text without signs inside words that are typed or left out at will."""
    if "\u200b" in text:
        text = _NO_END.sub("", text)
    if "·" in text:
        text = _MIDDLE_DOT.sub("", text)
    return _APOSTROPHE.sub(" ", text) if "\u02bc" in text or "\u02bb" in text else text


def _letters_in(found: regex.Match[str]) -> str:
    """A symbol's letters as words of their own, or within the text of a script without spaces."""
    letters = letters_in(found[0]) or found[0]
    return letters if len(letters) == 1 or _ALL_DENSE.fullmatch(letters) else f"{_APART}{letters}{_APART}"


def _plain_word(text: str, letters: int) -> Word:
    return Word(text, text, letters)


@lru_cache(KNOWN_MAX)
def _word(text: str, letters: int | None = None) -> Word:
    return Word(_letter_by_letter(text), _letter_by_letter(folded(text)), letters)


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
