"""Files with one JSON object per line: violations are collected with their lines and do not stop the reading."""

import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NoReturn

from domain.errors import Invalid, Violation
from domain.repeated_names import repeated_names

REPEATED_MAX = 20
"""How many repeated names of one line are reported."""

_FRACTIONS = re.compile(r"[.,]\d{3}(\d+)")
DIGITS_MAX = 1_000
"""Of a whole number. Python itself converts at most 4,300 digits, and no field holds that many."""
_OTHER_FILES = {
    "compressed with gzip; unpack it first": (b"\x1f\x8b",),
    "a zip archive; unpack it first": (b"PK\x03\x04",),
    "compressed with bzip2; unpack it first": (b"BZh",),
    "compressed with xz; unpack it first": (b"\xfd7zXZ\x00",),
    "compressed with zstd; unpack it first": (b"\x28\xb5\x2f\xfd",),
    "UTF-32, not UTF-8; save it as UTF-8": (BOM_UTF32_LE, BOM_UTF32_BE, b"{\0\0\0", b"\0\0\0{"),
    "UTF-16, not UTF-8; save it as UTF-8": (BOM_UTF16_LE, BOM_UTF16_BE, b"{\0", b"\0{"),
}
"""The first bytes of files that people take for JSON Lines. UTF-32 comes first: it begins as UTF-16 does."""
DAY_LENGTH = len("2026-01-31")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Replaces an invalid instant, so that reading continues; an issue with a violation is never imported."""


class _LongNumber(ValueError):
    """A whole number has more than DIGITS_MAX digits. It is JSON all the same."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its number, counted from 1: the fields of its object, or the violations that make it none."""

    number: int
    fields: Mapping[str, object] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()

    @property
    def place(self) -> str:
        """The place of the object, as text."""
        return f"line {self.number}"

    @property
    def pointer(self) -> str:
        """The prefix of the object's JSON pointers."""
        return f"/lines/{self.number}"


def read_lines(content: bytes, *, lines_max: int) -> Iterator[Line]:
    """The lines of a file without blank ones; they end with LF, CRLF, or all with CR. Raises Invalid for more than
    `lines_max`, and for a file that is compressed or has another encoding.
    """
    _require_lines(content)
    end = b"\n" if b"\n" in content else b"\r"
    count = 0
    for number, raw in enumerate(content.removeprefix(BOM_UTF8).split(end), start=1):
        if not raw.strip():
            continue
        count += 1
        if count > lines_max:
            message = f"line {number}: the file contains more than {lines_max} objects"
            raise Invalid("The file is too long.", violations=[Violation(f"/lines/{number}", message)])
        yield _line(number, raw)


def _require_lines(content: bytes) -> None:
    for kind, starts in _OTHER_FILES.items():
        if content.startswith(starts):
            violation = Violation("", f"the file is {kind}")
            raise Invalid("The file cannot be read; nothing was imported.", violations=[violation])


def _line(number: int, raw: bytes) -> Line:
    is_repeated = False

    def object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal is_repeated
        values = dict(pairs)
        is_repeated = is_repeated or len(values) < len(pairs)
        return values

    try:
        text = raw.decode("utf-8")
        fields = json.loads(
            text, parse_constant=_reject_constant, parse_int=_whole_number, object_pairs_hook=object_of
        )
        repeated = repeated_names(text, most=REPEATED_MAX) if is_repeated else []
    except UnicodeDecodeError:
        return _broken(number, "is not UTF-8")
    except _LongNumber:
        return _broken(number, f"has a number of more than {DIGITS_MAX} digits")
    except (ValueError, RecursionError):
        return _broken(number, "is not JSON")
    if not isinstance(fields, dict):
        return _broken(number, "is not a JSON object")
    violations = [
        Violation(f"/lines/{number}{pointer}", f"line {number}, {pointer[1:41]}: is given more than once")
        for pointer in repeated
    ]
    return Line(number, fields, tuple(violations))


def _broken(number: int, message: str) -> Line:
    return Line(number, violations=(Violation(f"/lines/{number}", f"line {number}: {message}"),))


def _whole_number(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise _LongNumber
    return int(text)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_finer(value: object) -> bool:
    """Whether the text of an instant has fractions of a millisecond."""
    fractions = _FRACTIONS.search(value) if isinstance(value, str) else None
    return fractions is not None and bool(fractions[1].strip("0"))


def _instant(value: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
        if instant is None or instant.tzinfo is None:
            return None
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


@dataclass(frozen=True, slots=True)
class LineReader:
    """Reads the fields of one line. An invalid field adds a violation and yields a default, so reading continues."""

    line: Line
    violations: list[Violation]
    cut: dict[str, None] = field(default_factory=dict)
    """The fields whose instants had fractions of a millisecond, which no store can hold."""

    def violation(self, name: str, message: str) -> None:
        """Adds a violation of a field."""
        self.violations.append(
            Violation(f"{self.line.pointer}/{name}", f"{self.line.place}, {name}: {message}")
        )

    def text(self, name: str) -> str | None:
        """The text; None where it is absent, null or empty."""
        value = self.line.fields.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.violation(name, "must be text")
            return None
        return value

    def required_text(self, name: str, *, longest: int | None = None) -> str:
        """The text, which must not be blank."""
        value = self.line.fields.get(name)
        text = value if isinstance(value, str) else ""
        if not text.strip():
            self.violation(name, "is missing" if value is None else "must be text that is not blank")
        elif longest is not None and len(text) > longest:
            self.violation(name, f"has more than {longest} characters")
        return text

    def choice(self, name: str, allowed: Collection[str]) -> str:
        """One of the allowed words."""
        value = self.line.fields.get(name)
        if isinstance(value, str) and value in allowed:
            return value
        self.violation(
            name, "is missing" if value is None else f"must be one of {', '.join(sorted(allowed))}"
        )
        return ""

    def required_integer(self, name: str, *, least: int, most: int) -> int:
        """The whole number within its bounds."""
        value = self.line.fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.violation(
            name, "is missing" if value is None else f"must be a whole number from {least} to {most}"
        )
        return least

    def required_instant(self, name: str) -> datetime:
        """The instant, which must be there."""
        if self.line.fields.get(name) is None:
            self.violation(name, "is missing")
        return self.instant(name) or EPOCH

    def instant(self, name: str) -> datetime | None:
        """The instant in UTC, cut to whole milliseconds; None where it is absent."""
        value = self.line.fields.get(name)
        if value is None:
            return None
        instant = _instant(value)
        if instant is None:
            self.violation(name, "must be an instant with its offset from UTC, such as 2025-12-24T09:30:00Z")
        elif _is_finer(value):
            self.cut[name] = None
        return instant

    def day(self, name: str) -> date | None:
        """The day, if the field holds a plain one."""
        value = self.line.fields.get(name)
        try:
            return date.fromisoformat(value) if isinstance(value, str) and len(value) == DAY_LENGTH else None
        except ValueError:
            return None

    def texts(self, name: str) -> Sequence[str]:
        """The list of texts; empty where it is absent."""
        value = self.line.fields.get(name)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value):
            return value
        self.violation(name, "must be a list of texts that are not blank")
        return ()

    def objects(self, name: str) -> Sequence[Mapping[str, object]]:
        """The list of objects; empty where it is absent."""
        value = self.line.fields.get(name)
        if value is None:
            return ()
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return value
        self.violation(name, "must be a list of objects")
        return ()
