"""Long steps of the move in the background."""

from typing import Protocol

from application.ports.migration import Job, Work


class Jobs(Protocol):
    """Long steps in the background of this process, one at a time."""

    def start(self, step: str, work: Work) -> Job:
        """Starts the work. Raises Conflict while another job runs."""
        ...

    def get(self, id: str) -> Job:
        """One job. Raises NotFound for a job of another process, or one that was forgotten."""
        ...

    def newest(self) -> Job | None:
        """The job that was started last in this process; None before the first."""
        ...
