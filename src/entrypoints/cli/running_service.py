"""The service that runs on the same DATA_DIR: its address, and a client for commands.

MontyDB and the embedded PostgreSQL serve one process at a time. While the service runs, commands therefore send
requests to it instead of opening the stores.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec
from loguru import logger

from application.actor import SYSTEM_ID
from application.ports.tokens import Identity, TokenIssuer
from domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RuleBroken,
    StoreUnavailable,
    TandemError,
    Unauthenticated,
    Unavailable,
)
from domain.permissions import Grant
from domain.user import normal_email
from entrypoints.composition.container import build_container
from entrypoints.composition.settings import EMBEDDED, Settings

SERVICE_FILE = "service.json"
MONTY, POSTGRES = "monty", "postgres"
TIMEOUT_SECONDS = 10.0
PROBE_TIMEOUT_SECONDS = 1.0
ANSWER_BYTES_MAX = 32 * 1024 * 1024

_ERRORS: dict[int, type[TandemError]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: RuleBroken,
    503: Unavailable,
}


@dataclass(frozen=True, slots=True)
class RunningService:
    """The address of a service and its process; None if only the address is known."""

    url: str
    pid: int | None = None


@contextmanager
def announced(data_dir: Path, url: str) -> Iterator[None]:
    """Keeps a file with the address of this process in the data directory while the block runs.

    Only commands need the file, so a directory that cannot be written is logged and the service goes on.
    """
    path = data_dir / SERVICE_FILE
    service = RunningService(url, os.getpid())
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{SERVICE_FILE}.{service.pid}")
        draft.write_bytes(msgspec.json.encode(service))
        draft.replace(path)
    except OSError as error:
        logger.warning(
            "DATA_DIR cannot be written ({}), so commands will not find this service. Give this user access to it.",
            error.strerror,
        )
    try:
        yield
    finally:
        if _read(path) == service:
            path.unlink(missing_ok=True)


async def find_running(data_dir: Path) -> RunningService | None:
    """The service that the file in this directory names, if it still answers.

    A killed process leaves its file behind, and any program may use its port since. Only a live process is contacted.
    """
    service = _read(data_dir / SERVICE_FILE)
    if service is None or service.pid is None or not _is_alive(service.pid):
        return None
    with suppress(OSError, HTTPException):
        status, _ = await asyncio.to_thread(
            _exchange, service.url, "GET", "/livez", headers={}, timeout_seconds=PROBE_TIMEOUT_SECONDS
        )
        return service if status == 200 else None
    return None


async def service_holding_stores(settings: Settings) -> RunningService | None:
    """The running service if a store of these settings is embedded, and so serves that process alone."""
    stores = settings.stores
    is_embedded = MONTY in stores.named or (POSTGRES in stores.named and stores.postgres_url == EMBEDDED)
    return await find_running(stores.data_dir) if is_embedded else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: Path) -> RunningService | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunningService)
    except (OSError, msgspec.MsgspecError):
        return None


class ServiceClient:
    """Sends requests to a service with a token from the keys that both processes share: as the system, which may do
    everything, unless another identity is given.
    """

    def __init__(
        self, service: RunningService, settings: Settings, *, identity: Identity | None = None
    ) -> None:
        self.service = service
        caller = identity or Identity(SYSTEM_ID, frozenset({str(Grant.ADMIN)}))
        self._token = token_issuer(settings).issue(caller).access_token

    async def account(self, email: str) -> dict[str, object]:
        """The account with exactly this address. Raises NotFound without one."""
        address = normal_email(email)
        found = (await self.ask("GET", f"/v1/users?search={quote(address, safe='')}")).get("items")
        for user in found if isinstance(found, list) else ():
            if isinstance(user, dict) and user.get("email") == address:
                return user
        raise NotFound(f"There is no account with the address {address}.")

    async def ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """The JSON answer. Raises the domain error of an error response, and StoreUnavailable without a response."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            status, answer = await asyncio.to_thread(
                _exchange, self.service.url, method, path, headers=headers, content=content
            )
        except (OSError, HTTPException) as error:
            message = f"The service at {self.service.url} does not answer. Start it, or correct the address."
            raise StoreUnavailable(message) from error
        view = _decoded(answer)
        if status >= 400:
            detail = str(
                view.get("detail") or f"The service responded with status {status}. Its log has the cause."
            )
            raise _ERRORS.get(status, Unavailable)(detail)
        return view


def token_issuer(settings: Settings) -> TokenIssuer:
    """Issues tokens that every process with the same keys accepts."""
    return build_container(settings).tokens()


def _exchange(
    url: str,
    method: str,
    path: str,
    *,
    headers: dict[str, str],
    content: bytes | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[int, bytes]:
    """One request on its own connection. It blocks, so it runs in a thread."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_seconds)
    try:
        connection.request(method, parts.path.rstrip("/") + path, body=content, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(ANSWER_BYTES_MAX)
    finally:
        connection.close()


def _decoded(answer: bytes) -> dict[str, object]:
    try:
        view = json.loads(answer or b"{}")
    except ValueError:
        return {}
    return view if isinstance(view, dict) else {}
