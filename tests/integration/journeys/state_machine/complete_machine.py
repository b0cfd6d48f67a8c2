"""The complete state machine: its initial state, and the comparison with the model after the last step."""

import secrets
from urllib.parse import urlencode

from hypothesis.stateful import initialize, rule

from domain.role import RoleScope, built_in_id
from tests.integration.journeys.model import assignments, lists
from tests.integration.journeys.model.sight import is_member, sees, sees_team
from tests.integration.journeys.model.state import View
from tests.integration.journeys.state_machine.actions import Action, possible_action
from tests.integration.journeys.state_machine.assignment_actions import AssignmentActions
from tests.integration.journeys.state_machine.driver import Request
from tests.integration.journeys.state_machine.journey import (
    ANYONE_ALLOWED,
    PATHS,
    PLAINLY,
    Journey,
    require_equal,
)
from tests.integration.journeys.state_machine.list_actions import ListActions, lasting
from tests.integration.journeys.state_machine.task_actions import WORDS, TaskActions
from tests.integration.journeys.state_machine.team_actions import ADMIN_ROLE, MemberActions, TeamActions
from tests.integration.journeys.state_machine.trash_actions import TrashActions

PAGE = 3
OWNER_ROLE = built_in_id(RoleScope.TEAM, "owner")
MEMBER_ROLE = built_in_id(RoleScope.TEAM, "member")
NOBODY_HAS_IT: View = {"assigneeId": None, "assigneeType": None, "executorId": None}


class Comparison(Journey):
    """The comparison at the end of each run."""

    label_ids: list[str]

    def require_all(self) -> None:
        for name in self.people:
            self._require_lists(name)
            self._require_watchlist(name)
            self._require_assignments(name)
            self._require_members(name)
            self._require_hidden(name)
        self._require_filters("carl")
        for id_ in self.model.tasks.ids:
            self._require_repetition(id_)
            self._require_history(id_)

    def _require_lists(self, name: str) -> None:
        user = self.id_of(name)
        expected = {
            "/v1/tasks": lists.tasks(self.model, user, {}),
            "/v1/projects": lists.projects(self.model, user),
            "/v1/teams": lists.teams(self.model, user),
            "/v1/tasks/trash": lists.trash(self.model, user, "tasks"),
            "/v1/projects/trash": lists.trash(self.model, user, "projects"),
            "/v1/teams/trash": lists.trash(self.model, user, "teams"),
        }
        for path, things in expected.items():
            items, total = self.world.listed(self.people[name], path, limit=PAGE, sort="-updatedAt")
            assert items == lists.in_order(things, "-updatedAt"), f"{name} asks for {path}"
            assert total == len(things)

    def _require_filters(self, name: str) -> None:
        """Every filter alone, with everything it can be about."""
        values = {
            "projectId": self.model.projects.ids,
            "teamId": self.model.teams.ids,
            "assigneeId": [*self.model.people, *self.model.teams.ids],
            "createdBy": self.model.people,
            "labelId": self.label_ids,
            "status": ("TODO", "IN_PROGRESS", "BLOCKED", "DONE", "DEFERRED"),
            "priority": tuple(lists.RANKS),
            "watching": ("true",),
            "q": WORDS,
        }
        queries = [{field: value, "sort": "displayId"} for field, each in values.items() for value in each]
        paths = [f"/v1/tasks?{urlencode({**query, 'limit': 200})}" for query in queries]
        for query, answer in zip(queries, self.world.ask_all([self.people[name]], paths), strict=True):
            expected = lists.tasks(self.model, self.id_of(name), query)
            assert answer.json()["items"] == expected, f"{name} asks for {query}"

    def _require_watchlist(self, name: str) -> None:
        expected = lists.watched(self.model, self.id_of(name))
        for limit in (1, PAGE, 200):
            items, total = self.world.listed(self.people[name], "/v1/watchlist", limit=limit)
            assert ([item["id"] for item in items], total) == (expected, len(expected)), name
            assert all(item["inWatchlist"] for item in items)

    def _require_assignments(self, name: str) -> None:
        items, total = self.world.listed(self.people[name], PATHS["assignments"], limit=PAGE)
        expected = assignments.visible(self.model, self.id_of(name))
        assert _by_id(items) == _by_id(expected), name
        assert total == len(expected)

    def _require_members(self, name: str) -> None:
        for team in self.model.teams:
            if not sees_team(self.model, self.id_of(name), team):
                continue
            items, _ = self.world.listed(self.people[name], f"/v1/teams/{team['id']}/members", limit=PAGE)
            roles = {item["userId"]: item["roleIds"] for item in items}
            assert roles == self._roles(team), f"{name} asks for the members of {team['name']}"

    def _roles(self, team: View) -> dict[str, list[str]]:
        roles: dict[str, list[str]] = {}
        for user, is_admin in self.model.members[team["id"]].items():
            if is_member(self.model, user, team["id"]):
                base_role = OWNER_ROLE if user == team["ownerId"] else MEMBER_ROLE
                roles[user] = sorted({base_role, *([ADMIN_ROLE] if is_admin else [])})
        return roles

    def _require_hidden(self, name: str) -> None:
        """A record that no list shows them cannot be read by its id either."""
        hidden = [
            f"{PATHS[kind]}/{id_}"
            for kind in ("tasks", "projects", "teams")
            for id_ in self.model.shelves[kind].ids
            if not sees(self.model, self.id_of(name), kind, id_)
        ]
        for answer in self.world.ask_all([self.people[name]], hidden):
            assert answer.status_code == 404, f"{name} reads {answer.text}"

    def _require_repetition(self, id: str) -> None:
        """A task repeats fields of its project and of its live assignment; all copies must agree."""
        admin = self.world.admin
        task = self.world.read(admin, f"/v1/tasks/{id}")
        project_id, live = task["projectId"], self.model.assignment_of(id)
        ownership: View = {"ownerId": task["ownerId"], "teamId": None}
        if project_id is not None:
            ownership = self.world.read(admin, f"/v1/projects/{project_id}")
        assignment = NOBODY_HAS_IT
        if live is not None:
            assignment = self.world.read(admin, f"{PATHS['assignments']}/{live['id']}")
        for name in ("ownerId", "teamId"):
            assert task[name] == ownership[name], f"task {id} repeats {name} of {project_id}"
        for name in NOBODY_HAS_IT:
            assert task[name] == assignment[name], f"task {id} repeats {name}"

    def _require_history(self, id: str) -> None:
        """Versions count up by one, and each is shown as it was."""
        path = f"/v1/tasks/{id}"
        reader = next(
            (one for one in self.people.values() if sees(self.model, one.id, "tasks", id)),
            self.world.admin,
        )
        versions = self.model.tasks.versions[id]
        assert self.world.versions(reader, path) == list(range(len(versions), 0, -1))
        paths = [f"{path}/versions/{number}" for number in range(1, len(versions) + 1)]
        for version, answer in zip(versions, self.world.ask_all([reader], paths), strict=True):
            status = version["status"] if version["deferredTill"] is None else "DEFERRED"
            require_equal(lasting(answer.json()), {**version, "status": status}, f"task {id} as it was")


