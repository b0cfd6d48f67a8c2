"""Rules of the house that no import contract can state."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40
FORBIDDEN_NAMES = frozenset(
    {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base", "kit"}
)
CLOCKS_AND_CHANCE = frozenset({"time", "random", "secrets", "uuid", "os", "socket", "asyncio", "threading"})
IMPORTS_OF_TESTS = re.compile(
    r"^[ \t]*(?:from|import)\b[^\n(]*\btests\b(?:[^\n(]*\([^)]*\)|[^\n]*)", re.MULTILINE
)
TECHNOLOGIES = re.compile(r"mongo|monty|postgres|redis|sql|http|litestar", re.IGNORECASE)


def modules(folder: str = "") -> list[Path]:
    return sorted((SOURCES / folder).rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported_roots(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_the_four_roots_are_all_there_is() -> None:
    assert {path.name for path in SOURCES.iterdir() if path.is_dir() and path.name != "__pycache__"} == {
        "domain",
        "application",
        "adapters",
        "entrypoints",
    }


@pytest.mark.parametrize("layer", ["domain", "application"])
def test_the_core_imports_the_standard_library_and_itself(layer: str) -> None:
    allowed = set(sys.stdlib_module_names) | {"domain", layer}
    foreign = {
        f"{path.name}: {root}"
        for path in modules(layer)
        for root in imported_roots(path)
        if root not in allowed
    }
    assert not foreign


@pytest.mark.parametrize("layer", ["domain", "application"])
def test_the_core_has_no_clock_and_no_chance(layer: str) -> None:
    found = {
        f"{path.name}: {root}"
        for path in modules(layer)
        for root in imported_roots(path)
        if root in CLOCKS_AND_CHANCE
    }
    calls = [str(path) for path in modules(layer) if re.search(r"datetime\.(now|utcnow)\(", path.read_text())]
    assert not found
    assert not calls


def test_ports_name_no_technology() -> None:
    named = [
        f"{path.name}: {found.group()}"
        for path in modules("application/ports")
        for found in TECHNOLOGIES.finditer(path.read_text())
    ]
    assert not named


def test_files_are_named_after_what_they_hold() -> None:
    assert not [
        path for path in modules() if path.stem in FORBIDDEN_NAMES or path.parent.name in FORBIDDEN_NAMES
    ]


def test_files_stay_readable() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in modules()}
    assert not {str(path): length for path, length in lengths.items() if length > FILE_LINES_MAX}


def test_functions_stay_readable() -> None:
    long_functions = [
        f"{path.name}:{node.lineno} {node.name}"
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno > FUNCTION_LINES_MAX
    ]
    assert not long_functions


def test_every_module_says_what_it_is_for() -> None:
    assert not [str(path) for path in modules() if not ast.get_docstring(tree_of(path))]


def test_no_exception_is_swallowed_in_silence() -> None:
    silent = [
        f"{path.name}:{node.lineno}"
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
    ]
    assert not silent


def test_the_tests_never_patch_our_own_code() -> None:
    patched = [
        str(path)
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__)
        and re.search(r"mock\.patch|from unittest|monkeypatch\.setattr", path.read_text())
    ]
    assert not patched


def test_test_modules_import_no_test_modules() -> None:
    imported = [
        f"{path.relative_to(ROOT)}: {module}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if names_a_test_module(path)
        for node in ast.walk(tree_of(path))
        for module in imported_modules(node)
        if module.startswith("tests.") and ".test_" in module
    ]
    assert not imported, "move what they share into a module that is not named test_*"


def names_a_test_module(path: Path) -> bool:
    """Whether an import of the module may name one; to parse all of them takes seconds."""
    return any("test_" in found for found in IMPORTS_OF_TESTS.findall(path.read_text()))


def imported_modules(node: ast.AST) -> Iterator[str]:
    """The full names of what an import statement may load: its module, and each name below it."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{name.name}" for name in node.names if name.name.startswith("test_"))
