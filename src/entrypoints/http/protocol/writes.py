"""Idempotent and conditional writes: Idempotency-Key, and whether If-Match is mandatory.

The key of a request is stored in the audit entry that is committed with its write, so a crash between the write and its
answer loses nothing: a repeated request is answered with the version in that entry. A request that was rejected or
changed nothing has no entry; it is carried out again, and its key stays unused.
"""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from application.actor import Actor, IdempotencyClaim
from application.history.audit import FindAnswer
from application.ports.read_routing import ReadRouting
from domain.audit import AuditEntry, SyncStatus
from domain.errors import AnswerPending, Invalid, TandemError, Unavailable, Violation
from entrypoints.http.protocol.answers import Tagged
from entrypoints.http.protocol.preconditions import expected_version
from entrypoints.http.protocol.problems import KeyReused, PreconditionMissing
from entrypoints.http.protocol.request import RawHeaders, Request, Scope, header

KEY_LENGTH_MAX = 255
_FIRST_VISIBLE, _LAST_VISIBLE = 0x21, 0x7E

E = TypeVar("E")
Run = Callable[[Actor], Awaitable[E]]
Replay = Callable[[str, int], Awaitable[E]]
"""Reads the result of an earlier request, by the id and version in its entry."""


class Writes:
    """The conventions of all writes. With `needs_versions`, If-Match is required wherever it is supported."""

    def __init__(
        self, find_answer: FindAnswer, *, needs_versions: bool, read_routing: ReadRouting | None = None
    ) -> None:
        self.needs_versions = needs_versions
        self._read_routing = read_routing
        self._find_answer = find_answer
        # Bounded by the requests in flight: a key is removed when its request ends.
        self._running: set[str] = set()

    async def once(
        self, request: Request, actor: Actor, *, run: Run[E], replay: Replay[E]
    ) -> tuple[E, RawHeaders]:
        """The result of the request, and the header of a replayed result.

        Raises Invalid for a malformed key, KeyReused for a key of another request, AnswerPending while the first
        request with the key is still running here, and all errors of `run`.
        """
        key = _key(request)
        if key is None:
            return await run(actor), ()
        claim = await _claim(request, actor, key)
        if claim.key in self._running:
            raise AnswerPending
        self._running.add(claim.key)
        try:
            return await self._claimed(replace(actor, claim=claim), run, replay)
        finally:
            self._running.discard(claim.key)

    async def _claimed(self, actor: Actor, run: Run[E], replay: Replay[E]) -> tuple[E, RawHeaders]:
        entry = await self._find_answer(actor)
        if entry is None:
            with suppress(_OvertakenByTwin):
                return await self._first(actor, run), ()
            entry = await self._find_answer(actor)
        if entry is None:
            raise AnswerPending
        _require_same_request(entry, actor)
        if self._read_routing is not None and entry.sync_status is not SyncStatus.SYNCED:
            self._read_routing.note_replayed(actor.id, entry.id)
        return await replay(entry.entity_id, entry.version), ((b"idempotency-replayed", b"true"),)

    async def _first(self, actor: Actor, run: Run[E]) -> E:
        try:
            return await run(actor)
        except Unavailable:
            raise
        except TandemError as error:
            # The error may be a consequence of the same request in another process: its key, a unique value or the
            # expected version is then taken.
            if await self._find_answer(actor) is None:
                raise
            raise _OvertakenByTwin from error

    async def expected_version(self, scope: Scope, current: Callable[[], Awaitable[Tagged]]) -> int | None:
        """The version that the preconditions require, None if any version is allowed.

        Raises PreconditionMissing if If-Match is required and missing, and the errors of `expected_version`.
        """
        if self.needs_versions and header(scope, b"if-match") is None:
            raise PreconditionMissing
        return await expected_version(scope, current)


class _OvertakenByTwin(Exception):
    """Another process carried out the same request in the meantime."""


def _require_same_request(entry: AuditEntry, actor: Actor) -> None:
    if actor.claim is None or entry.request_hash != actor.claim.request_hash:
        raise KeyReused(violations=[Violation("/Idempotency-Key", "was already used for another request")])


def _key(request: Request) -> str | None:
    raw = request.header(b"idempotency-key")
    if raw is None:
        return None
    if not 1 <= len(raw) <= KEY_LENGTH_MAX or not all(
        _FIRST_VISIBLE <= byte <= _LAST_VISIBLE for byte in raw
    ):
        message = f"must have 1 to {KEY_LENGTH_MAX} visible ASCII characters"
        raise Invalid(
            "The header Idempotency-Key is malformed.", violations=[Violation("/Idempotency-Key", message)]
        )
    return raw.decode("ascii")


async def _claim(request: Request, actor: Actor, key: str) -> IdempotencyClaim:
    """The claim of a key. Keys are bound to caller and operation, so nobody gets the answer of another user."""
    bound = f"{actor.id}\0{request.method}\0{request.path}\0{key}"
    content = b"\0".join((request.query_string, await request.body()))
    return IdempotencyClaim(
        key=hashlib.sha256(bound.encode("utf-8", "replace")).hexdigest(),
        request_hash=hashlib.sha256(content).hexdigest(),
    )
