"""Entity tags and preconditions (RFC 9110, sections 8.8.3 and 13).

The tag of a version is its number, `"3"`, or `"3-gz"` for its compressed form; conditions accept both. If-Match
compares strongly, so a weak tag never matches; If-None-Match compares weakly. If-Match is evaluated first.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from domain.errors import Invalid, Violation
from entrypoints.http.protocol.answers import Tagged
from entrypoints.http.protocol.compression import TAG_SUFFIX
from entrypoints.http.protocol.problems import Stale
from entrypoints.http.protocol.request import Scope, joined_header

TAGS_MAX = 100
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_MEMBER = re.compile(r'(?:[^",]|"[^"]*"?)+')
_VERSION = re.compile(r"(?:0|[1-9][0-9]{0,17})")
_SUFFIX = TAG_SUFFIX.decode()
EXCLUDED = "If-None-Match excludes the current version; leave the header out to change it."


@dataclass(frozen=True, slots=True)
class Tag:
    """An entity tag in a condition; `content` is the tag of the uncompressed form."""

    is_weak: bool
    content: str
    is_compressed: bool

    @property
    def version(self) -> int | None:
        """The version with this tag, None for a tag that no version has."""
        return int(self.content) if _VERSION.fullmatch(self.content) else None


@dataclass(frozen=True, slots=True)
class Condition:
    """The value of If-Match or If-None-Match: a list of tags, or `*`, which any version meets."""

    is_any: bool
    tags: tuple[Tag, ...] = ()

    def strong_versions(self) -> list[int]:
        """The versions in the list that can match strongly."""
        return [tag.version for tag in self.tags if not tag.is_weak and tag.version is not None]

    def allows(self, version: int) -> bool:
        """Whether If-Match is met."""
        return self.is_any or version in self.strong_versions()

    def excludes(self, version: int) -> bool:
        """Whether If-None-Match is not met."""
        return self.is_any or any(tag.version == version for tag in self.tags)


def entity_tag(version: int) -> bytes:
    """The entity tag of a version."""
    return b'"%d"' % version


def seen_tag(scope: Scope, content: str) -> bytes | None:
    """The tag for a response with 304: the one that the client has, or None if If-None-Match does not contain the tag
    with this content. Raises Invalid for a malformed header.
    """
    seen = _condition(scope, "If-None-Match")
    if seen is None:
        return None
    if seen.is_any:
        return f'"{content}"'.encode()
    for tag in seen.tags:
        if tag.content == content:
            return f'"{content}{_SUFFIX if tag.is_compressed else ""}"'.encode()
    return None


def require_match(scope: Scope, version: int) -> None:
    """Raises Stale if a reader's If-Match is not met by this version, Invalid for a malformed header."""
    required = _condition(scope, "If-Match")
    if required is not None and not required.allows(version):
        raise Stale(current_version=version)


async def expected_version(scope: Scope, current: Callable[[], Awaitable[Tagged]]) -> int | None:
    """The version that a write must find, None if any version is allowed.

    `current` is called only if the headers do not name exactly one version. Raises Invalid for malformed headers, Stale
    if If-Match or If-None-Match is not met.
    """
    required, excluded = _condition(scope, "If-Match"), _condition(scope, "If-None-Match")
    if excluded is None:
        if required is None or required.is_any:
            return None
        versions = required.strong_versions()
        if len(versions) == len(required.tags) == 1:
            return versions[0]
    version = (await current()).version
    if required is not None and not required.allows(version):
        raise Stale(current_version=version)
    if excluded is not None and excluded.excludes(version):
        raise Stale(EXCLUDED, current_version=version)
    return version


def _condition(scope: Scope, name: str) -> Condition | None:
    """The condition in a header, None without it. Raises Invalid if it is malformed."""
    given = joined_header(scope, name.lower().encode())
    if given is None:
        return None
    if given.strip() == "*":
        return Condition(is_any=True)
    members = [member.strip() for member in _MEMBER.findall(given)]
    matches = [_TAG.fullmatch(member) for member in members if member]
    tags = tuple(_tag(match) for match in matches if match is not None)
    if not 1 <= len(tags) == len(matches) <= TAGS_MAX:
        message = f'must be * or a list of 1 to {TAGS_MAX} entity tags such as "3"'
        raise Invalid(f"The header {name} is malformed.", violations=[Violation(f"/{name}", message)])
    return Condition(is_any=False, tags=tags)


def _tag(match: re.Match[str]) -> Tag:
    content = match[2].removesuffix(_SUFFIX)
    return Tag(match[1] is not None, content, is_compressed=content != match[2])
