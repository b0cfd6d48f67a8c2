"""The result of one check of `tandem doctor`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its subject, whether it passed, a message, and what to do and type if it failed.

    `is_warning`: it passed, but something should be done nevertheless.
    `is_unreachable`: nothing can be said or done until the store, or the service, can be used again.
    """

    subject: str
    is_fine: bool
    message: str
    remedy: str | None = None
    is_unreachable: bool = False
    is_warning: bool = False

    @classmethod
    def passed(cls, subject: str, message: str) -> Self:
        """Nothing to do."""
        return cls(subject, is_fine=True, message=message)

    @classmethod
    def warned(cls, subject: str, message: str, remedy: str) -> Self:
        """Something to repair that harms nothing."""
        return cls(subject, is_fine=True, message=message, remedy=remedy, is_warning=True)

    @classmethod
    def failed(cls, subject: str, message: str, remedy: str, *, is_unreachable: bool = False) -> Self:
        """Something to repair."""
        return cls(subject, is_fine=False, message=message, remedy=remedy, is_unreachable=is_unreachable)


def one_for_each(results: Iterable[CheckResult]) -> list[CheckResult]:
    """One result for each subject, in the order in which they first occur: what failed, or else all that passed."""
    subjects: dict[str, list[CheckResult]] = {}
    for result in results:
        subjects.setdefault(result.subject, []).append(result)
    return [_joined([one for one in found if not one.is_fine] or found) for found in subjects.values()]


def _joined(results: Sequence[CheckResult]) -> CheckResult:
    remedies = dict.fromkeys(one.remedy for one in results if one.remedy is not None)
    return CheckResult(
        results[0].subject,
        is_fine=results[0].is_fine,
        message="\n".join(dict.fromkeys(one.message for one in results)),
        remedy="\n".join(remedies) or None,
        is_unreachable=any(one.is_unreachable for one in results),
        is_warning=any(one.is_warning for one in results),
    )
