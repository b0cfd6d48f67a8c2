"""What lists show: exactly what each reader may see, filtered, searched and in order."""

from collections.abc import Iterable, Sequence
from typing import Any

from tests.integration.journeys.model.sight import is_member, sees, sees_task, shown
from tests.integration.journeys.model.state import Model, View

RANKS = {"HIGH": 1, "MEDIUM": 2, "LOW": 3}


def tasks(model: Model, user: str, wanted: View) -> list[View]:
    """The live tasks that the user sees and that match every filter, sorted where an order is given."""
    mine = (
        shown(model, user, "tasks", task["id"]) for task in model.tasks.live() if sees_task(model, user, task)
    )
    found = [task for task in mine if _fits(task, wanted)]
    return in_order(found, wanted["sort"]) if "sort" in wanted else found


def trash(model: Model, user: str, kind: str) -> list[View]:
    """The records in the trash that the user may see; of teams, those they own."""
    deleted = [thing["id"] for thing in model.shelves[kind] if thing["isDeleted"]]
    return [shown(model, user, kind, id_) for id_ in deleted if sees(model, user, kind, id_)]


def projects(model: Model, user: str) -> list[View]:
    return [one for one in model.projects.live() if sees(model, user, "projects", one["id"])]


def teams(model: Model, user: str) -> list[View]:
    return [one for one in model.teams.live() if is_member(model, user, one["id"])]


def watched(model: Model, user: str) -> list[str]:
    """The ids of the tasks that the user watches and may see, the latest first."""
    mine = [id_ for (watcher, id_) in model.watches if watcher == user]
    visible = [id_ for id_ in mine if not model.tasks[id_]["isDeleted"] and sees(model, user, "tasks", id_)]
    return visible[::-1]


def in_order(items: Iterable[View], sort: str) -> list[View]:
    """Nulls last, ties by id; a minus turns both parts."""
    field = sort.removeprefix("-")

    def key(item: View) -> tuple[Any, str]:
        value = item[field]
        if field == "priority":
            value = RANKS[value]
        elif field == "displayId":
            value = int(value.removeprefix("#"))
        return value, item["id"]

    is_descending = sort.startswith("-")
    listed = list(items)
    present = sorted((item for item in listed if item[field] is not None), key=key, reverse=is_descending)
    absent = [item for item in listed if item[field] is None]
    return [*present, *sorted(absent, key=lambda item: str(item["id"]), reverse=is_descending)]


def _fits(task: View, wanted: View) -> bool:
    plain = ("projectId", "assigneeId", "createdBy", "status", "priority")
    return (
        all(task[name] == wanted[name] for name in plain if name in wanted)
        and ("teamId" not in wanted or wanted["teamId"] in (task["teamId"], task["assigneeId"]))
        and ("labelId" not in wanted or wanted["labelId"] in task["labelIds"])
        and ("watching" not in wanted or task["inWatchlist"])
        and _is_due(task["dueAt"], wanted)
        and _has_words(task, wanted.get("q", "").lower().split())
    )


def _is_due(due: str | None, wanted: View) -> bool:
    """From the first bound on, up to the second, which is excluded."""
    if "dueBefore" not in wanted and "dueAfter" not in wanted:
        return True
    return due is not None and wanted.get("dueAfter", "") <= due < wanted.get("dueBefore", "~")


def _has_words(task: View, words: Sequence[str]) -> bool:
    """Words of title and description, in any case, all of them; the last one may be the beginning of a word."""
    text = f"{task['title']} {task['description'] or ''}".lower().split()
    *whole, last = words or [""]
    found = any(word.startswith(last) for word in text)
    return not words or (found and all(word in text for word in whole))
