"""What every command has in common: the --json option, and a coroutine that `program.run` runs."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from entrypoints.cli.console import Console
from entrypoints.composition.variables import is_utf8


class TandemCommand(click.Command):
    """A command whose callback is a coroutine function that takes a Console first and returns an exit code."""

    def __init__(self, *arguments: object, **settings: object) -> None:
        super().__init__(*arguments, **settings)  # type: ignore[arg-type]
        help_text = "Print one JSON document with stable keys."
        self.params.append(click.Option(["--json", "as_json"], is_flag=True, help=help_text))

    def invoke(self, ctx: click.Context) -> object:
        for parameter in self.params:
            value = ctx.params.get(parameter.name or "")
            for text in value if isinstance(value, tuple) else (value,):
                # Names of files are bytes, and are paths here.
                if isinstance(text, str) and not is_utf8(text):
                    raise click.BadParameter("It is not UTF-8 text.", ctx=ctx, param=parameter)
        ctx.params["console"] = Console(as_json=ctx.params.pop("as_json"))
        return super().invoke(ctx)


class TandemGroup(click.Group):
    """A group whose commands are TandemCommands and whose groups are TandemGroups."""

    command_class: type[click.Command] | None = TandemCommand
    group_class: type[click.Group] | type[type] | None = type


class ProgramGroup(TandemGroup):
    """The group of all commands. It imports the module of a command when that command is named, because most modules
    are slow to load and no command needs those of the others.

    `locations` holds `module:attribute` by the name of the command.
    """

    def __init__(self, *arguments: Any, locations: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._locations = locations

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._locations, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands and cmd_name in self._locations:
            module, attribute = self._locations[cmd_name].split(":")
            self.add_command(getattr(import_module(module), attribute), cmd_name)
        return super().get_command(ctx, cmd_name)
