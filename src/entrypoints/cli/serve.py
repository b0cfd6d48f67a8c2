"""`tandem serve`: the service, in this process, until a signal ends it."""

import asyncio
import errno
import gc
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import click
import uvicorn
from loguru import logger

from application.demonstration import SeedDemonstration
from domain.errors import Unavailable
from entrypoints.cli.configuration import place
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import announced
from entrypoints.cli.session import current_settings, operator
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.logs import start_logging
from entrypoints.composition.settings import HttpSettings, Settings
from entrypoints.composition.start import start
from entrypoints.worker.jobs import retention_of
from entrypoints.worker.main import run_jobs

BACKLOG_MAX = 2_048
DRAIN_SECONDS_MAX = 20
TIDYING_SECONDS_MAX = 2.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
ANY_ADDRESS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - what people write to listen everywhere


@click.command(cls=TandemCommand)
@click.option("--demo", is_flag=True, help="Add a little demo data, once.")
@click.option("--host", help="Where to listen; wins over HOST.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Wins over PORT; 0 takes a free one.")
async def serve(console: Console, *, demo: bool, host: str | None, port: int | None) -> ExitCode:
    """Run the service.

    It listens at once. While a store does not answer it says so, tries again, and answers 503 until it does.
    SIGTERM or Ctrl-C lets running requests finish first.
    """
    settings = _listening_as_asked(current_settings(), host, port)
    if demo and settings.is_production:
        raise click.UsageError("Demo data does not belong into production (APP_ENV=production).")
    start_logging(settings)
    if not settings.is_production and _is_reachable(settings.http):
        logger.warning(
            "Development tokens need no proof, and this listens beyond this machine: mind who can reach it."
        )
    with _listener(settings.http) as listener:
        service = _Service(build_container(settings), console, url=_url_of(listener), with_demo=demo)
        await service.run(listener)
    return ExitCode.FINE


def _is_reachable(http: HttpSettings) -> bool:
    """Whether other machines may be able to reach the service."""
    return http.host not in LOOPBACK


class _Server(uvicorn.Server):
    """Leaves signals to us: it would raise them again at its end, before the stores are closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class _Service:
    """The HTTP server and the stores behind it, in one process."""

    container: Container
    console: Console
    url: str
    with_demo: bool

    async def run(self, listener: socket.socket) -> None:
        """Serves until a signal. Raises StoreRefused and its like where the stores must not be used."""
        server = _Server(_configuration(self.container))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.handle_exit, number, None)
        stack = self.container.stack()
        with ExitStack() as notes:
            stopping = asyncio.Event()
            opening = asyncio.create_task(self._open(notes), name="opening the stores")
            tidying = asyncio.create_task(self._tidy(opening, stopping), name="emptying old trash")
            serving = asyncio.create_task(server.serve(sockets=[listener]), name="serving")
            try:
                await asyncio.wait({opening, serving}, return_when=asyncio.FIRST_COMPLETED)
                if opening.done() and opening.exception() is not None:
                    server.should_exit = True
                await serving
            finally:
                opening.cancel()
                stopping.set()
                await asyncio.wait({opening, tidying})
                await stack.close()
        if not opening.cancelled():
            opening.result()
        if server.lifespan.should_exit:
            raise RuntimeError("The web framework did not start; the log says why.")

    async def _open(self, notes: ExitStack) -> None:
        """Opens the stores, however long that takes, and says that the service is ready."""
        stack = self.container.stack()
        await start(self.container)
        # What the start has made stays for good. Left to the collector, it would make each full collection stop all
        # requests for a tenth of a second and more.
        gc.freeze()
        stack.start_relay()
        settings = self.container.settings()
        notes.enter_context(announced(settings.stores.data_dir, self.url))
        demo_email = await self._seed() if self.with_demo else None
        self._say_ready(settings, demo_email)

    async def _tidy(self, opening: asyncio.Task[None], stopping: asyncio.Event) -> None:
        """A worker's jobs beside the mirror, once the stores are open, until the service stops."""
        await asyncio.wait({opening})
        if not opening.cancelled() and opening.exception() is None:
            await run_jobs([retention_of(self.container)], stopping, drain_seconds_max=TIDYING_SECONDS_MAX)

    async def _seed(self) -> str | None:
        try:
            report = await self.container.builder().build(SeedDemonstration)(operator(self.container))
        except Unavailable as error:
            logger.warning("The demo data waits for the next start: {}", error.message)
            return None
        return report.email

    def _say_ready(self, settings: Settings, demo_email: str | None) -> None:
        source, target = settings.stores.source, settings.stores.target
        view = {
            "url": self.url,
            "pid": os.getpid(),
            "source": place(settings.stores, source),
            "target": None if target is None else place(settings.stores, target),
            "demo": demo_email,
        }

        def people() -> None:
            self.console.line(f"Tandem answers at {self.url} (reader of the interface: {self.url}/docs)")
            self.console.line(f"It stores in {view['source']}.")
            if target is not None:
                self.console.line(f"Every write is mirrored to {view['target']}.")
            if demo_email is not None:
                self.console.line(
                    f"The demo data belongs to {demo_email}; a token: tandem admin token {demo_email}"
                )
            self.console.line("Ctrl-C ends it.")

        self.console.show(view, people)


def _listening_as_asked(settings: Settings, host: str | None, port: int | None) -> Settings:
    http = settings.http
    asked = replace(http, host=http.host if host is None else host, port=http.port if port is None else port)
    return replace(settings, http=asked)


def _configuration(container: Container) -> uvicorn.Config:
    # Only this command pays for loading the web framework.
    from entrypoints.http.app import create_app  # noqa: PLC0415

    stack = container.stack()
    return uvicorn.Config(
        create_app(container, is_started=lambda: stack.is_open),
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
    )


def _listener(http: HttpSettings) -> socket.socket:
    """The listening socket. Raises UsageError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        return socket.create_server((http.host, http.port), family=family, backlog=BACKLOG_MAX)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise click.UsageError(
                f"Port {http.port} is in use, maybe by another Tandem. Choose one with --port; 0 takes a free one."
            ) from error
        raise click.UsageError(
            f"Cannot listen at {http.host}, port {http.port}: {error.strerror}."
        ) from error


def _url_of(listener: socket.socket) -> str:
    """The address for somebody on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ANY_ADDRESS:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
