"""Types of fields and queries that several resources share. Each type validates input and appears in OpenAPI."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, Struct

from application.paging import LIMIT_DEFAULT, LIMIT_MAX
from domain.errors import Violation
from domain.name import has_word
from domain.storable import INTEGER_MAX
from entrypoints.http.protocol import patterns

CURSOR_LENGTH_MAX = 4_096
TEXT_LENGTH_MAX = 500
RELEVANCE = "relevance"

Id = Annotated[
    str, Meta(pattern=patterns.ID, min_length=24, max_length=24, examples=["018f3c2ab4d700000001e240"])
]
InstantText = Annotated[
    str,
    Meta(
        description="RFC 3339, UTC, milliseconds",
        extra_json_schema={"format": "date-time"},
        examples=["2026-01-31T12:00:00.000Z"],
    ),
]
Instant = Annotated[
    datetime,
    Meta(
        tz=True,
        examples=["2026-01-31T12:00:00.000Z"],
        extra_json_schema={"pattern": patterns.INSTANT},
    ),
]
MOMENT_LENGTH_MAX = 40


def moment(description: str) -> Meta:
    """The description of a query parameter that takes an instant or a plain day; `moment_of` reads it."""
    days = "A plain day begins at its midnight in your time zone (`timezone` of your profile)."
    return Meta(
        pattern=patterns.MOMENT,
        max_length=MOMENT_LENGTH_MAX,
        description=f"{description} {days}",
        examples=["2026-01-31", "2026-01-31T12:00:00.000Z"],
        extra_json_schema={"anyOf": [{"format": "date"}, {"format": "date-time"}]},
    )


def moment_of(text: str | None) -> datetime | date | None:
    """The instant in UTC, or the day. Raises ValueError for one that does not exist."""
    if text is None:
        return None
    text = text.strip()
    if len(text) == len("2026-01-31"):
        return date.fromisoformat(text)
    instant = msgspec.convert(text, datetime)
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must be in the years 1 to 9999 in UTC") from error


def moment_violations(query: Struct, *names: str) -> Iterator[Violation]:
    """The violations of these parameters (by attribute) by instants and days that do not exist."""
    for name in names:
        try:
            moment_of(getattr(query, name))
        except ValueError:
            pointer = msgspec.structs.fields(query)[query.__struct_fields__.index(name)].encode_name
            yield Violation(
                f"/{pointer}", "must be a day or an instant that exists, in the years 1 to 9999 in UTC"
            )


def values_of(text: str) -> tuple[str, ...]:
    """The distinct values of a parameter that takes several."""
    return tuple(dict.fromkeys(text.strip().split(",")))


Color = Annotated[str, Meta(pattern=patterns.COLOR, max_length=7, examples=["#3366ff"])]
VersionNumber = Annotated[int, Meta(ge=1, le=INTEGER_MAX, examples=[1])]
Version = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
NAMING = (
    "One visible line without control characters, invisible characters or changes of the writing direction. "
    "Stored in Unicode's form NFC, without white space at either end."
)


class Body(Struct, rename="camel", forbid_unknown_fields=True):
    """The base of all bodies. In a partial body an absent field is UNSET."""


class EntityView(Struct, rename="camel"):
    """The fields that all entities have."""

    id: Id
    version: int
    created_at: InstantText
    updated_at: InstantText
    created_by: Id
    updated_by: Id
    is_deleted: bool
    deleted_at: InstantText | None
    deleted_by: Id | None


def set_fields(body: Struct) -> Any:
    """The fields that the caller sent, by attribute name: the changes to an entity, as the domain expects them."""
    values = ((name, getattr(body, name)) for name in body.__struct_fields__)
    return {name: value for name, value in values if value is not UNSET}


class Query(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The query parameters of an operation. The class itself means that the operation has none."""

    def violations(self) -> Iterator[Violation]:
        """Violations that the types of single parameters cannot express."""
        yield from ()


class PageQuery(Query):
    """A page of a list in its only order, `usual_order`."""

    usual_order: ClassVar[str] = "-createdAt"

    limit: Annotated[
        int, Meta(ge=1, le=LIMIT_MAX, description="The largest number of items on the page.")
    ] = LIMIT_DEFAULT
    cursor: (
        Annotated[
            str, Meta(max_length=CURSOR_LENGTH_MAX, description="The `nextCursor` of the previous page.")
        ]
        | None
    ) = None

    @property
    def order(self) -> str:
        """The order of the items, as `sort` spells it."""
        return self.usual_order


class EntryQuery(PageQuery):
    """A page of audit entries, newest first."""

    usual_order: ClassVar[str] = "-at"


class ListQuery(PageQuery):
    """A page of a list that can be counted."""

    count: Literal["exact"] | None = None


class TrashQuery(ListQuery):
    """A page of deleted items."""

    sort: Literal["createdAt", "-createdAt", "updatedAt", "-updatedAt"] = "-updatedAt"

    @property
    def order(self) -> str:
        return self.sort


SearchOrder = Literal["relevance", "createdAt", "-createdAt", "updatedAt", "-updatedAt", "name", "-name"]


class SearchQuery(ListQuery):
    """A page of the items that contain all words of `q`. A subclass adds its filters, then `sort`."""

    q: (
        Annotated[
            str,
            Meta(
                max_length=TEXT_LENGTH_MAX,
                description="Words that must all occur, in any case; the last one may be the beginning of a word. "
                "Accents need not be typed. In scripts without spaces every part of a text is found. `#17` finds the "
                "task with this display number first. An empty or blank text finds all items; any other text "
                "without a word is rejected.",
            ),
        ]
        | None
    ) = None

    @property
    def text(self) -> str | None:
        """What is searched for; None where nothing is."""
        return searched(self.q)

    @property
    def order(self) -> str:
        """The requested order; by default a search shows the most relevant items first."""
        requested: str | None = getattr(self, "sort", None)
        return requested or (RELEVANCE if self.text else self.usual_order)

    def violations(self) -> Iterator[Violation]:
        yield from word_violations("q", self.q)
        if not self.text and self.order == RELEVANCE:
            yield Violation("/sort", "can only be relevance together with search words in q")


def sort_described(usual: str, *, more: str = "") -> Meta:
    """The description of the parameter `sort` of a list that can be searched."""
    return Meta(
        description="`relevance` requires `q`: items with all words in the title or name come first, then items with "
        "some of them there, then all others. In each group those with every word exactly as it is searched come "
        "first, and then the newest. The default is `relevance` with `q`, "
        f"and `{usual}` without. {more}".rstrip()
    )


def searched(text: str | None) -> str | None:
    """The search text; None for an empty or blank one, as a search field sends it that was cleared."""
    return (text or "").strip() or None


def word_violations(name: str, text: str | None) -> Iterator[Violation]:
    """The violation of a search text without words, which would otherwise find all items."""
    if searched(text) and not has_word(text or ""):
        yield Violation(f"/{name}", "contains no word to search for; a word consists of letters and digits")
