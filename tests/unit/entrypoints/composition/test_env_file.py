"""A part of `.env` that cannot be read is refused with its line: a setting in it would silently not be in force."""

import os
from pathlib import Path

import pytest

from entrypoints.composition.env_file import BYTES_MAX
from entrypoints.composition.settings import read_settings
from entrypoints.composition.variables import InvalidSettings

PEM_LINES = 'PRIVATE_KEY="-----BEGIN\nabc\n-----END"\n'
BROKEN = {
    "no sign": ("STORE=monty\nREQUIRE_IF_MATCH true\n", 2, "has no ="),
    "a colon": ("\n\n# remark\nREQUIRE_IF_MATCH: true\n", 4, "has no ="),
    "a name alone": ("REQUIRE_IF_MATCH\n", 1, "has no ="),
    "no name": ("STORE=monty\n=true\n", 2, "cannot be read"),
    "an open quote": ('STORE=monty\nLOG_FORMAT="json\nREQUIRE_IF_MATCH=true\n', 2, "not closed"),
    "an open single quote": ("LOG_FORMAT='json\n", 1, "not closed"),
    "an open quote that another one closes": ('HOST="h\nPORT=1\nUI_URL="\n', 1, "contains the line of PORT"),
    "an open quote of another program": ('FOO="h\nSTORE=postgres\nBAR="\n', 1, "contains the line of STORE"),
    "an open quote before three": ('FOO="h\nSTORE=postgres\nBAR="x"\n', 1, "contains the line of STORE"),
    "a value of several lines": ('HOST="h\nmore"\n', 1, "several lines"),
    "text after the quote": ('\nLOG_FORMAT="json" x\n', 2, "after the closing quote"),
    "a setting twice": ("PORT=1\nSTORE=monty\nPORT=1\n", 3, "sets PORT again, after line 1"),
}


def violations(file: Path, given: dict[str, str] | None = None) -> list[str]:
    """The messages; none if the settings are accepted."""
    try:
        read_settings(given or {}, env_file=file)
    except InvalidSettings as invalid:
        return [str(each) for each in invalid.violations]
    return []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.mark.parametrize(("text", "line", "flaw"), BROKEN.values(), ids=BROKEN)
def test_a_part_that_cannot_be_read_is_refused_with_its_line(
    file: Path, text: str, line: int, flaw: str
) -> None:
    file.write_text(text)
    first, *_ = violations(file)
    assert first.startswith(f"{file}, line {line} ")
    assert flaw in first


def test_every_broken_line_and_every_invalid_setting_are_reported_together(file: Path) -> None:
    file.write_text("A b\nPORT=many\nC d geheim\nSTOER=x\n")
    found = violations(file, {"LOG_LEVEL": "LOUD"})
    starts = [f"{file}, line 1", f"{file}, line 3", "LOG_LEVEL", "PORT", "STOER"]
    assert len(found) == len(starts)
    assert all(any(each.startswith(start) for each in found) for start in starts), found
    assert "geheim" not in "".join(found)


def test_what_other_programs_read_in_the_same_file_is_accepted(file: Path) -> None:
    file.write_text("\ufeffexport STORE=monty # remark\n# remark\nFOO=1\nFOO=2\nBAR='two\nlines'\n")
    assert violations(file) == []
    assert read_settings({}, env_file=file).stores.source == "monty"


def test_a_name_alone_of_another_program_is_accepted(file: Path) -> None:
    file.write_text("STORE=monty\nFOO\nexport BAR\n")
    assert violations(file) == []


def test_a_broken_line_makes_no_other_value_invalid(file: Path) -> None:
    file.write_text("CHOSEN_LEVEL=ERROR\nLOG_LEVEL=${CHOSEN_LEVEL}\nA b\n")
    (message,) = violations(file)
    assert message.startswith(f"{file}, line 3 ")


def test_a_virtual_environment_of_that_name_is_ignored(file: Path) -> None:
    file.mkdir()
    (file / "pyvenv.cfg").touch()
    assert violations(file) == []


def test_a_directory_in_the_place_of_the_file_is_named(file: Path) -> None:
    file.mkdir()
    (message,) = violations(file)
    assert message.startswith(f"{file} is a directory, as Docker makes one")


def test_a_key_may_have_several_lines(file: Path) -> None:
    file.write_text(PEM_LINES)
    (message,) = violations(file)
    assert message.startswith("PRIVATE_KEY is not")


def make_fifo(file: Path) -> None:
    os.mkfifo(file)


def make_link_to_nothing(file: Path) -> None:
    file.symlink_to(file.with_name("gone"))


def make_large(file: Path) -> None:
    file.write_text("#" * (BYTES_MAX + 1))


def make_wide(file: Path) -> None:
    file.write_bytes("STORE=monty\n".encode("utf-16-le"))


@pytest.mark.parametrize("make", [make_fifo, make_link_to_nothing, make_large, make_wide])
def test_what_is_no_text_file_is_refused_by_name(file: Path, make: object) -> None:
    assert callable(make)
    make(file)
    (message,) = violations(file)
    assert message.startswith(f"{file} ")
