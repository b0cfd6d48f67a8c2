"""The labels of an import: those that exist, and the new ones that its tasks will have."""

from collections.abc import Callable, Sequence

from application.actor import Actor
from application.interchange.drafts import Draft, ImportLabels
from application.interchange.merging import hidden_ids
from application.interchange.revision import takes_fields
from application.ports.interchange import ImportedIssue
from application.ports.unit_of_work import UnitOfWork
from domain.audit import Action
from domain.entity import Stamp, derived_id
from domain.errors import RuleBroken
from domain.label import Label

DRAFTS_AT_ONCE = 1_000
"""How many tasks are read at once to see whether they take labels."""


async def labels_of(
    work: UnitOfWork, issues: Sequence[ImportedIssue], project_id: str, stamp: Stamp
) -> ImportLabels:
    """The labels of these issues; new ones are not stored yet.

    A label from an earlier import is used even if it was renamed or deleted here since. A permanently removed label has
    no id.
    """
    names = sorted({name for issue in issues for name in issue.label_names})
    ids = {name: label.id for name, label in (await work.labels.named(names)).items()}
    derived = {name: derived_id("label", project_id, name) for name in names if name not in ids}
    gone = await work.labels.purged(derived.values()) if derived else ()
    derived = {name: id_ for name, id_ in derived.items() if id_ not in gone}
    known = await work.labels.get_many(derived.values()) if derived else {}
    new: dict[str, Label] = {}
    unfit: dict[str, str] = {}
    for name in [name for name, id_ in derived.items() if id_ not in known]:
        try:
            new[name] = Label.create(derived[name], stamp, {"name": name})
        except RuleBroken as error:
            unfit[name] = "; ".join(violation.message for violation in error.violations)
    fitting = {name: id_ for name, id_ in {**ids, **derived}.items() if name not in unfit}
    return ImportLabels(fitting, new, unfit)


async def save_new_labels(
    work: UnitOfWork,
    actor: Actor,
    begin: Callable[[], UnitOfWork],
    *,
    labels: ImportLabels,
    drafts: Sequence[Draft],
) -> tuple[str, ...]:
    """Saves the new labels that tasks will have, and returns their names: nothing of a skipped issue is stored.

    The present tasks are read with units of work of their own, because a unit of work keeps everything that it reads.
    """
    unused = set(labels.new)
    for start in range(0, len(drafts), DRAFTS_AT_ONCE):
        batch = [
            draft
            for draft in drafts[start : start + DRAFTS_AT_ONCE]
            if not unused.isdisjoint(draft.issue.label_names)
        ]
        if not batch:
            continue
        reading = begin()
        present = await reading.tasks.get_many([draft.task.id for draft in batch])
        hidden = await hidden_ids(reading, actor, present.values())
        for draft in batch:
            is_permitted = draft.task.id not in hidden
            if is_permitted and takes_fields(present.get(draft.task.id), draft.task):
                unused.difference_update(draft.issue.label_names)
    saved = {name: label for name, label in labels.new.items() if name not in unused}
    for label in saved.values():
        work.labels.save(label, action=Action.IMPORTED)
    return tuple(saved)
