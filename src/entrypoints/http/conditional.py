"""Entity tags: `"<version>"`, strong. If-None-Match for readers, If-Match for writers (RFC 9110, section 13)."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from domain.errors import Invalid, Violation
from entrypoints.http.exchange import joined_header
from entrypoints.http.refusals import PreconditionMissing, Stale

TAGS_MAX = 100
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_VERSION = re.compile(r"0|[1-9][0-9]{0,17}")
_ANY = "*"


class Tagged(Protocol):
    """What is answered under an entity tag: an entity, or what one caller sees of one."""

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...


def entity_tag(version: int) -> bytes:
    """The tag of a version."""
    return b'"%d"' % version


def has_seen(scope: Mapping[str, Any], version: int) -> bool:
    """Whether If-None-Match names this version (weakly: that is how readers compare). Malformed tags match nothing."""
    given = joined_header(scope, b"if-none-match")
    if given is None:
        return False
    if given.strip() == _ANY:
        return True
    tags = _tags(given)
    return tags is not None and any(tag == str(version) for _, tag in tags)


class Preconditions:
    """What writers demand of the version they change. `mandatory` asks for a demand at every write."""

    def __init__(self, *, mandatory: bool) -> None:
        self.mandatory = mandatory

    async def expected_version(
        self, scope: Mapping[str, Any], current: Callable[[], Awaitable[Tagged]]
    ) -> int | None:
        """The version the writer insists on, None where any will do.

        `current` is asked only where the header does not name exactly one version of ours. Raises Invalid for a
        malformed header, Stale where no tag can match, PreconditionMissing where a demand is mandatory and missing.
        """
        given = joined_header(scope, b"if-match")
        if given is None:
            if self.mandatory:
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
