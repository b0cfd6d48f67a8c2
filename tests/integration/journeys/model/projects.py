"""What people do with projects, and what happens to their tasks. Each function changes the model, or raises Refused and
changes nothing.
"""

from tests.integration.journeys.model.sight import changes_project, is_member, seen
from tests.integration.journeys.model.state import Model, View, is_stale, refuse
from tests.integration.journeys.model.tasks import move_to

CONTENT = ("name", "description", "status", "color", "ownerId", "teamId")


def create(model: Model, by: str, body: View, *, id: str) -> None:
    fields = {"description": None, "status": "ACTIVE", "color": None, "ownerId": by, "teamId": None, **body}
    refuse(
        (_is_taken(model, None, owner=by, name=fields["name"]), 409),
        (not _is_open(model, by, fields["teamId"]), 422),
    )
    model.projects.add(id, by, **fields)


def change(model: Model, by: str, id: str, body: View, *, expected: int | None) -> None:
    project = seen(model, by, "projects", id)
    refuse(
        (not changes_project(model, by, project), 403),
        (is_stale(project, expected), 412),
        *_reasons_against(model, by, project, {**project, **body}),
    )
    _write(model, by, id, body)


def roll_back(model: Model, by: str, id: str, version: int, *, expected: int | None) -> None:
    project = seen(model, by, "projects", id)
    versions = model.projects.versions[id]
    is_known = 1 <= version <= len(versions)
    content = {name: versions[version - 1][name] for name in CONTENT} if is_known else {}
    refuse(
        (not changes_project(model, by, project), 403),
        (is_stale(project, expected), 412),
        (not is_known, 404),
        *_reasons_against(model, by, project, {**project, **content}),
    )
    _write(model, by, id, content)


def delete(model: Model, by: str, id: str, *, expected: int | None) -> None:
    """With its live tasks."""
    project = seen(model, by, "projects", id)
    refuse(
        (not changes_project(model, by, project), 403),
        (is_stale(project, expected), 412),
        (project["isDeleted"], 409),
    )
    model.projects.delete(id, by)
    for task in _tasks_of(model, id):
        if not task["isDeleted"]:
            model.tasks.delete(task["id"], by)


def restore(model: Model, by: str, id: str, *, expected: int | None) -> None:
    """With exactly the tasks that went there with it."""
    project = seen(model, by, "projects", id)
    name, owner = project["name"], project["ownerId"]
    refuse(
        (not changes_project(model, by, project), 403),
        (is_stale(project, expected), 412),
        (not project["isDeleted"] or _is_taken(model, id, owner=owner, name=name), 409),
    )
    for task in _tasks_of(model, id):
        if (task["deletedAt"], task["deletedBy"]) == (project["deletedAt"], project["deletedBy"]):
            model.tasks.restore(task["id"], by)
    model.projects.restore(id, by)


def _reasons_against(model: Model, by: str, before: View, after: View) -> list[tuple[object, int]]:
    """Only its owner gives a project away, to somebody else or another team, and a team gets it from its members."""
    is_given = after["ownerId"] != before["ownerId"]
    is_moved = after["teamId"] != before["teamId"]
    is_taken = _is_taken(model, before["id"], owner=after["ownerId"], name=after["name"])
    return [
        ((is_given or is_moved) and before["ownerId"] != by, 403),
        (before["isDeleted"] or is_taken, 409),
        (is_given and after["ownerId"] not in model.people, 422),
        (is_moved and not _is_open(model, by, after["teamId"]), 422),
    ]


def _write(model: Model, by: str, id: str, fields: View) -> None:
    """Its tasks, those in the trash included, go with it into other hands."""
    model.projects.change(id, by, **fields)
    for task in _tasks_of(model, id):
        move_to(model, by, task, model.projects[id])


def _tasks_of(model: Model, id: str) -> list[View]:
    return [task for task in model.tasks if task["projectId"] == id]


def _is_open(model: Model, by: str, team_id: str | None) -> bool:
    return team_id is None or is_member(model, by, team_id)


def _is_taken(model: Model, id: str | None, *, owner: str, name: str) -> bool:
    """Names are unique per owner among live projects."""
    others = (project for project in model.projects.live() if project["id"] != id)
    return any((project["ownerId"], project["name"]) == (owner, name) for project in others)
