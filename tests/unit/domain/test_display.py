"""What others wrote is shown without effect on a terminal, and readable otherwise."""

import pytest

from domain.display import displayed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Dig the pond", "Dig the pond"),
        ("Größe 東京 👩\u200d🚒", "Größe 東京 👩\u200d🚒"),
        ("a\x1b[2Jb\x9b", "a\\x1b[2Jb\\x9b"),
        ("one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"),
        ("a\u2028b\x85c\x7f", "a\\u2028b\\x85c\\x7f"),
        ("\u202ecod.exe\u2066", "\\u202ecod.exe\\u2066"),
        ("half \ud800", "half \\ud800"),
        ("a\u200fb", "a\\u200fb"),
        ("\u200f\u05d0\u05d1", "\u200f\u05d0\u05d1"),
        ("\u05d0\u202e", "\u05d0\\u202e"),
    ],
)
def test_what_acts_on_a_terminal_is_an_escape(text: str, shown: str) -> None:
    assert displayed(text) == shown


def test_a_message_of_several_lines_keeps_them() -> None:
    assert displayed("one\ntwo\r\x1b", keeps_lines=True) == "one\ntwo\\r\\x1b"
