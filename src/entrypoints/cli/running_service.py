"""The service that runs on the same DATA_DIR: its address, and a client for commands.

While the service runs, commands send requests to it instead of opening the stores: MontyDB and the embedded PostgreSQL
serve one process at a time, and only the service knows its breaker and its recent errors. They sign in with a token
that the service renews in a file that only its owner can read, so they need neither its settings nor its keys.
"""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec
from loguru import logger

from application.accounts.users import no_account
from domain.errors import Invalid, StoreUnavailable, TandemError, Unavailable, Violation
from domain.user import normal_email
from entrypoints.composition.files import OWNER_ONLY, make_private_directory, replace_file
from entrypoints.http.protocol.problems import KINDS, outcome_of

SERVICE_FILE = "service.json"
SERVICE_LOCK = "service.lock"
LOCK_ATTEMPTS_MAX, LOCK_PAUSE_SECONDS = 10, 0.05
TIMEOUT_SECONDS = 10.0
LONG_SECONDS_MAX = 60.0
"""For imports and the like; the service itself ends a request after 30 s."""
PROBE_TIMEOUT_SECONDS = 1.0
ANSWER_BYTES_MAX = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunningService:
    """The address of a service, its process, and a token with which commands of its owner sign in.

    Process and token are None if only the address is known.
    """

    url: str
    pid: int | None = None
    token: str | None = None


class Announcement:
    """By what commands find this service: a file for its owner alone, with its address and a token, and a lock.

    The lock says that the service runs, and ends with the process, however that ends.
    """

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir
        self._path, self._lock_path = data_dir / SERVICE_FILE, data_dir / SERVICE_LOCK
        self._lock: int | None = None

    def begin(self) -> None:
        """Takes the lock, unless another service on the same directory has it. Raises OSError."""
        make_private_directory(self._directory)
        self._lock = _locked(self._lock_path)

    def is_lost(self) -> bool:
        """Whether somebody has removed or damaged what commands read. A directory that is gone is not made again."""
        if self._lock is None or not self._directory.is_dir():
            return False
        return not self._has_lock(self._lock) or _read(self._path) is None

    def write(self, service: RunningService) -> None:
        """Lets commands find the service at this address, unless they find another one. Raises OSError."""
        if self._lock is None or not self._directory.is_dir():
            return
        if not self._has_lock(self._lock):
            os.close(self._lock)
            self._lock = _locked(self._lock_path)
        replace_file(self._path, msgspec.json.encode(service), mode=OWNER_ONLY)

    def end(self) -> None:
        """Commands find no service any more."""
        if self._lock is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._lock)

    def _has_lock(self, lock: int) -> bool:
        return self._lock_path.exists() and os.path.samestat(os.fstat(lock), self._lock_path.stat())


@contextmanager
def announced(data_dir: Path) -> Iterator[Announcement]:
    """Lets commands find this service, once its announcement is written.

    Only commands need the files, so a directory that cannot be written is logged and the service goes on.
    """
    announcement = Announcement(data_dir)
    try:
        announcement.begin()
    except OSError as error:
        logger.warning(
            "DATA_DIR cannot be written ({}), so commands will not find this service. Give this user access to it.",
            error.strerror,
        )
    try:
        yield announcement
    finally:
        announcement.end()


