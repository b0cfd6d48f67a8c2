"""The rules for names and titles: one line without hidden characters.

Names are compared and listed, so a name must not break the line or change the direction of the text around it. An
invisible character is allowed only where writing needs it: joiners within scripts without capitals and within emoji,
style selectors after symbols, direction marks in names with right-to-left letters, tags in regional flags. Names are
stored without white space at their ends and in Unicode's form NFC, in which a letter has one spelling.

Two names may still look alike: letters of different scripts do (Latin a, Cyrillic а), and all scripts are allowed. Only
new names are checked; stored ones stay as they are and stay readable.
"""  # noqa: RUF002 - the two letters are the example

import re
import unicodedata
from collections.abc import Iterator

from domain.errors import RuleBroken, Violation
from domain.storable import require_text

_LINE_BREAKING = re.compile(r"[\x01-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters (category Cc, such as line feed and escape) and Unicode's own two line breaks; not NUL, which no
text may contain.
"""
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_DIRECTING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""Characters that embed or override a direction, and so change the order of the text after them."""
_BLANK = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    r"\U000e0000-\U000e0fff]"
)
"""Invisible characters whose category is not Cf: fillers, variant selectors, an empty pattern, and code points that
Unicode reserves for more of them.
"""
_VISIBLE_FORMATS = re.compile(r"[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")
"""Visible characters of category Cf: signs of numbers and verses."""
_SEQUENCE = re.compile(
    r"\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"  # the flag of a region
    r"|[0-9#*][\ufe0e\ufe0f]\u20e3"  # a keycap
)
_JOINERS, _STYLES, _DIRECTIONS = (
    frozenset("\u200c\u200d"),
    frozenset("\ufe0e\ufe0f"),
    frozenset("\u200e\u200f\u061c"),
)
_STYLED_BESIDE_SYMBOLS = frozenset("\u203c\u2049\u2139\u3030")
"""Characters that take a style selector, as emoji do, although their category is letter or punctuation."""


def require_name(text: str, pointer: str, *, longest: int) -> str:
    """The name as it is stored, which is also what its length counts. Raises RuleBroken with the pointer and the first
    character that is not allowed.
    """
    name = require_text(normalized(text), pointer, shortest=1, longest=longest)
    if violations := list(name_violations(name, pointer)):
        raise RuleBroken(
            "Names and titles must be one visible line without control characters.", violations=violations
        )
    return name


def name_violations(name: str, pointer: str) -> Iterator[Violation]:
    """The violations of a name that is not empty, each kind with the first character that is not allowed."""
    breaking, directing = _LINE_BREAKING.search(name), _DIRECTING.search(name)
    if breaking:
        yield Violation(pointer, f"must be one line without control characters; remove {_shown(breaking[0])}")
    if directing:
        yield Violation(pointer, f"must not change the direction of writing; remove {_shown(directing[0])}")
    if breaking or directing:
        return
    if not _is_visible(name):
        yield Violation(pointer, "contains only invisible characters; use at least one visible character")
    elif character := next(_misplaced(name), ""):
        yield Violation(
            pointer,
            f"must not contain invisible or bidirectional control characters; remove {_shown(character)}",
        )


def normalized(name: str) -> str:
    """The name in the form in which names are stored and compared."""
    return unicodedata.normalize("NFC", name).strip()


def name_key(name: str) -> str:
    """What two names have in common that count as the same: they differ in case or spelling (NFC, NFD) at most."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()).strip()


def has_word(text: str) -> bool:
    """Whether a text contains a visible letter or digit, so that there is something to search for."""
    return any(unicodedata.category(each)[0] in "LN" and not _is_hidden(each) for each in text)


def valid_name(text: str, *, longest: int) -> str:
    """The valid part of a name from an identity provider, "" if there is none: its user cannot correct it at sign-in.

    A valid name is unchanged; any other loses all its invisible characters.
    """
    line = _DIRECTING.sub("", _LINE_BREAKING.sub(" ", _UNSTORABLE.sub("", text)))
    for each in (line, "".join(character for character in line if not _is_hidden(character))):
        name = normalized(normalized(each)[:longest])
        if _is_visible(name) and not any(_misplaced(name)):
            return name
    return ""


def _shown(character: str) -> str:
    return f"U+{ord(character):04X}"


def _is_visible(name: str) -> bool:
    """Whether a character is visible on its own: spaces are not, and marks need a letter."""
    return any(unicodedata.category(each)[0] not in "ZCM" and not _is_hidden(each) for each in name)


def _is_hidden(character: str) -> bool:
    is_format = unicodedata.category(character) == "Cf" and not _VISIBLE_FORMATS.match(character)
    return is_format or _BLANK.match(character) is not None


def _misplaced(name: str) -> Iterator[str]:
    """Every invisible character at a place where it is not allowed."""
    if name.isascii():
        # Most names are, and ASCII has no invisible characters except the control characters, which break lines.
        return
    reads_leftward = any(map(_is_right_to_left, name))
    # A well-formed sequence counts as its first character.
    plain = _SEQUENCE.sub(lambda found: found[0][0], name)
    for before, character, after in zip(f" {plain}", plain, f"{plain[1:]} ", strict=False):
        if not _is_hidden(character) or (reads_leftward and character in _DIRECTIONS):
            continue
        is_joining = character in _JOINERS and _is_joined(before) and _is_joined(after)
        if not is_joining and not (character in _STYLES and _has_style(before)):
            yield character


def _is_right_to_left(character: str) -> bool:
    """Whether it is a letter of a right-to-left script; two of the direction marks have the same class."""
    return unicodedata.bidirectional(character) in ("R", "AL") and character not in _DIRECTIONS


def _is_joined(character: str) -> bool:
    """Whether a joiner may be next to it. Scripts with capitals have no joiners."""
    if character.isascii() or character.isspace() or character.lower() != character.upper():
        return False
    return character in _STYLES or not _is_hidden(character)


def _has_style(character: str) -> bool:
    is_symbol = unicodedata.category(character)[0] == "S" and not character.isascii()
    return is_symbol or character in _STYLED_BESIDE_SYMBOLS
