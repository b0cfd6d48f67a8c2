"""Symbols that are made of letters and digits: ㎡, ㈱, ™, ½, 🅰. Their letters can be searched for."""

import re
import unicodedata
from functools import lru_cache

from domain.characters import is_letter_or_digit, is_mark

KNOWN_MAX = 2_048
"""How many characters are kept with their letters. Unicode has about 1,500 such symbols."""
_ENCLOSED = re.compile(r"(?:CROSSED )?NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER ([A-Z])")
"""The names of letters in black circles and squares, which Unicode does not decompose."""
_PHRASES = "\ufdfa\ufdfb"
"""Two letters of Arabic that are several words."""


@lru_cache(KNOWN_MAX)
def letters_in(symbol: str) -> str:
    """The letters and digits that a symbol consists of, with spaces in place of all its other characters; "" for
    any other character. A digit in a circle or above the line is no symbol, but a digit; a fraction is a symbol.
    """
    category = unicodedata.category(symbol)
    if category[0] not in "SP" and category != "No" and symbol not in _PHRASES:
        return ""
    enclosed = _ENCLOSED.fullmatch(unicodedata.name(symbol, ""))
    form = enclosed[1] if enclosed else unicodedata.normalize("NFKD", symbol)
    letters = "".join(each if is_letter_or_digit(each) or is_mark(each) else " " for each in form)
    if category == "No" and " " not in letters:
        return ""
    return letters if any(map(is_letter_or_digit, letters)) else ""
