"""The result of one check of `tandem doctor`."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its subject, whether it passed, a message, and what to do and type if it failed.

    `is_unreachable`: nothing can be said or done until the store, or the service, can be used again.
    """

    subject: str
    is_fine: bool
    message: str
    remedy: str | None = None
    is_unreachable: bool = False

    @classmethod
    def passed(cls, subject: str, message: str) -> Self:
        """Nothing to do."""
        return cls(subject, is_fine=True, message=message)

    @classmethod
    def failed(cls, subject: str, message: str, remedy: str, *, is_unreachable: bool = False) -> Self:
        """Something to repair."""
        return cls(subject, is_fine=False, message=message, remedy=remedy, is_unreachable=is_unreachable)
