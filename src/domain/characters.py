"""What characters are, for the rules of names and searches: the same with every Python that runs the service.

The Unicode data of a Python is older or newer than what people write. Letters, digits and marks that version 14, which
Python 3.11 has, does not know are listed here up to version 18. Invisible characters are listed completely; any other
character counts as visible, also one that Unicode has not assigned yet, as each year's new emoji are at first.
"""

import re
import unicodedata


def _set_of(ranges: str) -> re.Pattern[str]:
    """A pattern for one of these characters: hexadecimal code points and ranges of them."""
    ends = (one.partition("-") for one in ranges.split())
    parts = (f"{chr(int(first, 16))}-{chr(int(last or first, 16))}" for first, _, last in ends)
    return re.compile(f"[{''.join(parts)}]")


_NONCHARACTERS = "fdd0-fdef " + " ".join(f"{plane:x}fffe-{plane:x}ffff" for plane in range(17))
_HIDDEN = _set_of(
    "ad 34f 61c 115f-1160 17b4-17b5 180b-180f 200b-200f 202a-202e 2060-206f 2800 3164 fe00-fe0f feff ffa0 fff0-fffb "
    f"1bca0-1bca3 1d173-1d17a e0000-e0fff {_NONCHARACTERS}"
)
"""Unicode's Default_Ignorable_Code_Point, which contains reserved places for more, the empty pattern of Braille, the
delimiters of annotations, and noncharacters.
"""
_LATER_LETTERS = _set_of(
    "558 58b-58c 88f c5c cdc 1c89-1c8a 208f 209d-209f a7cb-a7cf a7d2 a7d4 a7da-a7dd a7e2 a7f1 ab6c-ab6d "
    "105c0-105f3 107bb-107bf 10940-10959 10d40-10d65 10d6f-10d85 10ec2-10ec7 10ed9-10eee 1123f-11240 11380-11389 "
    "1138b 1138e 11390-113b5 113b7 113d1 113d3 116d0-116e3 11b0a 11bc0-11be0 11bf0-11bf9 11db0-11ddb 11de0-11de9 "
    "11df1 11f02 11f04-11f10 11f12-11f33 11f50-11f59 1246f 12475-1247f 12550-12686 1342f 13441-13446 13460-143fa "
    "16100-1611d 16130-16139 16d40-16d6c 16d70-16d79 16ea0-16eb8 16ebb-16ed3 16ff2-16ff6 187f8-187ff 18cd6-18cda "
    "18cff 18d09-18d20 18d80-18df2 18e00-19191 191a0-191d2 1b123-1b128 1b132 1b155 1b168 1ccf0-1ccf9 1d2c0-1d2d3 "
    "1d6a6 1df1f-1df81 1df90-1df96 1dfcd-1dfff 1e030-1e06d 1e4d0-1e4eb 1e4f0-1e4f9 1e5d0-1e5ed 1e5f0-1e5fa "
    "1e6c0-1e6de 1e6e0-1e6e2 1e6e4-1e6e5 1e6e7-1e6ed 1e6f0-1e6f4 1e6fe-1e6ff 2b739-2b73f 2b81e 2cea2-2cead "
    "2ebf0-2ee5d 31350-33479 3d000-3fc3f"
)
_LATER_MARKS = _set_of(
    "5c8-5c9 897 b53-b54 cf3 ece 1acf-1af0 10d69-10d6d 10ecb-10ecf 10ef0-10eff 11241 113b8-113c0 113c2 113c5 "
    "113c7-113ca 113cc-113d0 113d2 113e1-113e2 11b60-11b67 11df0 11f00-11f01 11f03 11f34-11f3a 11f3e-11f42 11f5a "
    "13440 13447-13455 1611e-1612f 1d127-1d128 1d250-1d252 1d25b-1d25c 1d25f 1d280-1d281 1e08f 1e4ec-1e4ef "
    "1e5ee-1e5ef 1e6e3 1e6e6 1e6ee-1e6ef 1e6f5"
)
_LATER_CASED = _set_of(
    "1c89-1c8a a7cb-a7cf a7d2 a7d4 a7da-a7dd a7e2 ab6c-ab6d 10d50-10d65 10d70-10d85 16ea0-16eb8 16ebb-16ed3 1d6a6 "
    "1df1f-1df7f 1df90-1df96"
)
_VIRAMA_CLASS = 9
_LATER_VIRAMAS = _set_of("113ce-113d0 11f41-11f42 1612f")


def is_hidden(character: str) -> bool:
    """Whether it is invisible although it is neither white space nor a control character."""
    return _HIDDEN.match(character) is not None


def has_hidden(text: str) -> bool:
    """Whether a text has such a character."""
    return not text.isascii() and _HIDDEN.search(text) is not None


def is_mark(character: str) -> bool:
    """Whether it belongs to the letter before it."""
    return unicodedata.category(character)[0] == "M" or _LATER_MARKS.match(character) is not None


def is_letter_or_digit(character: str) -> bool:
    """Whether it is visible, and a part of words."""
    is_known = unicodedata.category(character)[0] in "LN" or _LATER_LETTERS.match(character) is not None
    return is_known and not is_hidden(character)


def is_visible(character: str) -> bool:
    """Whether it is visible on its own: white space and control characters are not, and marks need a letter."""
    is_blank = character.isspace() or unicodedata.category(character) in ("Cc", "Cs")
    return not is_blank and not is_hidden(character) and not is_mark(character)


def has_case(character: str) -> bool:
    """Whether it is a letter of a script with capitals."""
    if unicodedata.category(character) in ("Lu", "Ll", "Lt") or character.lower() != character.upper():
        return True
    return _LATER_CASED.match(character) is not None


def is_virama(character: str) -> bool:
    """Whether it takes the vowel from the letter before it."""
    is_known = unicodedata.combining(character) == _VIRAMA_CLASS
    return is_known or _LATER_VIRAMAS.match(character) is not None
