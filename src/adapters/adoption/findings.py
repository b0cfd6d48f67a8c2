"""What an adoption reports, by kind: how many documents, a few of their ids, and the consequence."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from adapters.adoption.document_fields import part_of
from adapters.records.originals import Original
from application.ports.adoption import SetAside
from application.ports.migration import Finding

SAMPLES_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding. `blocks`: the document is not taken over."""

    code: str
    consequence: str
    remedy: str = "Nothing needs to be done."
    blocks: bool = False


QUARANTINED = Kind(
    "quarantined",
    "{detail} The document is kept in quarantine and cannot be read through Tandem.",
    "Correct it in its own collection and adopt again; only such documents are taken over then.",
    blocks=True,
)
REPLACED = Kind(
    "value_replaced",
    "{detail} has a value that Tandem cannot use; it takes the default, and the value is kept with the record.",
    "Set the field once Tandem runs.",
)
KEPT = Kind(
    "fields_kept", "Fields that Tandem does not have ({detail}) are kept with the record, with their types."
)
SAME_PERSON = Kind(
    "same_address",
    "Several accounts have one e-mail address. The oldest one stays; the work, teams and roles of the others become"
    " its own, and they are kept as deactivated accounts.",
)
SAME_NUMBER = Kind(
    "same_number",
    "Several tasks have one display number. The oldest one keeps it; the others get new numbers.",
)
NO_NUMBER = Kind("no_number", "The task has no display number; it gets a new one.")
SAME_NAME = Kind(
    "same_name",
    "Another one has the same name (without regard to case). The oldest one keeps it; the others get a number behind"
    " their names.",
    "Rename them, or move their tasks to one of them.",
)
SECOND_ASSIGNMENT = Kind(
    "second_assignment",
    "The task has several active assignments. The newest one counts; the others have ended.",
)
SAME_PAIR = Kind(
    "same_pair",
    "Several documents say the same of one pair; they become one record, active if one of them is.",
)
NO_MEMBERSHIP = Kind(
    "no_membership",
    "A person has a role in a team, or owns it, and is no member of it; they become a member.",
)
LEFT_TEAM = Kind(
    "left_team", "A person who has left a team still has a role in it; the role gives no rights."
)
CO_OWNER = Kind(
    "second_owner",
    "A team has several owners. One owns it in Tandem; the others keep every right as its admins.",
)
NO_RIGHTS = Kind(
    "role_without_rights",
    "The role {detail} has no rights that Tandem knows; who holds it is kept with the person.",
    "Give the person a role of Tandem that fits.",
)
ORPHAN = Kind("orphan", "A document refers to one that does not exist ({detail}). It is taken over as it is.")
NOBODY = Kind(
    "no_person",
    "It does not say who created it, so the system stands in for them; only administrators see tasks and teams that the"
    " system owns.",
    "Give it to somebody.",
)
TRASH = Kind("trash", "Deleted documents are in the trash; their time there begins with the adoption.")
INVITATIONS = Kind(
    "invitations",
    "The invite code of a team is kept, but nobody can join with it.",
    "Create new codes.",
)
LEFT_BEHIND = Kind(
    "not_adopted",
    "Tandem has nothing that corresponds to this collection. It stays where it is.",
    "Keep it as long as you need it.",
)


class Findings:
    """The findings so far, and the documents that are set aside."""

    def __init__(self) -> None:
        self.set_aside: list[SetAside] = []
        self._ids: dict[tuple[Kind, str, str], list[str]] = defaultdict(list)

    def add(self, kind: Kind, collection: str, record_id: str, *, detail: str = "") -> None:
        """Counts a document, once for each kind."""
        ids = self._ids[kind, collection, detail]
        if not ids or ids[-1] != record_id:
            ids.append(record_id)

    def quarantine(self, original: Original, reason: str) -> None:
        """Sets a document aside: it becomes no record, and nothing of it is lost."""
        raw = original.raw or part_of(original, original.fields)["fields"]
        one = SetAside(collection=original.collection, id=original.id, reason=reason, raw=raw)
        self.set_aside.append(one)
        self.add(QUARANTINED, original.collection, original.id, detail=reason)

    def add_fields(self, kind: Kind, collection: str, record_id: str, names: Iterable[str]) -> None:
        """Counts a document for each of these fields."""
        for name in names:
            self.add(kind, collection, record_id, detail=name)

    def all(self) -> tuple[Finding, ...]:
        """The findings, those that block first."""
        found = [
            Finding(
                code=kind.code,
                collection=collection,
                count=len(ids),
                samples=tuple(ids[:SAMPLES_MAX]),
                consequence=kind.consequence.format(detail=detail),
                remedy=kind.remedy,
                blocks=kind.blocks,
            )
            for (kind, collection, detail), ids in self._ids.items()
        ]
        return tuple(sorted(found, key=lambda one: (not one.blocks, one.collection or "", one.code)))
