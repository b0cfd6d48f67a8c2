"""Invitations to teams, as codes that need not be stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation, valid until a time (whole seconds) and while `series` is the team's `invite_series`."""

    team_id: str
    series: int
    expires_at: datetime


class Invitations(Protocol):
    """Converts invitations to codes that only this installation can make, and back."""

    def code_of(self, invitation: Invitation) -> str:
        """The code: letters and digits that are easy to read aloud; the same in every process."""

    def read(self, code: str) -> Invitation | None:
        """The invitation of a code, expired or not; None for a code that was not made here."""
