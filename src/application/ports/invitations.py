"""Invitations to teams, as codes that nobody has to keep."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """To a team, until an instant (whole seconds), and as long as the team's `invite_series` is this one."""

    team_id: str
    series: int
    expires_at: datetime


class Invitations(Protocol):
    """Turns invitations into codes that only this installation can make, and back."""

    def code_of(self, invitation: Invitation) -> str:
        """The code: letters and digits that can be read aloud; the same in every process."""
        ...

    def read(self, code: str) -> Invitation | None:
        """The invitation behind a code; None for whatever was not made here. Says nothing about its time."""
        ...
