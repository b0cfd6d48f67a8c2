"""What a name is: one line that people can see, and in which nothing is hidden.

Names are compared and listed, so nothing in one may break the line or turn what stands around it, and what cannot be
seen belongs only where writing needs it: joiners within scripts without capitals and within emoji, selectors of style
after symbols, marks of direction in names of right-to-left letters, tags in the flags of regions. Names are kept
without white space at their ends, in Unicode's form NFC, in which a letter has one spelling.

This is not the promise that no two names look alike: letters of different scripts may (Latin a, Cyrillic а), and all
scripts are welcome. Only names that somebody gives are looked at: those that are kept already stay as they are, and
stay readable.
"""  # noqa: RUF002 - the two letters are the example

import re
import unicodedata
from collections.abc import Iterator

from domain.errors import RuleBroken, Violation
from domain.storable import require_text

_LINE_BREAKING = re.compile(r"[\x01-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters (category Cc), line feed and escape among them, and Unicode's own two line breaks; without NUL,
which no text may hold.
"""
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_TURNING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""What embeds or overrides a direction, and so changes the order of all that follows it on the page."""
_BLANK = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    r"\U000e0000-\U000e0fff]"
)
"""What shows nothing although its category is not Cf: fillers, selectors of variants, an empty pattern, and what
Unicode sets aside for more of them.
"""
_SHAPED = re.compile(r"[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")
"""Of category Cf, and yet signs of numbers and verses that can be seen."""
_SEQUENCE = re.compile(
    r"\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"  # the flag of a region
    r"|[0-9#*][\ufe0e\ufe0f]\u20e3"  # a keycap
)
_JOINERS, _STYLES, _DIRECTIONS = (
    frozenset("\u200c\u200d"),
    frozenset("\ufe0e\ufe0f"),
    frozenset("\u200e\u200f\u061c"),
)
_SYMBOLS_BESIDE = frozenset("\u203c\u2049\u2139\u3030")
"""What has a style as emoji have, and is a letter or punctuation by category."""


def require_name(text: str, pointer: str, *, longest: int) -> str:
    """The name as it is kept; its length counts as it is kept. Raises RuleBroken with the pointer, saying which kind
    of character does not belong.
    """
    name = require_text(spelt(text), pointer, shortest=1, longest=longest)
    require_one_line(name, pointer)
    if not _is_visible(name):
        raise RuleBroken(
            "Nobody could see this name.",
            violations=[
                Violation(pointer, "has only characters that cannot be seen; write something visible")
            ],
        )
    for character in _misplaced(name):
        message = f"must not hold what cannot be seen; take out {_shown(character)}"
        raise RuleBroken("Something is hidden in this name.", violations=[Violation(pointer, message)])
    return name


def spelt(name: str) -> str:
    """The name in the spelling in which names are kept and compared."""
    return unicodedata.normalize("NFC", name).strip()


def require_one_line(text: str, pointer: str) -> str:
    """The text, where it stands on one line and leaves what is around it alone. Raises RuleBroken with the pointer."""
    if violations := list(_one_line_violations(text, pointer)):
        raise RuleBroken("Names and titles are one line of plain characters.", violations=violations)
    return text


def shown_name(text: str, *, longest: int) -> str:
    """What can be kept of a name that somebody else vouches for, "" for nothing: who bears it cannot mend it here.

    It stays as it is or, where something in it does not belong, loses all that cannot be seen.
    """
    line = _TURNING.sub("", _LINE_BREAKING.sub(" ", _UNSTORABLE.sub("", text)))
    for each in (line, "".join(character for character in line if not _is_hidden(character))):
        name = spelt(spelt(each)[:longest])
        if _is_visible(name) and not any(_misplaced(name)):
            return name
    return ""


def _one_line_violations(text: str, pointer: str) -> Iterator[Violation]:
    if found := _LINE_BREAKING.search(text):
        yield Violation(pointer, f"must be one line without control characters; take out {_shown(found[0])}")
    if found := _TURNING.search(text):
        yield Violation(pointer, f"must not change the direction of writing; take out {_shown(found[0])}")


def _shown(character: str) -> str:
    return f"U+{ord(character):04X}"


def _is_visible(name: str) -> bool:
    """Whether something has a shape of its own: spaces have none, and marks need a letter."""
    return any(unicodedata.category(each)[0] not in "ZCM" and not _is_hidden(each) for each in name)


def _is_hidden(character: str) -> bool:
    is_format = unicodedata.category(character) == "Cf" and not _SHAPED.match(character)
    return is_format or _BLANK.match(character) is not None


def _misplaced(name: str) -> Iterator[str]:
    """Each character that cannot be seen and does not belong where it stands."""
    is_right_to_left = any(map(_reads_leftward, name))
    # What is well formed as a whole counts as its first character.
    plain = _SEQUENCE.sub(lambda found: found[0][0], name)
    for before, character, after in zip(f" {plain}", plain, f"{plain[1:]} ", strict=False):
        if not _is_hidden(character) or (is_right_to_left and character in _DIRECTIONS):
            continue
        is_joining = character in _JOINERS and _is_joined(before) and _is_joined(after)
        if not is_joining and not (character in _STYLES and _has_style(before)):
            yield character


def _reads_leftward(character: str) -> bool:
    """Whether it is a letter of a script from right to left; two of the marks of direction are of its class, too."""
    return unicodedata.bidirectional(character) in ("R", "AL") and character not in _DIRECTIONS


def _is_joined(character: str) -> bool:
    """Whether a joiner may stand beside it. What knows capitals is never joined."""
    if character.isascii() or character.isspace() or character.lower() != character.upper():
        return False
    return character in _STYLES or not _is_hidden(character)


def _has_style(character: str) -> bool:
    is_symbol = unicodedata.category(character)[0] == "S" and not character.isascii()
    return is_symbol or character in _SYMBOLS_BESIDE
