"""What is wrong with an installation, in words for the person who can mend it."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: fine or not, said in a sentence; `remedy` is what to do or type where it is not."""

    subject: str
    is_fine: bool
    sentence: str
    remedy: str | None = None

    @classmethod
    def fine(cls, subject: str, sentence: str) -> Self:
        """Nothing to do."""
        return cls(subject, is_fine=True, sentence=sentence)

    @classmethod
    def wrong(cls, subject: str, sentence: str, remedy: str | None) -> Self:
        """Something to mend."""
        return cls(subject, is_fine=False, sentence=sentence, remedy=remedy)
