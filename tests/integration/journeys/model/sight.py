"""Who may know of what, and who may do what with it, as docs/permissions.md says."""

from tests.integration.journeys.model.state import Model, View, refuse


def is_member(model: Model, user: str, team_id: str | None) -> bool:
    """Whether the user belongs to the team; nobody belongs to a team in the trash."""
    if team_id is None or team_id not in model.teams.versions or model.teams[team_id]["isDeleted"]:
        return False
    return user in model.members[team_id]


def runs(model: Model, user: str, team_id: str | None) -> bool:
    """Whether the user owns the team or is an admin of it."""
    if team_id is None or not is_member(model, user, team_id):
        return False
    return model.teams[team_id]["ownerId"] == user or model.members[team_id][user]


def sees_team(model: Model, user: str, team: View) -> bool:
    return is_member(model, user, team["id"]) or team["ownerId"] == user


def changes_team(model: Model, user: str, team: View) -> bool:
    return runs(model, user, team["id"]) or team["ownerId"] == user


def sees_project(model: Model, user: str, project: View) -> bool:
    return project["ownerId"] == user or is_member(model, user, project["teamId"])


def changes_project(model: Model, user: str, project: View) -> bool:
    """All but whose it is."""
    return project["ownerId"] == user or runs(model, user, project["teamId"])


def sees_task(model: Model, user: str, task: View) -> bool:
    """Whose it is, and whoever is to do it, himself or by a team. Who made it, and who did it for a team that he has
    left, does not see it for that alone.
    """
    is_his = user in (task["ownerId"], task["assigneeId"])
    return is_his or is_member(model, user, task["teamId"]) or is_member(model, user, task["assigneeId"])


def decides_on_task(model: Model, user: str, task: View) -> bool:
    """Whether the user may delete, restore, roll back and assign the task, and choose its project."""
    made_it = task["createdBy"] == user and sees_task(model, user, task)
    return task["ownerId"] == user or made_it or runs(model, user, task["teamId"])


def sees(model: Model, user: str, kind: str, id: str) -> bool:
    """Whether the user may know of this record."""
    thing = model.shelves[kind][id]
    if kind == "teams":
        return sees_team(model, user, thing)
    if kind == "projects":
        return sees_project(model, user, thing)
    task = model.tasks[thing["taskId"]] if kind == "assignments" else thing
    return sees_task(model, user, task)


def seen(model: Model, user: str, kind: str, id: str) -> View:
    """The record. Raises Refused with 404 where the user must not know of it."""
    refuse((not sees(model, user, kind, id), 404))
    return model.shelves[kind][id]


def shown(model: Model, user: str, kind: str, id: str) -> View:
    """The record as the user reads it."""
    thing = model.shelves[kind][id]
    if kind != "tasks":
        return dict(thing)
    # Whoever puts a task off here does it for longer than any test runs.
    status = thing["status"] if thing["deferredTill"] is None else "DEFERRED"
    return {**thing, "status": status, "inWatchlist": (user, id) in model.watches}
