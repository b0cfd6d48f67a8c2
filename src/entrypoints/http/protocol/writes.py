"""How a write goes: once per Idempotency-Key, and only on the version that If-Match names (RFC 9110, section 13).

A repeated request is answered from what the first one made, which the audit entry names that was committed with the
write; so a crash between the write and its answer loses nothing. A request that wrote nothing (it was rejected, or
changed nothing) has no entry that could hold its key. It is carried out again, and its key stays free.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from application.actor import Actor, IdempotencyClaim
from application.history.audit import FindAnswer
from domain.audit import AuditEntry
from domain.errors import AnswerPending, Invalid, TandemError, Unavailable, Violation
from entrypoints.http.protocol.answers import Tagged
from entrypoints.http.protocol.problems import KeyReused, PreconditionMissing, Stale
from entrypoints.http.protocol.request import RawHeaders, Request, Scope, joined_header

KEY_LENGTH_MAX = 255
TAGS_MAX = 100
_FIRST_VISIBLE, _LAST_VISIBLE = 0x21, 0x7E
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_VERSION = re.compile(r"0|[1-9][0-9]{0,17}")
_ANY = "*"

E = TypeVar("E")
Run = Callable[[Actor], Awaitable[E]]
Replay = Callable[[str, int], Awaitable[E]]
"""Reads what an earlier request made, by the id and version in its entry."""


def entity_tag(version: int) -> bytes:
    """The tag of a version."""
    return b'"%d"' % version


def has_seen(scope: Scope, version: int) -> bool:
    """Whether If-None-Match names this version (weakly: that is how readers compare). Malformed tags match nothing."""
    given = joined_header(scope, b"if-none-match")
    if given is None:
        return False
    if given.strip() == _ANY:
        return True
    tags = _tags(given)
    return tags is not None and any(tag == str(version) for _, tag in tags)


class Writes:
    """The conventions of all writes. With `needs_versions` every guarded write must send If-Match."""

    def __init__(self, find_answer: FindAnswer, *, needs_versions: bool) -> None:
        self.needs_versions = needs_versions
        self._find_answer = find_answer
        # Bounded by the requests in flight: every key leaves when its request ends.
        self._running: set[str] = set()

    async def once(
        self, request: Request, actor: Actor, *, run: Run[E], replay: Replay[E]
    ) -> tuple[E, RawHeaders]:
        """What the request made, now or earlier, and the headers that say which.

        Raises Invalid for a malformed key, KeyReused where it stood for another request, AnswerPending while the first
        request with it is still running here, and whatever `run` raises.
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
        return await replay(entry.entity_id, entry.version), ((b"idempotency-replayed", b"true"),)

    async def _first(self, actor: Actor, run: Run[E]) -> E:
        try:
            return await run(actor)
        except Unavailable:
            raise
        except TandemError as error:
            # The same request may have been faster in another process: then its key is taken, or what it made is,
            # or what it changed is no longer what this one is about.
            if await self._find_answer(actor) is None:
                raise
            raise _OvertakenByTwin from error

    async def expected_version(self, scope: Scope, current: Callable[[], Awaitable[Tagged]]) -> int | None:
        """The version that If-Match insists on, None where any will do.

        `current` is called only if the header does not name exactly one version. Raises Invalid for a malformed
        header, Stale where no tag can match, PreconditionMissing where the header is mandatory and missing.
        """
        given = joined_header(scope, b"if-match")
        if given is None:
            if self.needs_versions:
                raise PreconditionMissing
            return None
        if given.strip() == _ANY:
            return None
        tags = _tags(given)
        if tags is None:
            message = 'must be * or a list of entity tags such as "3"'
            raise Invalid("The header If-Match is malformed.", violations=[Violation("/If-Match", message)])
        # Writers compare strongly: a weak tag never matches.
        named = [int(tag) for weak, tag in tags if not weak and _VERSION.fullmatch(tag)]
        if len(named) == len(tags) == 1:
            return named[0]
        present = (await current()).version
        if present not in named:
            raise Stale(current_version=present)
        return present


class _OvertakenByTwin(Exception):
    """The same request was carried out elsewhere in the meantime."""


def _require_same_request(entry: AuditEntry, actor: Actor) -> None:
    if actor.claim is None or entry.request_hash != actor.claim.request_hash:
        raise KeyReused(violations=[Violation("/Idempotency-Key", "was used for another request")])


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
    """Keys belong to a caller and an operation: nobody meets the answers of others."""
    bound = f"{actor.id}\0{request.method}\0{request.path}\0{key}"
    asked = b"\0".join((request.query_string, await request.body()))
    return IdempotencyClaim(
        key=hashlib.sha256(bound.encode("utf-8", "replace")).hexdigest(),
        request_hash=hashlib.sha256(asked).hexdigest(),
    )


def _tags(text: str) -> list[tuple[bool, str]] | None:
    """Each tag of a list as (is weak, opaque text); None for a malformed list."""
    tags: list[tuple[bool, str]] = []
    for member in _members(text):
        match = _TAG.fullmatch(member)
        if match is None or len(tags) >= TAGS_MAX:
            return None
        tags.append((match[1] is not None, match[2]))
    return tags or None


def _members(text: str) -> list[str]:
    """The members of a comma-separated list; commas may stand inside quotes, empty members count for nothing."""
    members = re.findall(r'(?:[^",]|"[^"]*"?)+', text)
    return [member.strip() for member in members if member.strip()]