def _locked(path: Path) -> int | None:
    """The lock; None if another service on the same directory has it, and so is the one that commands find."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    for _ in range(LOCK_ATTEMPTS_MAX):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_PAUSE_SECONDS)  # a command may be looking
        else:
            return lock
    os.close(lock)
    return None


async def find_running(data_dir: Path) -> RunningService | None:
    """The service that runs on this directory. Changes nothing. Raises ServiceHangs if it does not answer.

    A killed process leaves its file behind and no lock.
    """
    service = _read(data_dir / SERVICE_FILE)
    if service is None or service.pid is None or not _is_locked(data_dir / SERVICE_LOCK):
        return None
    try:
        await asyncio.to_thread(
            _exchange, service.url, "GET", "/livez", headers={}, timeout_seconds=PROBE_TIMEOUT_SECONDS
        )
    except (OSError, HTTPException) as error:
        raise ServiceHangs(
            f"The service (process {service.pid}) runs and does not answer at {service.url}. Read its log. If it is"
            f" stopped, type: kill -CONT {service.pid}; to end it, type: kill {service.pid}"
        ) from error
    return service


class ServiceHangs(StoreUnavailable):
    """The service runs and does not answer."""


class ServiceGone(StoreUnavailable):
    """The service does not answer any more."""


def _is_locked(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _read(path: Path) -> RunningService | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunningService)
    except (OSError, msgspec.MsgspecError):
        return None


class ServiceClient:
    """Sends requests to a service as an administrator, each within `timeout_seconds`."""

    is_lasting = True
    """What it starts goes on after the command."""

    def __init__(
        self, service: RunningService, *, token: str, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self.service = service
        self._token = token
        self._timeout_seconds = timeout_seconds

    async def acting_as(self, user_id: str) -> "ServiceClient":
        """A client of the same service that acts as this user."""
        issued = await self.ask("POST", "/operator/access-token", {"userId": user_id})
        token = str(issued["accessToken"])
        return ServiceClient(self.service, token=token, timeout_seconds=self._timeout_seconds)

    async def account(self, email: str) -> dict[str, object]:
        """The account with exactly this address. Raises NotFound without one."""
        address = normal_email(email)
        found = (await self.ask("GET", f"/v1/users?search={quote(address, safe='')}")).get("items")
        for user in found if isinstance(found, list) else ():
            if isinstance(user, dict) and user.get("email") == address:
                return user
        raise no_account(address)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout_seconds: float | None = None,
    ) -> dict[str, object]:
        """The JSON answer. Raises the domain error of an error response, and StoreUnavailable without a response."""
        content = None if body is None else json.dumps(body).encode()
        return decoded(await self.fetch(method, path, content=content, timeout_seconds=timeout_seconds))

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        kind: str = "application/json",
        timeout_seconds: float | None = None,
    ) -> bytes:
        """The bytes of the answer. Raises as `ask` does."""
        headers = {"Authorization": f"Bearer {self._token}"}
        if content is not None:
            headers["Content-Type"] = kind
        try:
            status, answer = await asyncio.to_thread(
                _exchange,
                self.service.url,
                method,
                path,
                headers=headers,
                content=content,
                timeout_seconds=timeout_seconds or self._timeout_seconds,
            )
        except (OSError, HTTPException) as error:
            message = f"The service at {self.service.url} does not answer. Start it, or correct the address."
            raise ServiceGone(message) from error
        if status >= 400:
            raise error_of(status, answer)
        return answer

    async def health(self) -> dict[str, object]:
        """The components, also while the service is down. Raises StoreUnavailable without a response."""
        try:
            _, answer = await asyncio.to_thread(
                _exchange,
                self.service.url,
                "GET",
                "/v1/health",
                headers={},
                timeout_seconds=self._timeout_seconds,
            )
        except (OSError, HTTPException) as error:
            raise ServiceGone(f"The service at {self.service.url} does not answer.") from error
        return decoded(answer)

    async def source_trouble(self) -> str | None:
        """Why the source cannot be used, as the health of the service says; None if it can. Raises as `health` does."""
        return trouble_in(await self.health())


def trouble_in(health: Mapping[str, object]) -> str | None:
    """Why the source cannot be used, in the answer of `/v1/health`; None if it can."""
    components = health.get("components")
    source = components.get("db") if isinstance(components, dict) else None
    if not isinstance(source, dict) or source.get("status") != "DOWN":
        return None
    return str(source.get("detail") or "It does not answer.")


def _exchange(
    url: str,
    method: str,
    path: str,
    *,
    headers: dict[str, str],
    content: bytes | None = None,
    timeout_seconds: float,
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


def error_of(status: int, answer: bytes) -> TandemError:
    """The error of an error response with all its reasons: the one that a command without a service would raise."""
    problem = decoded(answer)
    detail = problem.get("detail") or f"The service responded with status {status}. Its log has the cause."
    error = _kind_of(status, problem.get("code"))(str(detail))
    error.violations = tuple(_violations(problem.get("errors")))
    return error


def _kind_of(status: int, code: object) -> type[TandemError]:
    """The kind of this code, else the most general kind of this status: another server may have answered."""
    with_status = [kind for kind in KINDS if outcome_of(kind).status == status]
    for kind in with_status:
        if kind.code == code:
            return kind
    if with_status:
        return with_status[0]
    return Invalid if status < 500 else Unavailable


def _violations(errors: object) -> Iterator[Violation]:
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            yield Violation(str(error.get("pointer") or ""), str(error.get("message") or ""))


def decoded(answer: bytes) -> dict[str, object]:
    """The JSON object of an answer; an empty one if it is anything else."""
    try:
        view = json.loads(answer or b"{}")
    except ValueError:
        return {}
    return view if isinstance(view, dict) else {}
