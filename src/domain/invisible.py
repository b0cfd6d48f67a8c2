"""Where invisible characters belong to the visible text around them.

Joiners choose the form of a letter, selectors a variant of the character before them. Everywhere else an invisible
character only makes two texts look alike.
"""

import re
from collections.abc import Iterator

from domain.characters import has_case, has_hidden, is_hidden, is_letter_or_digit, is_mark, is_virama

_SEQUENCE = re.compile(
    r"\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"  # the flag of a region
    r"|[0-9#*][\ufe0e\ufe0f]\u20e3"  # a keycap
)
_ZERO_WIDTH_JOINER = "\u200d"
_JOINERS = frozenset("\u200c\u200d")
_DIRECTIONS = frozenset("\u200e\u200f\u061c")
_RIGHT_TO_LEFT = re.compile(
    r"[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdcf\ufdf0-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
"""The places that Unicode keeps for right-to-left scripts."""
_CURSIVE = re.compile(
    r"[\u0610-\u061a\u0620-\u085f\u0860-\u08ff\u1807-\u18af\ua840-\ua873\U00010ac0-\U00010aff\U00010b80-\U00010bae"
    r"\U00010d00-\U00010d3f\U00010f30-\U00010fcb\U0001e900-\U0001e95f]"
)
"""Scripts whose letters are connected, from Arabic to Adlam."""
_SPACELESS = re.compile(
    r"[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf]"
)
"""Scripts of South East Asia without spaces between words, such as Khmer, in which people type U+200B between them."""
_HAN = r"\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_SELECTED = re.compile(
    r"[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff][\ufe0e\ufe0f]"
    rf"|[\u1000-\u109f\u2018\u2019\u201c\u201d\u2190-\u2bff\u3001\u3002\ua840-\ua873\uaa60-\uaa7f\uff01-\uff1f"
    rf"\U00010ac0-\U00010aff\U00013000-\U000143ff{_HAN}][\ufe00-\ufe0d]"
    rf"|[{_HAN}][\U000e0100-\U000e01ef]"
    r"|[\u1807\u1820-\u18aa][\u180b-\u180d\u180f]"
)
"""A character with a selector after it: emoji as text or pictures, variants of signs that Unicode lists, those of Han
characters (which tell Japanese names apart), and the forms of Mongolian letters.
"""
_SELECTORS = re.compile(r"[\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180d\u180f]")
_FORMED = re.compile(r"[\ufe0e\ufe0f\u180b-\u180d\u180f]")
"""Selectors after which a joiner may follow."""


def misplaced(text: str) -> Iterator[str]:
    """Every invisible character at a place where it is not allowed. The text is one line without control characters."""
    if not has_hidden(text):
        return
    is_leftward = reads_leftward(text)
    # A well-formed sequence counts as its first character.
    plain = _SEQUENCE.sub(lambda found: found[0][0], text)
    for before, character, after in zip(f" {plain}", plain, f"{plain[1:]} ", strict=False):
        if not is_hidden(character) or (is_leftward and character in _DIRECTIONS):
            continue
        if not _belongs(before, character, after):
            yield character


def reads_leftward(text: str) -> bool:
    """Whether a text has right-to-left letters."""
    return _RIGHT_TO_LEFT.search(text) is not None


def _belongs(before: str, character: str, after: str) -> bool:
    """Whether an invisible character belongs to its neighbours."""
    if character in _JOINERS:
        return _joins(before, character, after)
    if _SELECTORS.match(character):
        return _SELECTED.match(before + character) is not None
    if character == "\u034f":
        # It keeps the order of two marks, as Hebrew needs.
        return is_mark(before) and is_mark(after)
    if character == "\u180e":
        # Mongolian: it sets a vowel apart at the end of a word.
        return _is_cursive(before) and _is_cursive(after)
    return character == "\u200b" and bool(_SPACELESS.match(before) and _SPACELESS.match(after))


def _joins(before: str, joiner: str, after: str) -> bool:
    """Whether a joiner has an effect between these characters; a virama and connected letters need no second one."""
    if before in _JOINERS or after in _JOINERS:
        return False
    if is_virama(before) or (_is_joined(before) and _is_joined(after)):
        return True
    if not (_is_cursive(before) or _is_cursive(after)):
        return False
    return joiner == _ZERO_WIDTH_JOINER or (_is_seen(before) and _is_seen(after))


def _is_joined(character: str) -> bool:
    """Whether a joiner may be next to it. Scripts with capitals have no joiners."""
    return _is_seen(character) and not character.isascii() and not has_case(character)


def _is_seen(character: str) -> bool:
    return not character.isspace() and (_FORMED.match(character) is not None or not is_hidden(character))


def _is_cursive(character: str) -> bool:
    if _CURSIVE.match(character) is None or character.isdecimal():
        return False
    return is_letter_or_digit(character) or is_mark(character) or _FORMED.match(character) is not None
