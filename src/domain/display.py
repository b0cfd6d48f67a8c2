"""Text of others on a terminal, in a log or in a list: it must not move the cursor, change colours or fake a line."""

import re

from domain.invisible import reads_leftward

_CONTROLLING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line breaks, characters that change the direction, and halves of surrogate pairs."""
_MARKING = re.compile(r"[\u200e\u200f\u061c]")
"""Direction marks, which only text with right-to-left letters needs."""


def displayed(text: str, *, keeps_lines: bool = False) -> str:
    r"""The text with everything that acts on a terminal as an escape such as `\x1b`.

    `keeps_lines` leaves line feeds alone, for messages that have several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    if not reads_leftward(text):
        text = _MARKING.sub(_escape, text)
    return _CONTROLLING.sub(_kept_line if keeps_lines else _escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _kept_line(found: re.Match[str]) -> str:
    return found[0] if found[0] == "\n" else _escape(found)
