"""What every command has in common: the --json option, and a coroutine that `main` runs."""

import click

from entrypoints.cli.console import Console


class TandemCommand(click.Command):
    """A command whose callback is a coroutine function that takes a Console first and answers an exit code."""

    def __init__(self, *arguments: object, **settings: object) -> None:
        super().__init__(*arguments, **settings)  # type: ignore[arg-type]
        help_text = "Print one JSON document with stable keys."
        self.params.append(click.Option(["--json", "as_json"], is_flag=True, help=help_text))

    def invoke(self, ctx: click.Context) -> object:
        ctx.params["console"] = Console(as_json=ctx.params.pop("as_json"))
        return super().invoke(ctx)


class TandemGroup(click.Group):
    """A group whose commands are TandemCommands and whose groups are TandemGroups."""

    command_class: type[click.Command] | None = TandemCommand
    group_class: type[click.Group] | type[type] | None = type
