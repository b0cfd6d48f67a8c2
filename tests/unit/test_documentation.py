"""What the documentation says is there, is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from entrypoints.cli.program import tandem
from entrypoints.http.protocol.problems import KINDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"^(?:\.venv/bin/)?tandem ([a-z][a-z ]*[a-z])", re.MULTILINE)


def commands(group: click.Group, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*prefix, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))


def blocks(page: Path) -> str:
    return "\n".join(re.findall(r"```\w*\n(.*?)```", page.read_text(), re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_exists(page: Path) -> None:
    known = set(commands(tandem))
    for shown in COMMAND.findall(blocks(page)):
        words = tuple(shown.split())
        assert any(words[: len(name)] == name for name in known), f"tandem {shown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_can_be_typed_after_make_run(page: Path) -> None:
    assert re.findall(r"^tandem .*", blocks(page), re.MULTILINE) == []


def test_every_error_is_explained_with_its_code() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text()
    assert not [kind.code for kind in KINDS if f"`{kind.code}`" not in page]


def test_every_decision_is_short_and_numbered_without_gaps() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert numbers == list(range(1, len(numbers) + 1))
    assert not [path.name for path in decisions if len(path.read_text().split()) > 350]
