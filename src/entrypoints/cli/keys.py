"""`tandem keys new`: the keys that sign access tokens."""

import click

from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.tree import TandemGroup
from entrypoints.composition.keys import KeyTexts, new_key_texts


@click.group(cls=TandemGroup)
def keys() -> None:
    """Generate signing keys."""


@keys.command()
async def new(console: Console) -> ExitCode:
    """Print a new RS256 key pair as PRIVATE_KEY and PUBLIC_KEY, for .env: `tandem keys new >> .env`.

    Every process of an installation needs the same pair. Nothing is stored.
    """
    made = new_key_texts()
    view = {"privateKey": made.private, "publicKey": made.public, "keyId": made.key_id}
    console.show(view, lambda: _print_lines(console, made))
    console.note(
        "These lines belong into .env, or into the environment of every process. Keep PRIVATE_KEY secret."
    )
    return ExitCode.SUCCESS


def _print_lines(console: Console, made: KeyTexts) -> None:
    for variable, pem in (("PRIVATE_KEY", made.private), ("PUBLIC_KEY", made.public)):
        one_line = pem.strip().replace("\n", "\\n")
        console.line(f'{variable}="{one_line}"')
