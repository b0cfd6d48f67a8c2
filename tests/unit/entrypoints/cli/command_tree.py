"""Every command of the program, with arguments with which it gets as far as its stores."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from entrypoints.cli.program import tandem

Words = tuple[str, ...]

CREATING: frozenset[Words] = frozenset(
    {("serve",), ("worker",), ("demo",), ("import",), ("admin", "create"), ("migrate", "up"), ("adopt",)}
)
"""The commands that may begin an installation. With --dry-run, they may not either."""
STORELESS: frozenset[Words] = frozenset({("keys", "new"), ("config", "check")})
"""The commands that do not need what is stored."""
VALUES: Mapping[str, str] = {"collection": "tasks", "format_": "beads", "file": "issues.jsonl"}
"""What required parameters are given, by name; every other one is given its own name."""
FURTHER: Mapping[Words, Sequence[Words]] = {
    ("sync", "status"): [(), ("tasks", "id")],
    ("sync", "retry"): [("tasks", "id"), ("--all",)],
    ("move", "route"): [("--target", "5")],
    ("move", "verify"): [(), ("--self-test",), ("--incremental",)],
    ("move", "backfill"): [(), ("--new-target",)],
    ("migrate", "down"): [("--yes",)],
    ("recover",): [(), ("--from-target", "--force", "lost")],
}
"""Words without which a command would not look at its stores, and those with which it does something else there."""


class Line(NamedTuple):
    """A command and the words that follow it."""

    command: Words
    arguments: Words

    @property
    def creates(self) -> bool:
        """Whether it may begin an installation."""
        return self.command in CREATING and "--dry-run" not in self.arguments

    def words(self, issues: Path) -> Words:
        """What is typed, with the file of an import."""
        given = (str(issues) if word == VALUES["file"] else word for word in self.arguments)
        return (*self.command, *given)


def command_lines() -> list[Line]:
    """Every command, each with every variant of FURTHER, and with --dry-run where it has that."""
    return list(_lines_of(tandem, ()))


def _lines_of(command: click.Command, path: Words) -> Iterator[Line]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _lines_of(below, (*path, name))
        return
    required = tuple(word for parameter in command.params for word in _required(parameter))
    has_dry_run = any("--dry-run" in parameter.opts for parameter in command.params)
    for further in FURTHER.get(path, [()]):
        yield Line(path, (*required, *further))
        if has_dry_run and "--from-target" not in further:
            yield Line(path, (*required, *further, "--dry-run"))


def _required(parameter: click.Parameter) -> Words:
    if not parameter.required:
        return ()
    value = VALUES.get(parameter.name or "", parameter.name or "")
    return (value,) if isinstance(parameter, click.Argument) else (parameter.opts[0], value)
