"""The data of the measured service, created over HTTP: a team with its project, labels and tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.processes import ServerProcess

TASKS = 60
HIDDEN_TASKS = 180
TOGETHER = 60
OTHER_TEAMS = 3
LABELS = 6
LABELS_EACH = 3
SHOWN = 20
DESCRIPTION = "Line the basin with two layers and let them overlap by a hand. " * 8


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-in user."""

    id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TeamWorld:
    """The data for the measured requests.

    `member` is a plain member of this team and of others, sees tasks only through these memberships, and does not see
    most tasks. `shown` are the tasks on their first page, newest first: all have labels, most are assigned, and the
    member watches some.
    """

    admin: Person
    owner: Person
    member: Person
    team_id: str
    project_id: str
    label_ids: tuple[str, ...]
    shown: tuple[str, ...]

    def task_body(self, number: int) -> dict[str, Any]:
        """A new task of the project, with all usual fields."""
        labels = [self.label_ids[(number + step) % LABELS] for step in range(LABELS_EACH)]
        return {
            "title": f"Dig pond {number}",
            "description": DESCRIPTION,
            "priority": ("HIGH", "MEDIUM", "LOW")[number % 3],
            "projectId": self.project_id,
            "labelIds": labels,
            "dueAt": "2030-01-31T12:00:00.000Z",
        }


def team_at_work(server: ServerProcess) -> TeamWorld:
    """Creates the data in an empty service. Its first user is its administrator, and is therefore a separate user."""
    admin, owner, member = (_signed_in(server, name) for name in ("admin", "owner", "member"))
    teams = [_team(server, owner, member, number) for number in range(OTHER_TEAMS + 1)]
    project = {"name": "Pond", "teamId": teams[0]}
    hidden = [{"op": "create", "title": f"Paint fence {number}"} for number in range(HIDDEN_TASKS)]
    _bulk(server, hidden, owner)
    world = TeamWorld(
        admin=admin,
        owner=owner,
        member=member,
        team_id=teams[0],
        project_id=server.ask("/v1/projects", project, owner.token)["id"],
        label_ids=tuple(
            server.ask("/v1/labels", {"name": f"kind {number}"}, owner.token)["id"]
            for number in range(LABELS)
        ),
        shown=(),
    )
    _bulk(server, [{"op": "create", **world.task_body(number)} for number in range(TASKS)], owner)
    page = server.ask(f"/v1/tasks?limit={SHOWN}", token=member.token)["items"]
    shown = tuple(task["id"] for task in page)
    for number, task_id in enumerate(shown):
        _assign_and_watch(server, world, task_id, number)
    return TeamWorld(admin, owner, member, world.team_id, world.project_id, world.label_ids, shown)


def _bulk(server: ServerProcess, operations: Sequence[object], person: Person) -> None:
    for start in range(0, len(operations), TOGETHER):
        part = operations[start : start + TOGETHER]
        server.ask("/v1/tasks/bulk", {"operations": part}, person.token)


def _assign_and_watch(server: ServerProcess, world: TeamWorld, task_id: str, number: int) -> None:
    """Of four tasks one is assigned to the team, two to users, and one is unassigned; every third is watched."""
    assignees = (
        {"assigneeId": world.team_id, "assigneeType": "TEAM"},
        {"assigneeId": world.member.id, "assigneeType": "USER"},
        {"assigneeId": world.owner.id, "assigneeType": "USER"},
        None,
    )
    assignee = assignees[number % len(assignees)]
    if assignee is not None:
        server.ask(f"/v1/tasks/{task_id}/assign", assignee, world.owner.token)
    if number % 3 == 0:
        server.ask(f"/v1/watchlist/{task_id}", token=world.member.token, method="PUT")


def _signed_in(server: ServerProcess, name: str) -> Person:
    answer = server.ask("/v1/auth/dev/token", {"email": f"{name}@example.org"})
    return Person(answer["user"]["id"], answer["accessToken"])


def _team(server: ServerProcess, owner: Person, member: Person, number: int) -> str:
    team_id: str = server.ask("/v1/teams", {"name": f"Gardeners {number}"}, owner.token)["id"]
    server.ask(f"/v1/teams/{team_id}/members", {"userIds": [member.id]}, owner.token)
    return team_id
