"""Environment variables as typed values. Invalid values are collected, so that all of them are reported at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# The characters that RFC 3986 allows, none of which can end a header line.
_ADDRESS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,2000}")

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class SettingViolation:
    """One variable and the rule that it violates."""

    variable: str
    message: str

    def __str__(self) -> str:
        return f"{self.variable} {self.message}"


class InvalidSettings(Exception):
    """The settings cannot be used. `violations` holds every reason."""

    def __init__(self, violations: Sequence[SettingViolation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(map(str, self.violations)))


@dataclass(slots=True)
class Variables:
    """Reads one variable at a time. An empty one counts as unset, an invalid one is recorded."""

    values: Mapping[str, str]
    violations: list[SettingViolation] = field(default_factory=list)

    def violation(self, variable: str, message: str) -> None:
        """Records that a variable cannot be used."""
        self.violations.append(SettingViolation(variable, message))

    def text(self, variable: str) -> str | None:
        """The trimmed text; None if unset."""
        return self.values.get(variable, "").strip() or None

    def web_address(self, variable: str) -> str | None:
        """An absolute http:// or https:// address that is safe in a header and can take a query; None if unset."""
        text = self.text(variable)
        if text is None or _is_web_address(text):
            return text
        message = "must be an address such as https://tandem.example.org/, without account and fragment"
        self.violation(variable, message)
        return None

    def choice(self, variable: str, allowed: Sequence[str], *, default: str) -> str:
        """One of the allowed words."""
        text = self.text(variable)
        if text is None:
            return default
        if text not in allowed:
            self.violation(variable, f"must be one of {', '.join(allowed)}")
            return default
        return text

    def flag(self, variable: str, *, default: bool) -> bool:
        """True or false."""
        text = self.text(variable)
        if text is None:
            return default
        if text.lower() not in TRUE | FALSE:
            self.violation(variable, "must be true or false")
            return default
        return text.lower() in TRUE

    def integer(self, variable: str, *, default: int, least: int, most: int) -> int:
        """A whole number within its bounds."""
        text = self.text(variable)
        if text is None:
            return default
        number = int(text) if text.removeprefix("-").isdecimal() else None
        if number is None or not least <= number <= most:
            self.violation(variable, f"must be a whole number from {least} to {most}")
            return default
        return number

    def number(self, variable: str, *, default: float, least: float, most: float) -> float:
        """A number within its bounds."""
        text = self.text(variable)
        if text is None:
            return default
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            self.violation(variable, f"must be a number from {least:g} to {most:g}")
            return default
        return number


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_absolute = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    has_extras = bool(parts.fragment) or parts.username is not None
    return is_absolute and not has_extras and _ADDRESS.fullmatch(text) is not None
