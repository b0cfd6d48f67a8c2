"""Idempotency-Key: the same request again is answered again, not carried out again.

The answer is not kept as bytes: the audit entry that was committed together with the write names what it made, so a
crash between the write and its answer loses nothing. Requests that wrote nothing (refused ones, changes that change
nothing) are simply carried out again: that is the same answer as long as nobody else changed anything. Such a request
has no entry that could hold its key, so the key stays free, also for another body: nothing was done that a second
request could do twice. Keeping it would need a write for every request that changes nothing.
"""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from application.actor import Actor, IdempotencyClaim
from application.history.audit import FindAnswer
from domain.audit import AuditEntry
from domain.errors import AnswerPending, Invalid, TandemError, Unavailable, Violation
from entrypoints.http.exchange import header
from entrypoints.http.refusals import KeyReused
from entrypoints.http.rendering import HttpRequest, RawHeaders

KEY_LENGTH_MAX = 255
_FIRST_VISIBLE, _LAST_VISIBLE = 0x21, 0x7E

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Repeatable(Generic[E]):
    """How to carry a request out, and how to read again what an earlier one made (by id and version)."""

    run: Callable[[Actor], Awaitable[E]]
    load: Callable[[str, int], Awaitable[E]]


class Answers:
    """Carries out each request with a key once. `find_answer` looks an earlier one up in the audit trail."""

    def __init__(self, find_answer: FindAnswer) -> None:
        self._find_answer = find_answer
        # Bounded by the requests in flight: every key leaves when its request ends.
        self._running: set[str] = set()

    async def once(self, request: HttpRequest, actor: Actor, work: Repeatable[E]) -> tuple[E, RawHeaders]:
        """The entity that the request made, now or earlier, and the headers that say so.

        Raises Invalid for a malformed key, KeyReused where it stood for another request, AnswerPending while the first
        request with it is still running here, and whatever the work raises.
        """
        key = _key(request)
        if key is None:
            return await work.run(actor), ()
        claim = await _claim(request, actor, key)
        if claim.key in self._running:
            raise AnswerPending
        self._running.add(claim.key)
        try:
            return await self._claimed(replace(actor, claim=claim), work)
        finally:
            self._running.discard(claim.key)

    async def _claimed(self, actor: Actor, work: Repeatable[E]) -> tuple[E, RawHeaders]:
        entry = await self._find_answer(actor)
        if entry is None:
            with suppress(_OvertakenByTwin):
                return await self._first(actor, work), ()
            entry = await self._find_answer(actor)
        return await _replayed(entry, actor, work), ((b"idempotency-replayed", b"true"),)

    async def _first(self, actor: Actor, work: Repeatable[E]) -> E:
        try:
            return await work.run(actor)
        except Unavailable:
            raise
        except TandemError as refusal:
            # The same request may have been faster in another process: then its key is taken, or what it made is,
            # or what it changed is no longer what this one is about.
            if await self._find_answer(actor) is None:
                raise
            raise _OvertakenByTwin from refusal


class _OvertakenByTwin(Exception):
    """The same request was carried out elsewhere in the meantime."""


async def _replayed(entry: AuditEntry | None, actor: Actor, work: Repeatable[E]) -> E:
    if entry is None:
        raise AnswerPending
    if actor.claim is None or entry.request_hash != actor.claim.request_hash:
        violation = Violation("/Idempotency-Key", "was used for another request")
        raise KeyReused(violations=[violation])
    return await work.load(entry.entity_id, entry.version)


def _key(request: HttpRequest) -> str | None:
    raw = header(request.scope, b"idempotency-key")
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


async def _claim(request: HttpRequest, actor: Actor, key: str) -> IdempotencyClaim:
    """Keys belong to a caller and an operation: nobody meets the answers of others."""
    bound = "\0".join((actor.id, request.method, request.scope["path"], key))
    asked = b"\0".join((request.scope["query_string"], await request.body()))
    return IdempotencyClaim(
        key=hashlib.sha256(bound.encode("utf-8", "replace")).hexdigest(),
        request_hash=hashlib.sha256(asked).hexdigest(),
    )
