"""A team's life from its creation until a member leaves, and everything that can be read of it afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.integration.journeys.http_actor import HttpActor
from tests.unit.entrypoints.http.service import pointers

ALONE, TOGETHER = 20, 10
GIVEN, TOUCHED = 6, 12
"""How many tasks are given away, and how many change at all: the first ones."""
LATER = "2099-01-01T00:00:00.000Z"
PRIORITIES = ("HIGH", "MEDIUM", "LOW")

LISTS = ("projects", "tasks", "teams", "labels", "roles", "task-assignments", "watchlist", "users")
SORTS = ("createdAt", "updatedAt", "dueAt", "priority", "displayId")

Answers = dict[str, Any]
"""What was read, by who read it and where."""


@dataclass(frozen=True, slots=True)
class Actors:
    """The operator signs in first and administers; Anna owns the team, Ben joins it, Carl stays outside."""

    operator: HttpActor
    anna: HttpActor
    ben: HttpActor
    carl: HttpActor

    @property
    def team(self) -> tuple[HttpActor, ...]:
        """Who works together."""
        return (self.anna, self.ben)

    def moved_to(self, url: str) -> "Actors":
        """The same people at another service."""
        people = (self.operator, self.anna, self.ben, self.carl)
        return Actors(*(person.moved_to(url) for person in people))


class TeamScenario:
    """Anna's team and its work; each method is one step that checks its own outcome."""

    def __init__(self, actors: Actors) -> None:
        self._actors = actors
        self._anna, self._ben = actors.anna, actors.ben
        made = self._anna.view("POST", "/v1/teams", {"name": "Gardeners", "description": "Those who dig."})
        self.path = f"/v1/teams/{made['id']}"
        code = self._anna.view("POST", f"{self.path}/invite-codes")["code"]
        assert self._ben.view("POST", "/v1/teams/join", {"code": code})["id"] == made["id"]
        members = self._anna.items(f"{self.path}/members")
        assert {each["userId"] for each in members} == {self._anna.id, self._ben.id}
        actors.carl.call("GET", self.path, expect=404)
        self._id = str(made["id"])
        self._to_team = {"assigneeId": self._id, "assigneeType": "TEAM"}
        self._tasks: list[str] = []
        self._paths: list[str] = []

    def plans(self) -> None:
        """A project with its schedule, labels, and tasks: some made one by one, some together."""
        body = {"name": "Garden", "teamId": self._id, "color": "#00aa00"}
        project = self._anna.view("POST", "/v1/projects", body)
        self.project_path = f"/v1/projects/{project['id']}"
        plan = {
            "items": [{"id": "dig", "duration": 3}, {"id": "sow", "duration": 2}],
            "dependencies": [{"from": "dig", "to": "sow"}],
        }
        self._anna.view("PUT", f"{self.project_path}/timeline", plan)
        labels = [
            self._anna.view("POST", "/v1/labels", {"name": name, "color": "#0000ff"})["id"]
            for name in ("wet", "dry", "steep")
        ]
        bodies = [
            {
                "title": f"Bed {number}: {'roses' if number % 3 else 'tulips'}",
                "projectId": project["id"],
                "labelIds": [labels[number % 3]],
                "priority": PRIORITIES[number % 3],
                "dueAt": f"2098-01-{number + 1:02}T12:00:00.000Z",
            }
            for number in range(ALONE + TOGETHER)
        ]
        made = [self._anna.view("POST", "/v1/tasks", body) for body in bodies[:ALONE]]
        operations = [{"op": "create", **body} for body in bodies[ALONE:]]
        bulk = self._ben.view("POST", "/v1/tasks/bulk", {"operations": operations})
        made += [outcome["task"] for outcome in bulk["outcomes"]]
        self._labels, self._tasks = labels, [task["id"] for task in made]
        self._paths = [f"/v1/tasks/{task_id}" for task_id in self._tasks]
        listed = self._ben.items("/v1/tasks", teamId=self._id, sort="displayId", limit=7)
        assert [task["id"] for task in listed] == self._tasks

    def shares_the_work(self) -> None:
        """Tasks go to the team, and Ben takes some over; what is put off is shown as put off."""
        for task_id in self._tasks[:GIVEN]:
            given = self._anna.view("POST", "/v1/task-assignments", {"taskId": task_id, **self._to_team})
            taken = self._ben.view(
                "PATCH", f"/v1/task-assignments/{given['id']}", {"executorId": self._ben.id}
            )
            assert (taken["executorId"], taken["version"]) == (self._ben.id, 2)
        twice = self._anna.call("POST", f"{self._paths[0]}/assign", self._to_team)
        assert (twice.status_code, twice.json()["executorId"]) == (200, self._ben.id)
        self._ben.view("PATCH", self._paths[0], {"status": "DONE"}, tag=f'"{twice.json()["version"]}"')
        deferred = self._anna.view(
            "POST", f"{self._paths[7]}/defer", {"deferredTill": "2097-01-01T00:00:00.000Z"}
        )
        assert deferred["status"] == "DEFERRED"
        too_late = self._anna.call("POST", f"{self._paths[8]}/defer", {"deferredTill": LATER}, expect=422)
        assert pointers(too_late) == ["/deferredTill"]
        for task_id in self._tasks[5:8]:
            self._ben.view("PUT", f"/v1/watchlist/{task_id}")

    def finds_things(self) -> None:
        """By words, labels, states and actors."""
        tulips = self._tasks[::3]
        assert self._found(self._ben, q="tulips") == tulips
        assert self._found(self._ben, q="tulips bed", labelId=self._labels[0]) == tulips
        assert self._found(self._ben, labelId=self._labels[1]) == self._tasks[1::3]
        assert self._found(self._ben, status="DEFERRED") == self._tasks[7:8]
        assert self._found(self._ben, watching="true") == self._tasks[5:8]
        assert self._found(self._anna, assigneeId=self._id) == self._tasks[:GIVEN]
        assert self._found(self._actors.carl, q="tulips") == []
        by_rank = self._ben.items("/v1/tasks", sort="priority", limit=9)
        assert [task["priority"] for task in by_rank] == [rank for rank in PRIORITIES for _ in range(10)]

    def regrets(self) -> None:
        """What was thrown away comes back, with all that went with it; what was changed is put back."""
        watched, gone, changed = self._paths[5], self._paths[9], self._paths[10]
        for path in (watched, gone):
            self._anna.call("DELETE", path, expect=204)
        assert self._found(self._ben, watching="true") == self._tasks[6:8]
        assert self._ben.view("GET", watched)["isDeleted"]
        back = self._anna.view("POST", f"{watched}/restore")
        assert (back["executorId"], back["version"]) == (self._ben.id, 5)
        assert self._found(self._ben, watching="true") == self._tasks[5:8]
        before = self._ben.view("GET", changed)
        self._ben.view("PATCH", changed, {"title": "Nothing", "priority": "LOW", "dueAt": None})
        rolled = self._anna.view("POST", f"{changed}/rollback", {"version": 1}, tag='"2"')
        assert {name for name in rolled if rolled[name] != before[name]} == {"version", "updatedAt"}
        self._anna.call("DELETE", self.project_path, expect=204)
        assert self._found(self._ben) == []
        self._anna.view("POST", f"{self.project_path}/restore")
        live = [task_id for task_id in self._tasks if task_id not in gone]
        assert self._found(self._ben) == live

    def parts(self) -> None:
        """Ben leaves: his unfinished tasks go back to the team, and he cannot read them any more."""
        self._ben.call("DELETE", f"{self.path}/members/{self._ben.id}", expect=204)
        done, *open_tasks = [self._anna.view("GET", path) for path in self._paths[:GIVEN]]
        assert (done["assigneeId"], done["executorId"], done["status"]) == (self._id, self._ben.id, "DONE")
        assert {(task["assigneeId"], task["executorId"]) for task in open_tasks} == {(self._id, None)}
        self._ben.call("GET", self._paths[1], expect=404)
        self._ben.call("GET", self.path, expect=404)
        assert self._found(self._ben, q="roses") == []

    def readings(self, actors: Actors) -> Answers:
        """All that everybody can read of it, and what they must not."""
        one = [self.path, self.project_path, f"{self.project_path}/timeline", *self._paths]
        untouched = self._paths[TOUCHED:]
        found: Answers = {}
        for name in ("operator", "anna", "ben", "carl"):
            person: HttpActor = getattr(actors, name)
            found[f"{name} is"] = person.view("GET", "/v1/users/me")
            for path in one:
                answer = person.call("GET", path)
                assert answer.status_code in (200, 404), f"{path}: {answer.text}"
                tag = answer.headers.get("etag")
                found[f"{name} {path}"] = (answer.status_code, tag, answer.json() if tag else None)
                if person is actors.anna and path not in untouched:
                    found |= self._histories(person, path)
            for path, query in (*self._lists(), *(self._queries() if person in actors.team else ())):
                found[f"{name} {path} {query}"] = person.items(path, **query)
        return found

    def _histories(self, person: HttpActor, path: str) -> Answers:
        told = person.items(f"{path}/audit", limit=3)
        versions = person.items(f"{path}/versions", limit=3)
        assert len(told) == len(versions)
        return {
            # How far its copy is, is what each store says of itself.
            f"{path}/audit": [{**entry, "sync": None} for entry in told],
            f"{path}/versions": versions,
            f"{path}/versions/1": person.view("GET", f"{path}/versions/1"),
            f"{path}/diff": person.view("GET", f"{path}/diff?from=1&to={len(versions)}"),
        }

    def _lists(self) -> Iterator[tuple[str, dict[str, str]]]:
        yield from ((f"/v1/{noun}", {"limit": "12"}) for noun in LISTS)
        yield from ((f"/v1/{noun}/trash", {}) for noun in ("projects", "tasks", "teams", "labels"))

    def _queries(self) -> Iterator[tuple[str, dict[str, str]]]:
        queries: list[dict[str, str]] = [
            *({"sort": f"{way}{field}"} for field in SORTS for way in ("", "-")),
            *({"q": words, "sort": "displayId"} for words in ("tulips", "bed roses", "nothing")),
            {"labelId": self._labels[2], "count": "exact"},
            {"assigneeId": self._id},
            {"status": "DEFERRED"},
            {"watching": "true"},
            {"dueBefore": "2098-01-10T00:00:00.000Z", "sort": "dueAt"},
        ]
        yield from (("/v1/tasks", {"expand": "labels,assignee", **query}) for query in queries)

    def _found(self, person: HttpActor, **query: str) -> list[str]:
        return [task["id"] for task in person.items("/v1/tasks", sort="displayId", limit=4, **query)]
