"""`tandem serve`: runs the service in this process until a signal stops it."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import click
import uvicorn
from loguru import logger

from application.actor import SYSTEM_ID
from application.demonstration import SeedDemonstration
from application.ports.tokens import Identity
from domain.errors import Unavailable
from domain.permissions import Grant
from entrypoints.cli.collector import collect_as_usual
from entrypoints.cli.configuration import location_of
from entrypoints.cli.console import Console
from entrypoints.cli.exits import ExitCode
from entrypoints.cli.running_service import Announcement, RunningService, announced
from entrypoints.cli.session import current_settings, operator
from entrypoints.cli.streams import drop_output_if_closed
from entrypoints.cli.tree import TandemCommand
from entrypoints.composition.container import Container, build_container
from entrypoints.composition.installation import is_known, remember
from entrypoints.composition.logs import start_logging
from entrypoints.composition.settings import HttpSettings, Settings
from entrypoints.composition.stack_reports import until_files_are_gone
from entrypoints.composition.start import start
from entrypoints.worker.jobs import retention_of, verification_of
from entrypoints.worker.main import run_jobs

BACKLOG_MAX = 2_048
DRAIN_SECONDS_MAX = 20
RETENTION_DRAIN_SECONDS_MAX = 2.0
LOOK_SECONDS = 2.0
"""How often the service looks whether commands still find it."""
TOKEN_RENEWAL_SECONDS = 300.0
"""A third of the time that the token of commands is valid."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
ANY_ADDRESS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not listened on


@click.command(cls=TandemCommand)
@click.option("--demo", is_flag=True, help="Add demo data, unless it was added before.")
@click.option("--host", help="The address to listen on, instead of HOST.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="The port, instead of PORT; 0 chooses a free one.",
)
@click.option(
    "--alone",
    is_flag=True,
    help="Take writes although the target cannot be reached and the source is older than when it was last used here.",
)
async def serve(console: Console, *, demo: bool, alone: bool, host: str | None, port: int | None) -> ExitCode:
    """Run the service.

    It listens at once. While the source does not answer, it logs that, tries again, and responds with status 503.
    On SIGTERM or Ctrl-C it finishes running requests and stops.
    """
    drop_output_if_closed()
    settings = _with_address(current_settings(), host, port)
    settings = replace(settings, stores=replace(settings.stores, is_alone=alone))
    if demo and settings.is_production:
        raise click.UsageError(
            "Demo data cannot be added in production (APP_ENV=production). Leave out --demo."
        )
    start_logging(settings)
    with _listener(settings.http) as listener:
        if not settings.is_production and _is_reachable(settings.http):
            logger.warning(
                "Other machines can reach this service, and in development anybody can get a token without proof of"
                " identity. Set HOST=127.0.0.1, or APP_ENV=production."
            )
        service = _Service(build_container(settings), console, url=_url_of(listener), with_demo=demo)
        await service.run(listener)
    return ExitCode.SUCCESS


def _is_reachable(http: HttpSettings) -> bool:
    """Whether other machines may be able to reach the service."""
    return http.host not in LOOPBACK


