"""The rules for names and titles: one line without hidden characters.

Names are compared and listed, so a name must not break the line or change the direction of the text around it. An
invisible character is allowed only where writing needs it: joiners in scripts without capitals and in emoji, selectors
after what has variants, direction marks in names with right-to-left letters, tags in regional flags. Names are
stored without white space at their ends and in Unicode's form NFC, in which a letter has one spelling.

Two names may still look alike: letters of different scripts do (Latin a, Cyrillic а), and all scripts are allowed. Only
new names are checked; stored ones stay as they are and stay readable.
"""  # noqa: RUF002 - the two letters are the example

import re
import unicodedata
from collections.abc import Iterator

from domain.characters import is_hidden, is_letter_or_digit, is_visible
from domain.errors import RuleBroken, Violation
from domain.invisible import misplaced
from domain.storable import require_text
from domain.symbols import letters_in

_LINE_BREAKING = re.compile(r"[\x01-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters (category Cc, such as line feed and escape) and Unicode's own two line breaks; not NUL, which no
text may contain.
"""
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_DIRECTING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""Characters that embed or override a direction, and so change the order of the text after them."""


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
    elif character := next(misplaced(name), ""):
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
    """Whether a text contains a visible letter or digit, perhaps in a symbol, so that there is something to search
    for.
    """
    return any(is_letter_or_digit(character) or letters_in(character) for character in text)


def valid_name(text: str, *, longest: int) -> str:
    """The valid part of a name from an identity provider, "" if there is none: its user cannot correct it at sign-in.

    A valid name is unchanged; any other loses all its invisible characters.
    """
    line = _DIRECTING.sub("", _LINE_BREAKING.sub(" ", _UNSTORABLE.sub("", text)))
    for each in (line, "".join(character for character in line if not is_hidden(character))):
        name = normalized(normalized(each)[:longest])
        if _is_visible(name) and not any(misplaced(name)):
            return name
    return ""


def _shown(character: str) -> str:
    return f"U+{ord(character):04X}"


def _is_visible(name: str) -> bool:
    return any(map(is_visible, name))
