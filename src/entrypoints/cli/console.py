"""What a command says: lines and tables for people, one JSON document for scripts. Progress goes to standard error."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
import msgspec
from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from entrypoints.cli.exits import Failure

View = Mapping[str, object]

PLAIN_WIDTH = 200
"""Without a terminal nobody sees where lines would break, so they hardly do."""
PLAIN_STEPS_MAX = 10


class Console:
    """Standard output of one command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        plain = RichConsole()
        self._out = plain if plain.is_terminal else RichConsole(width=PLAIN_WIDTH)
        self._err = RichConsole(stderr=True)

    def show(self, view: View, people: Callable[[], None]) -> None:
        """The answer of the command: the view as JSON, or what `people` prints."""
        if self.as_json:
            click.echo(msgspec.json.encode(view, order="deterministic"))
        else:
            people()

    def line(self, text: str, *, style: str = "") -> None:
        """One line for people; brackets in it mean nothing."""
        self._out.print(Text(text, style=style), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table for people; None is shown as a dash."""
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(Text("–" if cell is None else str(cell)) for cell in row))
        self._out.print(table)

    def note(self, text: str) -> None:
        """A remark beside the answer, on standard error; silent for scripts."""
        if not self.as_json:
            self._err.print(Text(text), soft_wrap=True)

    def fail(self, failure: Failure) -> None:
        """Why the command failed."""
        if self.as_json:
            error = {"code": failure.code, "message": failure.message, "details": list(failure.details)}
            click.echo(msgspec.json.encode({"error": error}))
            return
        style = "" if failure.code == "usage" else "red"
        self._err.print(Text(failure.message, style=style), soft_wrap=True)
        for detail in failure.details:
            self._err.print(Text(f"  {detail}"), soft_wrap=True)

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """A bar where a person watches, a few plain lines where not, nothing for scripts. Told (done, of how many)."""
        if self.as_json:
            yield lambda _done, _total: None
        elif self._err.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self._err) as bars:
                bar = bars.add_task(title, total=None)
                yield lambda done, total: bars.update(bar, completed=done, total=total)
        else:
            yield _PlainProgress(title, self.note)


class _PlainProgress:
    """At most PLAIN_STEPS_MAX lines, however long the work."""

    def __init__(self, title: str, note: Callable[[str], None]) -> None:
        self._title = title
        self._note = note
        self._told = 0

    def __call__(self, done: int, total: int) -> None:
        step = done * PLAIN_STEPS_MAX // max(total, 1)
        if step > self._told:
            self._told = step
            self._note(f"{self._title}: {done} of {total}")
