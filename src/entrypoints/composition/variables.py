"""Environment variables as typed values. Invalid values are collected, so that all of them are reported at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

# The characters that RFC 3986 allows, none of which can end a header line.
_ADDRESS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,2000}")

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
_HOST_NAME = re.compile(
    r"(?!.{254})[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?"
)
_NUMERIC = re.compile(r"[0-9.]+")
NETWORKS_MAX = 64
ORIGINS_MAX = 64
HOST_EXPECTED = (
    "must be an address of this machine such as 127.0.0.1 or ::1, or its name. The port belongs in PORT"
)

Network = IPv4Network | IPv6Network

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
    """Reads one variable at a time. An empty one counts as unset, an invalid one is recorded.

    `known` has the names of all settings; reading another one raises KeyError, so that no setting is left out there.
    """

    values: Mapping[str, str]
    known: frozenset[str]
    violations: list[SettingViolation] = field(default_factory=list)

    def violation(self, variable: str, message: str) -> None:
        """Records that a variable cannot be used."""
        self.violations.append(SettingViolation(variable, message))

    def text(self, variable: str) -> str | None:
        """The trimmed text; None if unset."""
        if variable not in self.known:
            raise KeyError(variable)
        text = self.values.get(variable, "").strip()
        if not is_utf8(text):
            self.violation(variable, "is not UTF-8 text. Set it again in a terminal that writes UTF-8")
            return None
        return text or None

    def web_address(self, variable: str) -> str | None:
        """An absolute http:// or https:// address that is safe in a header and can take a query; None if unset."""
        text = self.text(variable)
        if text is None or is_web_address(text):
            return text
        message = "must be an address such as https://tandem.example.org/, without account and fragment"
        self.violation(variable, message)
        return None

    def origins(self, variable: str) -> tuple[str, ...]:
        """Origins of web pages (scheme, host and port), separated by commas; none if unset."""
        origins = [part.strip() for part in (self.text(variable) or "").split(",") if part.strip()]
        wrong = [origin for origin in origins[:ORIGINS_MAX] if not _is_origin(origin)]
        if wrong:
            self.violation(
                variable,
                f"must have origins such as https://board.example.org, separated by commas, not {wrong[0][:100]!r}",
            )
        if len(origins) > ORIGINS_MAX:
            self.violation(variable, f"must have at most {ORIGINS_MAX} origins")
        return () if wrong else tuple(origins)

    def host(self, variable: str, *, default: str) -> str:
        """The name or the address of a machine, without a port."""
        text = self.text(variable)
        if text is None:
            return default
        if not is_host(text):
            self.violation(variable, HOST_EXPECTED)
        return text

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
        number = int(text) if _WHOLE_NUMBER.fullmatch(text) else None
        if number is None or not least <= number <= most:
            self.violation(variable, f"must be a whole number from {least} to {most}")
            return default
        return number

    def number(self, variable: str, *, default: float, least: float, most: float) -> float:
        """A number within its bounds."""
        text = self.text(variable)
        if text is None:
            return default
        number = float(text) if _NUMBER.fullmatch(text) else float("nan")
        if not least <= number <= most:
            self.violation(variable, f"must be a number from {least:g} to {most:g}")
            return default
        return number

    def networks(self, variable: str) -> tuple[Network, ...]:
        """Addresses and networks, separated by commas; none if unset."""
        texts = [part.strip() for part in (self.text(variable) or "").split(",") if part.strip()]
        found = [_network(text) for text in texts[:NETWORKS_MAX]]
        wrong = [text for text, network in zip(texts, found, strict=False) if network is None]
        if wrong:
            self.violation(
                variable,
                f"must have addresses or networks such as 10.0.0.0/8, separated by commas, not {wrong[0][:100]!r}",
            )
        if len(texts) > NETWORKS_MAX:
            self.violation(variable, f"must have at most {NETWORKS_MAX} addresses and networks")
        networks = tuple(network for network in found if network is not None)
        if any(network.prefixlen == 0 for network in networks):
            self.violation(
                variable, "must not contain all addresses: every client could then claim any address"
            )
        return networks


def is_utf8(text: str) -> bool:
    """Whether the text can be encoded. Python reads other bytes of arguments and settings as lone surrogates."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def is_host(text: str) -> bool:
    """Whether the text is an IP address, without brackets, or may be the name of a machine. Nothing is looked up."""
    try:
        ip_address(text)
    except ValueError:
        return _NUMERIC.fullmatch(text) is None and _HOST_NAME.fullmatch(text) is not None
    return True


def _is_origin(text: str) -> bool:
    parts = urlsplit(text) if is_web_address(text) else None
    if parts is None or not is_host(parts.hostname or ""):
        return False
    return text.lower() == f"{parts.scheme}://{parts.netloc}".lower()


def is_web_address(text: str) -> bool:
    """Whether the text is an absolute http:// or https:// address without account and fragment."""
    try:
        parts = urlsplit(text)
        is_absolute = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    has_extras = bool(parts.fragment) or parts.username is not None
    return is_absolute and not has_extras and _ADDRESS.fullmatch(text) is not None
