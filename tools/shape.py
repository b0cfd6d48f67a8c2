"""`python -m tools.shape`: how large the code is, and how deep a request goes, as Markdown tables.

Static: files and lines per package below `src`, and lines per operation of the committed OpenAPI document. Dynamic: one
create, one list and one read by id over each store, run in this process under a profiler. A *frame* is a function of
ours on the stack, counted from the operation's handler to the call that leaves our code for a driver or for a queue. A
*function entered* is counted once a request, however often it is called; a *call* also each time a coroutine goes on.

Any checkout can be measured: `python -m tools.shape --root DIRECTORY`.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from tests.servers.mongo import start_mongo_server

DRIVERS = (
    "/montydb/",
    "/pymongo/",
    "/psycopg/",
    "/psycopg_pool/",
    "/sqlalchemy/",
    "/asyncio/",
    "/concurrent/",
)
DRIVER_MODULES = frozenset({"sqlite3", "_asyncio", "_queue", "asyncio", "queue"})
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
WARM_UPS = 3
STORES: dict[str, dict[str, str]] = {
    "MontyDB in memory": {"STORE": "monty", "MONTY_STORAGE": "memory"},
    "MontyDB on disk": {"STORE": "monty", "MONTY_STORAGE": "sqlite"},
    "MongoDB": {"STORE": "mongo"},
    "PostgreSQL": {"STORE": "postgres", "POSTGRES_URL": "embedded"},
    "MontyDB mirrored to PostgreSQL": {
        "STORE": "dual",
        "DUAL_WRITE_SOURCE": "monty",
        "POSTGRES_URL": "embedded",
    },
}

Message = dict[str, Any]
Application = Callable[..., Awaitable[None]]


@dataclass
class Trace:
    """One request under the profiler: the deepest way to a driver, and every function of ours that it entered."""

    sources: str
    depth: int = 0
    calls: int = 0
    entered: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            name = frame.f_code.co_filename
            if name.startswith(self.sources):
                self.calls += 1
                self.entered.add((name, frame.f_code.co_qualname))
            elif any(part in name for part in DRIVERS):
                self._measure(frame.f_back)
        elif event == "c_call" and _module_of(argument) in DRIVER_MODULES:
            self._measure(frame)

    def _measure(self, frame: FrameType | None) -> None:
        """Counts our frames from the innermost outwards, up to the framework that called the handler."""
        if frame is None or not frame.f_code.co_filename.startswith(self.sources):
            return
        depth = 0
        while frame is not None and "/litestar/" not in frame.f_code.co_filename:
            depth += frame.f_code.co_filename.startswith(self.sources)
            frame = frame.f_back
        if frame is not None:
            self.depth = max(self.depth, depth)


def _module_of(function: object) -> str:
    """The top package of a built-in function, or of the object whose method it is."""
    owner = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__
    return owner.partition(".")[0]


class Client:
    """Requests straight into the application, without a socket."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.token = ""

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and decoded body of one request."""
        received: list[Message] = [
            {"type": "http.request", "body": json.dumps(body).encode() if body is not None else b""}
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return received.pop() if received else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._application(self._scope(method, path, has_body=body is not None), receive, send)
        content = b"".join(message.get("body", b"") for message in sent)
        return sent[0]["status"], json.loads(content) if content else None

    def _scope(self, method: str, path: str, *, has_body: bool) -> dict[str, Any]:
        target, _, query = path.partition("?")
        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {self.token}".encode())]
        if has_body:
            headers.append((b"content-type", b"application/json"))
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": target, "raw_path": target.encode(), "query_string": query.encode(), "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("localhost", 80), "state": {},
        }  # fmt: skip


def layers(root: Path) -> Iterator[tuple[str, int, int]]:
    """Each package of the layout with its files and lines."""
    sources = root / "src"
    for layer in ("domain", "application", "adapters", "entrypoints"):
        yield layer, *_counted(sources / layer)
        if layer != "domain":
            for package in sorted(
                path for path in (sources / layer).iterdir() if (path / "__init__.py").is_file()
            ):
                yield f"{layer}/{package.name}", *_counted(package)


def _counted(directory: Path) -> tuple[int, int]:
    files = list(directory.rglob("*.py"))
    return len(files), sum(len(file.read_text().splitlines()) for file in files)


def operations(root: Path) -> int:
    """How many operations the committed OpenAPI document describes."""
    document = json.loads((root / "docs" / "reference" / "openapi.json").read_text())
    return sum(method.upper() in METHODS for path in document["paths"].values() for method in path)


async def depths(root: Path, environment: dict[str, str]) -> dict[str, Trace]:
    """A trace of a create with project and label, of a list and of a read by id, over the stores so chosen."""
    from entrypoints.composition.container import build_container  # noqa: PLC0415 - after sys.path is set
    from entrypoints.composition.settings import read_settings  # noqa: PLC0415
    from entrypoints.composition.start import start  # noqa: PLC0415
    from entrypoints.http.app import create_app  # noqa: PLC0415

    os.environ.update({"APP_ENV": "test", "LOG_LEVEL": "ERROR", **environment})
    container = build_container(read_settings(os.environ))
    await start(container)
    try:
        return await _traced(Client(create_app(container)), f"{root / 'src'}{os.sep}")
    finally:
        await container.stack().close()


async def _traced(client: Client, sources: str) -> dict[str, Trace]:
    _, session = await client.ask("POST", "/v1/auth/dev/token", {"email": "shape@example.com"})
    client.token = session["accessToken"]
    _, project = await client.ask("POST", "/v1/projects", {"name": "Shape"})
    _, label = await client.ask("POST", "/v1/labels", {"name": "shape", "color": "#123456"})
    task = {"title": "A task", "projectId": project["id"], "labelIds": [label["id"]]}
    _, created = await client.ask("POST", "/v1/tasks", task)
    requests = {
        "create": ("POST", "/v1/tasks", task),
        "list": ("GET", "/v1/tasks?limit=20", None),
        "get": ("GET", f"/v1/tasks/{created['id']}", None),
    }
    traces = {}
    for name, request in requests.items():
        for _ in range(WARM_UPS):
            await client.ask(*request)
        trace = traces[name] = Trace(sources)
        sys.setprofile(trace)
        try:
            status, _ = await client.ask(*request)
        finally:
            sys.setprofile(None)
        if status >= 400:
            raise SystemExit(f"{name} was answered with {status}")
    return traces


def _print_static(root: Path) -> None:
    print("| package | files | lines |\n|---|---:|---:|")
    total = 0
    for name, files, lines in layers(root):
        total += lines if "/" not in name else 0
        print(f"| {name} | {files} | {lines:,} |")
    count = operations(root)
    print(f"\n{total:,} lines of source, {count} operations, {total / count:.0f} lines an operation.\n")


def _print_dynamic(root: Path) -> None:
    print("| store | request | frames from handler to driver | functions entered | modules | calls |")
    print("|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as directory:
        mongo = start_mongo_server(Path(directory) / "mongo")
        try:
            for number, (store, environment) in enumerate(STORES.items()):
                places = {"DATA_DIR": f"{directory}/{number}", "MONGODB_URI": mongo.uri}
                for request, trace in asyncio.run(depths(root, environment | places)).items():
                    modules = len({file for file, _ in trace.entered})
                    print(
                        f"| {store} | {request} | {trace.depth} | {len(trace.entered)} | {modules} | {trace.calls} |"
                    )
        finally:
            mongo.close()


def main() -> None:
    """Prints the tables for this checkout, or for the one that `--root` names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    root = parser.parse_args().root.resolve()
    sys.path.insert(0, str(root / "src"))
    _print_static(root)
    _print_dynamic(root)


if __name__ == "__main__":
    main()
