"""The file `.env`. A part of it that cannot be read is a violation that names its line, and never its content."""

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from entrypoints.composition.names import SETTINGS
from entrypoints.composition.variables import SettingViolation

BYTES_MAX = 1024 * 1024
KEYS = frozenset({"PRIVATE_KEY", "PUBLIC_KEY"})
"""The settings whose values may have several lines."""


@dataclass(frozen=True, slots=True)
class EnvFile:
    """The variables of a file, and what is wrong with it."""

    values: Mapping[str, str] = field(default_factory=dict)
    violations: Sequence[SettingViolation] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One assignment, or a part of the file that is none: `name` is None then."""

    name: str | None
    value: str | None
    line: int
    text: str
    """The lines as written."""


def read_env_file(file: Path | None) -> EnvFile:
    """The variables of the file; none if there is no file. Raises nothing: what is wrong is in the result."""
    try:
        text = None if file is None else _text_of(file)
    except _Unreadable as unreadable:
        return EnvFile(violations=[SettingViolation(str(file), str(unreadable))])
    if text is None:
        return EnvFile()
    from dotenv.main import resolve_variables  # noqa: PLC0415 - slow to load, and most processes have no such file
    from dotenv.parser import parse_stream  # noqa: PLC0415

    entries = [
        _Entry(
            found.key,
            found.value,
            _first_line(found.original.line, found.original.string),
            found.original.string.strip(),
        )
        for found in parse_stream(StringIO(text))
        if found.error or found.key is not None
    ]
    entered = [(entry.name, entry.value) for entry in entries if entry.name is not None]
    values = resolve_variables(entered, override=True)
    return EnvFile(
        {name: value for name, value in values.items() if value is not None},
        [SettingViolation(f"{file}, line {line}", flaw) for line, flaw in _flaws(entries)],
    )


class _Unreadable(Exception):
    """The file cannot be read at all."""


def _text_of(file: Path) -> str | None:
    """The text of the file; None where there is none, or a virtual environment. Raises _Unreadable."""
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            if (file / "pyvenv.cfg").exists():  # a common name for a virtual environment
                return None
            raise _Unreadable(
                "is a directory, as Docker makes one for a file that is not there. Remove it, or put the file there"
            )
        if not stat.S_ISREG(mode):
            raise _Unreadable(
                "is not a file. Move it away, and give the settings in a file or the environment"
            )
        with file.open("rb") as opened:
            content = opened.read(BYTES_MAX + 1)
    except FileNotFoundError:
        if file.is_symlink():
            raise _Unreadable("points to a file that does not exist. Correct or remove it") from None
        return None
    except OSError as error:
        raise _Unreadable(f"cannot be read ({error.strerror}). Give this user access to it") from error
    if len(content) > BYTES_MAX:
        raise _Unreadable(f"has more than {BYTES_MAX // 1024} KiB. Keep only settings in it")
    try:
        # Some editors write a mark at the beginning, which would become a part of the first name.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(f"is not UTF-8 text (byte {error.start}). Save it as UTF-8") from error
    if (place := text.find("\0")) >= 0:
        raise _Unreadable(f"is not UTF-8 text (character {place} is NUL). Save it as UTF-8")
    return text


def _first_line(line: int, text: str) -> int:
    """The line on which a binding begins: the parser counts the empty lines before it."""
    return line + len(text[: len(text) - len(text.lstrip())].splitlines())


def _flaws(entries: Sequence[_Entry]) -> Iterator[tuple[int, str]]:
    """What is wrong, by the number of its line."""
    seen: dict[str, int] = {}
    for entry in entries:
        if entry.name is None or (entry.value is None and entry.name in SETTINGS):
            yield entry.line, _malformed(entry)
            continue
        if entry.name not in SETTINGS:
            if swallowed := _swallowed(entry):
                yield entry.line, swallowed
            continue
        if entry.name in seen:
            yield entry.line, f"sets {entry.name} again, after line {seen[entry.name]}. Keep one of the two"
        seen.setdefault(entry.name, entry.line)
        if flaw := _swallowed(entry):
            yield entry.line, flaw
        elif "\n" in entry.text and entry.name not in KEYS:
            yield entry.line, f"gives {entry.name} a value of several lines. Close its quote on the same line"


def _malformed(entry: _Entry) -> str:
    """Why a part of the file is no assignment."""
    if swallowed := _swallowed(entry):
        return swallowed
    _, has_sign, value = entry.text.partition("=")
    if not has_sign:
        return "has no =. Write NAME=value, or begin a remark with #"
    if value.lstrip()[:1] in ("'", '"'):
        return "has a quote that is not closed, or text after the closing quote. Close it at the end of the value"
    return "cannot be read. Write NAME=value, or begin a remark with #"


def _swallowed(entry: _Entry) -> str | None:
    """The flaw of a value whose open quote contains another setting; None where there is none."""
    for line in entry.text.splitlines()[1:]:
        name = line.strip().removeprefix("export ").partition("=")[0].strip()
        if name in SETTINGS and "=" in line:
            return f"has a quote that is not closed: it also contains the line of {name}"
    return None