class _Server(uvicorn.Server):
    """Sets `is_serving` once it answers requests, and leaves signals to `_Service`: Uvicorn would raise them again when
    it ends, before the stores are closed.
    """

    def __init__(self, config: uvicorn.Config, is_serving: asyncio.Event) -> None:
        super().__init__(config)
        self._is_serving = is_serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._is_serving.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:
            # Uvicorn leaves requests and the application running where a second Ctrl-C came.
            requests = [*self.server_state.tasks]
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            await self.lifespan.shutdown()

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
        """Serves until a signal. Raises StoreRefused and UnmigratedStore where the stores must not be used."""
        stack = self.container.stack()
        with ExitStack() as announcement:
            stopping, is_serving = asyncio.Event(), asyncio.Event()
            # First, so that an embedded PostgreSQL starts while this process loads the web framework.
            opening = asyncio.create_task(self._open(announcement, is_serving), name="opening the stores")
            jobs = asyncio.create_task(self._run_jobs(opening, stopping), name="jobs")
            watching = asyncio.create_task(until_files_are_gone(stack), name="watching the files")
            try:
                create_configuration = await asyncio.to_thread(_load_framework)
                server = _Server(create_configuration(self.container), is_serving)
                _stop_on_signals(server)
                serving = asyncio.create_task(server.serve(sockets=[listener]), name="serving")
                try:
                    await asyncio.wait({opening, serving}, return_when=asyncio.FIRST_COMPLETED)
                    if opening.done() and opening.exception() is not None:
                        server.should_exit = True
                    await asyncio.wait({watching, serving}, return_when=asyncio.FIRST_COMPLETED)
                finally:  # also where a Ctrl-C from before `_stop_on_signals` cancels this
                    server.should_exit = True
                    await asyncio.wait({serving})
                await serving
            finally:
                watching.cancel()
                opening.cancel()
                stopping.set()
                await asyncio.wait({opening, jobs, watching})
                await self.container.move_jobs().close()
                await stack.close()
        for task in (opening, watching):
            if not task.cancelled():
                task.result()
        if server.lifespan.should_exit:
            raise RuntimeError("The web framework did not start; the log says why.")

    async def _open(self, announcement: ExitStack, is_serving: asyncio.Event) -> None:
        """Opens the stores, however long that takes, and prints that the service is ready once it is."""
        await start(self.container)
        self.container.stack().start_relay()
        settings = self.container.settings()
        demo_email = await self._seed() if self.with_demo else None
        await is_serving.wait()
        self._remember(settings)
        announced_here = announcement.enter_context(announced(settings.stores.data_dir))
        self._announce(announced_here)
        renewal = asyncio.create_task(
            self._keep_announced(announced_here), name="renewing the token of commands"
        )
        announcement.callback(renewal.cancel)
        collect_as_usual()
        self._print_ready(settings, demo_email)

    async def _keep_announced(self, announcement: Announcement) -> None:
        """Renews the token, and what was removed from DATA_DIR, until it is cancelled, when the service ends."""
        clock, settings = asyncio.get_running_loop(), self.container.settings()
        renewed_at = clock.time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            is_forgotten = settings.stores.data_dir.is_dir() and not is_known(settings.stores.data_dir)
            if is_forgotten:
                self._remember(settings)
            if announcement.is_lost() or clock.time() - renewed_at >= TOKEN_RENEWAL_SECONDS:
                self._announce(announcement)
                renewed_at = clock.time()

    def _announce(self, announcement: Announcement) -> None:
        """Writes where commands find this service, with a token that expires soon after the service has ended."""
        issued = self.container.tokens().issue(Identity(SYSTEM_ID, frozenset({str(Grant.ADMIN)})))
        try:
            announcement.write(RunningService(self.url, os.getpid(), issued.access_token))
        except OSError as error:
            logger.warning(
                "DATA_DIR cannot be written ({}), so commands may not find this service.", error.strerror
            )

    def _remember(self, settings: Settings) -> None:
        try:
            remember(settings)
        except OSError as error:
            logger.warning("DATA_DIR cannot be written ({}), so commands need all settings.", error.strerror)

    async def _run_jobs(self, opening: asyncio.Task[None], stopping: asyncio.Event) -> None:
        """Runs the retention and verification jobs while the stores are open, until the service stops."""
        await asyncio.wait({opening})
        if not opening.cancelled() and opening.exception() is None:
            await run_jobs(
                [retention_of(self.container), *verification_of(self.container)],
                stopping,
                drain_seconds_max=RETENTION_DRAIN_SECONDS_MAX,
            )

    async def _seed(self) -> str | None:
        try:
            report = await self.container.builder().build(SeedDemonstration)(operator(self.container))
        except Unavailable as error:
            logger.warning("The demo data was not added; the next start tries again. {}", error.message)
            return None
        return report.email

    def _print_ready(self, settings: Settings, demo_email: str | None) -> None:
        source, target = settings.stores.source, settings.stores.target
        view = {
            "url": self.url,
            "pid": os.getpid(),
            "source": location_of(settings.stores, source),
            "target": None if target is None else location_of(settings.stores, target),
            "demo": demo_email,
        }

        def print_view() -> None:
            self.console.line(f"Tandem is ready at {self.url} (API documentation: {self.url}/docs)")
            self.console.line(f"Source: {view['source']}.")
            if target is not None:
                self.console.line(f"Target of the mirror: {view['target']}.")
            if demo_email is not None:
                self.console.line(
                    f"The demo data belongs to {demo_email}. For a token, type: tandem admin token {demo_email}"
                )
            self.console.line("Press Ctrl-C to stop it.")

        self.console.show(view, print_view)


def _with_address(settings: Settings, host: str | None, port: int | None) -> Settings:
    http = settings.http
    asked = replace(http, host=http.host if host is None else host, port=http.port if port is None else port)
    return replace(settings, http=asked)


def _load_framework() -> Callable[[Container], uvicorn.Config]:
    # In a thread, while the stores are opened.
    from entrypoints.http.app import create_app, create_connections  # noqa: PLC0415

    def create_configuration(container: Container) -> uvicorn.Config:
        stack = container.stack()
        return uvicorn.Config(
            create_app(container, is_started=lambda: stack.is_open),
            http=create_connections(container),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # Only TRUSTED_PROXIES decides whose word about clients counts.
            proxy_headers=False,
            timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
        )

    return create_configuration


def _stop_on_signals(server: _Server) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)


def _listener(http: HttpSettings) -> socket.socket:
    """The listening socket. Raises UsageError if the address is not available."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        return socket.create_server((http.host, http.port), family=family, backlog=BACKLOG_MAX)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise click.UsageError(
                f"Port {http.port} is in use. Stop the program that uses it, or choose another with --port (0: any)."
            ) from error
        raise click.UsageError(
            f"Cannot listen on {http.host}, port {http.port}: {error.strerror}. Choose others with --host and --port."
        ) from error


def _url_of(listener: socket.socket) -> str:
    """The address of the service on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ANY_ADDRESS:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
