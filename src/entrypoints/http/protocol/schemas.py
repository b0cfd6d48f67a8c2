"""Types of fields and queries that several resources share; each one reads its input and describes it in OpenAPI."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct

from application.paging import LIMIT_DEFAULT, LIMIT_MAX
from domain.errors import Violation
from domain.storable import INTEGER_MAX

CURSOR_LENGTH_MAX = 4_096
TEXT_LENGTH_MAX = 500
RELEVANCE = "relevance"

Id = Annotated[
    str, Meta(pattern="^[0-9a-f]{24}$", min_length=24, max_length=24, examples=["018f3c2ab4d700000001e240"])
]
InstantText = Annotated[
    str,
    Meta(
        description="RFC 3339, UTC, milliseconds",
        extra_json_schema={"format": "date-time"},
        examples=["2026-01-31T12:00:00.000Z"],
    ),
]
# Only an instant with a zone says when something is, and no store keeps more than milliseconds.
_INSTANT_PATTERN = r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,3})?([Zz]|[+-]\d\d:\d\d)$"
Instant = Annotated[
    datetime,
    Meta(
        tz=True,
        examples=["2026-01-31T12:00:00.000Z"],
        extra_json_schema={"pattern": _INSTANT_PATTERN},
    ),
]
Color = Annotated[str, Meta(pattern="^#[0-9a-f]{6}$", max_length=7, examples=["#3366ff"])]
VersionNumber = Annotated[int, Meta(ge=1, le=INTEGER_MAX, examples=[1])]
Version = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
NAMING = (
    "One visible line: no control characters, nothing that hides or changes the direction of writing. "
    "Kept in Unicode's form NFC, without white space at its ends."
)


class Body(Struct, rename="camel", forbid_unknown_fields=True):
    """What all bodies have in common. In a partial body an absent field is UNSET."""


class EntityView(Struct, rename="camel"):
    """What every entity shows."""

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
    """The fields that the caller sent, by attribute name: the changes of an entity, as the domain takes them."""
    values = ((name, getattr(body, name)) for name in body.__struct_fields__)
    return {name: value for name, value in values if value is not UNSET}


class Query(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The parameters of an operation. The class itself stands for an operation without parameters."""

    def violations(self) -> Iterator[Violation]:
        """What no type can express about the parameters together."""
        yield from ()


class PageQuery(Query):
    """A page of a list in its one order, `usual_order`."""

    usual_order: ClassVar[str] = "-createdAt"

    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="How many items at most.")] = LIMIT_DEFAULT
    cursor: (
        Annotated[
            str, Meta(max_length=CURSOR_LENGTH_MAX, description="Where the next page starts: `nextCursor`.")
        ]
        | None
    ) = None

    @property
    def order(self) -> str:
        """The order of the items, as `sort` spells it."""
        return self.usual_order


class EntryQuery(PageQuery):
    """A page of audit entries, the newest first."""

    usual_order: ClassVar[str] = "-at"


class ListQuery(PageQuery):
    """A page of a list that can be counted."""

    count: Literal["exact"] | None = None


class TrashQuery(ListQuery, rename="camel"):
    """A page of deleted items."""

    sort: Literal["createdAt", "-createdAt", "updatedAt", "-updatedAt"] = "-updatedAt"

    @property
    def order(self) -> str:
        return self.sort


SearchOrder = Literal["relevance", "createdAt", "-createdAt", "updatedAt", "-updatedAt", "name", "-name"]


class SearchQuery(ListQuery, rename="camel"):
    """A page of what contains all words of `q`. A subclass adds its filters, then `sort`."""

    q: (
        Annotated[
            str,
            Meta(
                max_length=TEXT_LENGTH_MAX,
                description="Words that must all occur: runs of letters and digits. Empty means everything; "
                "a text without any word is refused.",
            ),
        ]
        | None
    ) = None

    @property
    def order(self) -> str:
        """The order that is asked for; by default a search shows the most relevant items first."""
        asked: str | None = getattr(self, "sort", None)
        return asked or (RELEVANCE if self.q else self.usual_order)

    def violations(self) -> Iterator[Violation]:
        yield from word_violations("q", self.q)
        if not self.q and self.order == RELEVANCE:
            yield Violation("/sort", "can be relevance only where q holds the words to look for")


def sort_described(usual: str) -> Meta:
    """The description of the parameter `sort` of a searchable list."""
    return Meta(
        description="`relevance` needs `q`: what has all its words in the title or name comes first, then what has "
        "some of them there, then the rest; the newest first among these. Without `sort` the order is "
        f"`relevance` where `q` is given, and `{usual}` otherwise."
    )


def word_violations(name: str, text: str | None) -> Iterator[Violation]:
    """Rejects a search text without any word: it would find everything, the opposite of what was looked for."""
    if text and not any(character.isalnum() for character in text):
        yield Violation(f"/{name}", "holds no word to look for: a word is made of letters and digits")
