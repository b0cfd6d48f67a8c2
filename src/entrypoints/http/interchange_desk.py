"""What the handlers of imports and exports work with; see desks.py for why each asks for exactly one desk."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from application.interchange import exports, imports

FILES_MAX = 2
"""How many files this process reads or writes at once: each may be large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterchangeDesk:
    """For files of other trackers. Whoever holds one of the `turns` may hold a file in memory."""

    import_issues: imports.ImportIssues
    export_tasks: exports.ExportTasks
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FILES_MAX))


class InterchangeUseCases(Protocol):
    """What the container must have for it."""

    @property
    def import_issues(self) -> Callable[[], imports.ImportIssues]: ...
    @property
    def export_tasks(self) -> Callable[[], exports.ExportTasks]: ...


def interchange_desk(container: InterchangeUseCases) -> InterchangeDesk:
    """The desk of these use cases."""
    return InterchangeDesk(import_issues=container.import_issues(), export_tasks=container.export_tasks())
