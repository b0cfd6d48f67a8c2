"""What a name is: one line that people can see, and tell from every other.

Names are compared and listed, so nothing in one may hide, break the line or turn what stands around it. They are kept
in Unicode's form NFC, in which a letter has one spelling. Only names that somebody gives are looked at: those that are
kept already stay as they are, and stay readable.
"""

import re
import unicodedata
from collections.abc import Iterator

from domain.errors import Fault, RuleBroken
from domain.storable import require_text

_LINE_BREAKING = re.compile(r"[\x01-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters (category Cc), line feed and escape among them, and Unicode's own two line breaks; without NUL,
which no text may hold.
"""
_TURNING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""What embeds or overrides a direction, and so changes the order of all that follows it on the page."""
_BLANK_LETTERS = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What counts as a letter, mark or symbol, and shows nothing: fillers, selectors of variants, an empty pattern."""


def require_name(text: str, pointer: str, *, longest: int) -> str:
    """The name as it is kept. Raises RuleBroken with the pointer, saying which kind of character does not belong."""
    name = spelt(require_text(text, pointer, shortest=1, longest=longest))
    require_one_line(name, pointer)
    if not _is_visible(name):
        raise RuleBroken(
            "Nobody could see this name.",
            faults=[Fault(pointer, "has only characters that cannot be seen; write something visible")],
        )
    # A few letters are spelt with more characters in NFC.
    return require_text(name, pointer, shortest=1, longest=longest)


def spelt(name: str) -> str:
    """The name in the spelling in which names are kept and compared."""
    return unicodedata.normalize("NFC", name)


def require_one_line(text: str, pointer: str) -> str:
    """The text, where it stands on one line and leaves what is around it alone. Raises RuleBroken with the pointer."""
    if faults := list(_one_line_faults(text, pointer)):
        raise RuleBroken("Names and titles are one line of plain characters.", faults=faults)
    return text


def shown_name(text: str, *, longest: int) -> str:
    """What can be kept of a name that somebody else vouches for, "" for nothing: who bears it cannot mend it here."""
    plain = _TURNING.sub("", _LINE_BREAKING.sub(" ", text))
    name = spelt(plain)[:longest].strip()
    return name if _is_visible(name) else ""


def _one_line_faults(text: str, pointer: str) -> Iterator[Fault]:
    if found := _LINE_BREAKING.search(text):
        character = f"U+{ord(found[0]):04X}"
        yield Fault(pointer, f"must be one line without control characters; take out {character}")
    if found := _TURNING.search(text):
        character = f"U+{ord(found[0]):04X}"
        yield Fault(pointer, f"must not change the direction of writing; take out {character}")


def _is_visible(name: str) -> bool:
    """Whether something is left without spaces and what has no shape of its own, such as joiners and selectors."""
    return any(
        unicodedata.category(character)[0] != "Z"
        and unicodedata.category(character) != "Cf"
        and not _BLANK_LETTERS.match(character)
        for character in name
    )