class WholeJourney(
    TaskActions, AssignmentActions, TrashActions, TeamActions, MemberActions, ListActions, Comparison
):
    """All actions and the comparison."""

    @initialize()
    def arrive(self) -> None:
        """Anna owns a team with Ben and Carl, Dora another one with Carl; each has a project, and Anna's has tasks."""
        self.label_ids = [self._label() for _ in range(2)]
        for owner, members in (("anna", ("ben", "carl")), ("dora", ("carl",))):
            self.make_team(by=owner, name="Garden", how=PLAINLY)
            for member in members:
                self.add_member(by=owner, number=0, user=member, how=PLAINLY)
            self.make_project(by=owner, name="Garden", team=0, how=PLAINLY)
        self.set_admin(by="anna", number=0, user="ben", is_admin=True)
        for by, title in (("anna", "dig"), ("carl", "weed rose")):
            self.create_task(by=by, content={"title": title, "projectId": 0}, how=PLAINLY)

    @rule(action=possible_action())
    def go_on(self, action: Action) -> None:
        method, arguments = getattr(self, action.name), dict(action.arguments)
        if arguments.get("by") == ANYONE_ALLOWED:
            first = arguments.get("number", 0)
            arguments["by"] = self.first_allowed(lambda name: method(**{**arguments, "by": name}), first)
        method(**arguments)

    def _label(self) -> str:
        """Labels belong to everybody, so theirs have names that nobody else gives."""
        body = {"name": f"wet {secrets.token_hex(8)}"}
        answer = self.world.ask(self.people["anna"], Request("POST", "/v1/labels", body))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def _by_id(items: list[View]) -> list[View]:
    return sorted(items, key=lambda item: str(item["id"]))
