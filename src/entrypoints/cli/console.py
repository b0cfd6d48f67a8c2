"""The output of a command: lines and tables for people, one JSON document for scripts. Progress goes to standard error.

All text for people passes `presentable`, because it may contain what others wrote. JSON escapes what it must by itself.

Rich is loaded for tables and progress bars only, because a service that starts prints nothing but lines.
"""

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import click
import msgspec

from domain.display import displayed
from entrypoints.cli.exits import Failure

View = Mapping[str, object]

_COMMAND = re.compile(
    r"(?<![\w/])tandem (?=(?:admin|config|demo|doctor|export|import|keys|migrate|move|recover|serve|sync|worker)\b)"
)

PLAIN_WIDTH = 200
"""The width of tables without a terminal, where lines need not be short."""
PLAIN_STEPS_MAX = 10


@cache
def program_name() -> str:
    """What to type to run this program: `tandem` where the shell finds it, otherwise its path."""
    program = Path(sys.argv[0])
    found = shutil.which("tandem")
    if program.name != "tandem" or (found is not None and Path(found).resolve() == program.resolve()):
        return "tandem"
    with suppress(ValueError):
        return str(program.absolute().relative_to(Path.cwd()))
    return str(program.absolute())


def typeable(text: str) -> str:
    """The text with every command of this program written as it can be typed here. One that names a path stays."""
    return _COMMAND.sub(lambda _: f"{program_name()} ", text)


def presentable(text: str) -> str:
    """The text as people may see it: typeable, and without characters that would act on their terminal."""
    return displayed(typeable(text), keeps_lines=True)


def document(view: msgspec.Struct) -> View:
    """The JSON document of a view of the HTTP interface, which commands show as well."""
    values: View = msgspec.to_builtins(view)
    return values


class Console:
    """Standard output and standard error of one command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def show(self, view: View, print_view: Callable[[], None]) -> None:
        """Prints the result of the command: the view as JSON for scripts; for people, `print_view` prints it."""
        if self.as_json:
            click.echo(msgspec.json.encode(view, order="deterministic"))
        else:
            print_view()

    def line(self, text: str, *, bold: bool = False) -> None:
        """One line for people."""
        click.secho(presentable(text), bold=bold or None)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table for people; None is shown as a dash, and a command as it can be typed here."""
        from rich.console import Console as RichConsole  # noqa: PLC0415 - as the module says
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(Text("–" if cell is None else presentable(str(cell))) for cell in row))
        RichConsole(width=None if sys.stdout.isatty() else PLAIN_WIDTH).print(table)

    def note(self, text: str) -> None:
        """A remark on standard error; nothing for scripts."""
        if not self.as_json:
            click.echo(presentable(text), err=True)

    def fail(self, failure: Failure) -> None:
        """Prints why the command failed."""
        if self.as_json:
            error = {"code": failure.code, "message": failure.message, "details": list(failure.details)}
            click.echo(msgspec.json.encode({"error": error}))
            return
        click.secho(presentable(failure.message), err=True, fg=None if failure.code == "usage" else "red")
        for detail in failure.details:
            click.echo(f"  {displayed(typeable(detail))}", err=True)

    def crash(self, trace: str) -> None:
        """Prints the traceback of a bug on standard error."""
        click.echo(displayed(trace, keeps_lines=True), err=True, nl=False)

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """A function of (done, total) that shows a bar on a terminal, a few lines elsewhere, nothing for scripts."""
        if self.as_json:
            yield lambda _done, _total: None
        elif sys.stderr.isatty():
            with _bar(title) as update:
                yield update
        else:
            yield _PlainProgress(title, self.note)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console as RichConsole  # noqa: PLC0415 - as the module says
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=RichConsole(stderr=True)) as bars:
        bar = bars.add_task(presentable(title), total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


class _PlainProgress:
    """At most PLAIN_STEPS_MAX lines, however long the work takes."""

    def __init__(self, title: str, note: Callable[[str], None]) -> None:
        self._title = title
        self._note = note
        self._shown = 0

    def __call__(self, done: int, total: int) -> None:
        step = done * PLAIN_STEPS_MAX // max(total, 1)
        if step > self._shown:
            self._shown = step
            self._note(f"{self._title}: {done} of {total}")
