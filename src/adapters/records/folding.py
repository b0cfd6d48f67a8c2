"""The folded form of a word: the letters that are left where people type them without accents, or on another keyboard.

It follows Unicode's compatibility forms and the first level of its collation (DUCET), and Lucene's normalizers for
Arabic and Persian.
"""

# ruff: noqa: RUF001 - many letters look like others

from functools import lru_cache
from unicodedata import lookup, name, normalize, numeric

import regex

KNOWN_MAX = 2_048
"""How many letters and digits are kept with what they count as."""

_DRAWN_OUT = r"[\p{Joining_Type=Join_Causing}&&\p{L}]"
"""Tatweel and its like, which only make a word longer on the page."""
_SCRIPTS = r"\p{Latin}\p{Greek}\p{Cyrillic}\p{Arabic}\p{Hebrew}\p{Syriac}"
"""The scripts whose marks are accents, or points that are often left out. Elsewhere marks are vowels."""
_ACCENTED = regex.compile(
    rf"(?V1)([{_SCRIPTS}\p{{N}}])[\p{{M}}{_DRAWN_OUT}]+|{_DRAWN_OUT}[\p{{M}}{_DRAWN_OUT}]*"
)
_OTHERWISE = regex.compile(rf"(?V1)[[{_SCRIPTS}\p{{Nt=De}}\p{{Nt=Di}}\p{{No}}]--[a-z0-9]]")
"""A letter or digit that may stand for others."""
_VALUES = tuple(rf"(?V1)[\p{{nv={value}}}&&[\p{{Nt=De}}\p{{Nt=Di}}]]" for value in range(10))
_STROKED = r"[\p{Latin}\p{Greek}\p{Cyrillic}]"
_NO_PART_OF_A_WORD = regex.compile(r"(?V1)[^\p{L}\p{N}\p{M}]")

_LIGATURES = "œoe æae ꜳaa ꜵao ꜷau ꜹav ꜻav ꜽay ꝏoo ꝡvy ꜩtz ỻll ȸdb ȹqp ᵺth ʣdz ʦts ʪls ʫlz ϗκαι װוו ױוי ײיי"
"""Letters that are several letters in DUCET, although Unicode does not decompose them; each before what it is."""
_ICELANDIC = "ðd þth"
"""As in passports. DUCET has the first only, but people without this keyboard type th for þ."""
_ARABIC = "ٱا ٲا ٳا ىي یي ےي کك ةه ۃه ہه ەه"
"""Letters that differ by keyboard or by habit. A letter with hamza has been decomposed before."""
_SPELLED = {each[0]: each[1:] for each in f"{_LIGATURES} {_ICELANDIC} {_ARABIC}".split()}


def folded(text: str) -> str:
    """The folded form of a word in lower case; the word itself where nothing would be left of it."""
    bare = _ACCENTED.sub(r"\1", normalize("NFKD", text)).casefold()
    bare = _OTHERWISE.sub(lambda found: _replaced(found[0]), bare)
    return normalize("NFC", _NO_PART_OF_A_WORD.sub("", bare)) or text


@lru_cache(KNOWN_MAX)
def _replaced(character: str) -> str:
    """What a letter or digit counts as."""
    if character.isalpha():
        return _SPELLED.get(character) or _without_stroke(character)
    return _digits_of(character)


def _without_stroke(letter: str) -> str:
    """The letter without what its name says it has: ł is LATIN SMALL LETTER L WITH STROKE. Unicode does
    not decompose such letters.
    """
    if regex.match(_STROKED, letter) is None:
        return letter
    base = name(letter, "").partition(" WITH ")[0].replace("DOTLESS ", "")
    try:
        return lookup(base)
    except KeyError:
        return letter


def _digits_of(numeral: str) -> str:
    """The value of a digit of any script, and of a number in a circle, as digits; else the numeral itself."""
    value = next((str(at) for at, pattern in enumerate(_VALUES) if regex.match(pattern, numeral)), None)
    if value is None and "CIRCLED" in name(numeral, ""):
        return str(int(numeric(numeral)))
    return value or numeral
