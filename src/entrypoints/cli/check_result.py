"""The result of one check of `tandem doctor`."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its subject, whether it passed, a message, and what to do or type if it failed."""

    subject: str
    is_fine: bool
    message: str
    remedy: str | None = None

    @classmethod
    def passed(cls, subject: str, message: str) -> Self:
        """Nothing to do."""
        return cls(subject, is_fine=True, message=message)

    @classmethod
    def failed(cls, subject: str, message: str, remedy: str | None) -> Self:
        """Something to repair."""
        return cls(subject, is_fine=False, message=message, remedy=remedy)
