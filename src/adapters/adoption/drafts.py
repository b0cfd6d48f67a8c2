"""What the originals become: entities with the parts of documents that no field takes over."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from adapters.adoption.document_fields import ORIGINAL, DocumentFields, born_at
from adapters.adoption.findings import KEPT, NOBODY, REPLACED, Findings
from adapters.records.originals import Original
from adapters.records.record import Record
from adapters.records.specs import RecordSpec
from application.actor import SYSTEM_ID
from domain.entity import Entity, is_id

E = TypeVar("E", bound=Entity)
SYSTEM_NAME: Final = "system"
OWNED: Final = ("tasks", "teams")
"""The collections whose documents belong to who created them."""


@dataclass(slots=True)
class Draft(Generic[E]):
    """An entity in the making, at version 1, and what is kept beside it. `version` is that of its document,
    `sources` are the ids of documents.
    """

    entity: E
    parts: list[dict[str, str]] = field(default_factory=list)
    version: int = 1
    sources: list[str] = field(default_factory=list)

    def keep(self, collection: str, name: str, value: object) -> None:
        """Keeps a value that its document had, because the record has another one."""
        text = json.dumps({name: value}, separators=(",", ":"))
        self.parts.append({"collection": collection, "id": self.entity.id, "fields": text})

    def record(self, spec: RecordSpec[E]) -> Record:
        """The record, at version 1."""
        record = spec.mapping.to_record(self.entity)
        return {**record, ORIGINAL: self.parts} if self.parts else record


Drafts = dict[str, Draft[E]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading all originals needs: the time of the adoption, and where to report."""

    at: datetime
    findings: Findings

    def usable(self, originals: Iterable[Original]) -> list[DocumentFields]:
        """The documents that can be decoded and have an id that Tandem can use, oldest first; others are set aside."""
        found: dict[str, DocumentFields] = {}
        # Where an id exists as an ObjectId and as its digits, the ObjectId is the one that references mean.
        for original in sorted(originals, key=lambda one: isinstance(one.fields.get("_id"), str)):
            if original.damage is not None:
                self.findings.quarantine(original, f"The document is damaged: {original.damage}.")
            elif not is_id(original.id):
                self.findings.quarantine(
                    original, "The id is no ObjectId, so no reference can name the document."
                )
            elif original.id in found:
                self.findings.quarantine(original, "Another document has the same id, as an ObjectId.")
            else:
                found[original.id] = DocumentFields(original)
        return [found[id] for id in sorted(found)]

    def draft(self, fields: DocumentFields, entity: E) -> Draft[E]:
        """The draft of a document that has become this entity; every field was read before."""
        collection, version = fields.original.collection, fields.number("version")
        if version is not None and version < 1:
            fields.keep("version")
        self.findings.add_fields(REPLACED, collection, fields.id, dict.fromkeys(fields.replaced))
        rest = fields.rest()
        kept = [name for name in fields.left() if name not in fields.replaced]
        self.findings.add_fields(KEPT, collection, fields.id, kept)
        parts = [] if rest is None else [rest]
        return Draft(entity, parts, max(version or 1, 1), [fields.id])

    def stamps(self, fields: DocumentFields, *, maker: str | None = None) -> dict[str, Any]:
        """Who made and changed it, and when; what is missing follows from the rest. `maker` made what names nobody."""
        made_at = fields.instant("createdAt", "created_at") or born_at(fields.id)
        made_by = _person(fields, "createdBy", "created_by") or maker
        if made_by is None or (made_by == SYSTEM_ID and fields.original.collection in OWNED):
            self.findings.add(NOBODY, fields.original.collection, fields.id)
        return {
            "created_at": made_at,
            "created_by": made_by or SYSTEM_ID,
            "updated_at": fields.instant("updatedAt", "updated_at") or made_at,
            "updated_by": _person(fields, "updatedBy", "updated_by") or made_by or SYSTEM_ID,
        }


def _person(fields: DocumentFields, *names: str) -> str | None:
    """The person, or the system under the name by which other services know it."""
    for name in names:
        if fields.original.fields.get(name) == SYSTEM_NAME:
            fields.text(name)
            return SYSTEM_ID
    return fields.reference(*names)


def is_deleted_in(fields: DocumentFields) -> bool:
    """Whether a document is marked as deleted or as not active."""
    is_deleted, is_active = fields.flag("isDeleted", "is_deleted"), fields.flag("isActive", "is_active")
    if is_deleted is not None and is_deleted is is_active:
        fields.keep("isDeleted", "is_deleted", "isActive", "is_active")  # they contradict each other
    return bool(is_deleted) or is_active is False


def trash(fields: DocumentFields, stamps: dict[str, Any], *, since: datetime | None = None) -> dict[str, Any]:
    """The trash fields of an entity; `since` replaces the time at which another service deleted it."""
    if not is_deleted_in(fields):
        return {}
    at, by = fields.instant("deletedAt", "deleted_at"), fields.reference("deletedBy", "deleted_by")
    if since is not None:
        fields.keep("deletedAt", "deleted_at")
    return {
        "is_deleted": True,
        "deleted_at": since or at or stamps["updated_at"],
        "deleted_by": by or stamps["updated_by"],
    }


def oldest_first(drafts: Iterable[Draft[E]]) -> Sequence[Draft[E]]:
    """In the order in which they were created."""
    return sorted(drafts, key=lambda draft: (draft.entity.created_at, draft.entity.id))
