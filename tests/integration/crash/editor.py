"""A client that creates and changes records of its own, one request at a time, and notes every answer."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import httpx

from tests.integration.crash.ledger import Ledger, View
from tests.integration.crash.service_client import ServiceClient

CHANGED_MAX = 40
"""An editor chooses among this many of its newest records of one kind."""


class Editor:
    """Repeats every lost request until it is answered, so that at the end the state of its records is certain."""

    def __init__(self, name: str, client: ServiceClient, *, random: Random, ledger: Ledger) -> None:
        self._name = name
        self._client = client
        self._random = random
        self._ledger = ledger
        self._projects: list[View] = []
        self._tasks: list[View] = []
        self._labels: list[View] = []
        self._steps = 0
        self._works: tuple[Callable[[], Awaitable[None]], ...] = (
            self._create_project,
            self._create_task,
            self._create_task,
            self._create_label,
            self._change_project,
            self._change_task,
            self._change_task,
            self._change_label,
            self._save_timeline,
            self._change_timeline,
            self._trash_project_and_restore,
        )

    async def work(self, stopping: asyncio.Event, *, steps_max: int = 100_000) -> None:
        """Until it is told to stop; the request in hand is finished first."""
        await self._create_project()
        await self._create_task()
        await self._create_label()
        for _ in range(steps_max):
            if stopping.is_set():
                return
            await self._random.choice(self._works)()

    async def _create_project(self) -> None:
        body = {"name": self._text("project"), "description": self._text("about") * 20}
        self._projects.append(await self._write("projects", "POST", "/v1/projects", body))

    async def _create_task(self) -> None:
        project = self._projects[self._chosen(self._projects)]
        labels = [label["id"] for label in self._labels[-2:]]
        body = {"title": self._text("task"), "projectId": project["id"], "labelIds": labels}
        self._tasks.append(await self._write("tasks", "POST", "/v1/tasks", body))

    async def _create_label(self) -> None:
        self._labels.append(await self._write("labels", "POST", "/v1/labels", {"name": self._text("label")}))

    async def _change_project(self) -> None:
        await self._change("projects", self._projects, {"description": self._text("changed")})

    async def _change_task(self) -> None:
        await self._change("tasks", self._tasks, {"title": self._text("changed"), "priority": "HIGH"})

    async def _change_label(self) -> None:
        await self._change("labels", self._labels, {"name": self._text("renamed")})

    async def _change(self, collection: str, mine: list[View], patch: dict[str, str]) -> None:
        """Every other time with If-Match: no other client changes these records."""
        index = self._chosen(mine)
        known = mine[index]
        headers = {"if-match": f'"{known["version"]}"'} if self._random.random() < 0.5 else {}
        path = f"/v1/{collection}/{known['id']}"
        mine[index] = await self._write(collection, "PATCH", path, patch, headers)
        assert mine[index]["version"] == known["version"] + 1, f"{path}: {known} became {mine[index]}"

    async def _save_timeline(self) -> None:
        """PUT takes no key; repeated, it finds what it saved and saves nothing."""
        path = f"/v1/projects/{self._projects[self._chosen(self._projects)]['id']}/timeline"
        items = [{"id": "a", "title": self._text("phase"), "duration": 3}, {"id": "b", "duration": 2}]
        plan = {"items": items, "dependencies": [{"from": "a", "to": "b"}]}
        answer, _ = await self._client.insist("PUT", path, plan)
        self._noted("timelines", answer)

    async def _change_timeline(self) -> None:
        path = f"/v1/projects/{self._projects[self._chosen(self._projects)]['id']}/timeline"
        patch = {"items": [{"id": "c", "title": self._text("moved"), "duration": 5}], "dependencies": []}
        await self._write("timelines", "PATCH", path, patch)

    async def _trash_project_and_restore(self) -> None:
        """Each is one change set of many records: all of them move, or none."""
        index = self._chosen(self._projects)
        project = self._projects[index]
        path = f"/v1/projects/{project['id']}"
        tag = f'"{project["version"]}"'
        answer, is_repeated = await self._client.insist("DELETE", path, headers={"if-match": tag})
        # An earlier try was carried out and its answer lost: then the version it named is gone.
        is_done = answer.status_code == 204 or (is_repeated and answer.status_code == 412)
        assert is_done, answer.text
        restored = await self._write("projects", "POST", f"{path}/restore", None)
        assert restored["version"] == project["version"] + 2
        self._projects[index] = restored
        await self._look_again(project["id"])

    async def _look_again(self, project_id: str) -> None:
        """What went to the trash with a project came back with it, two versions later."""
        for index, task in enumerate(self._tasks):
            if task["projectId"] == project_id:
                answer, _ = await self._client.insist("GET", f"/v1/tasks/{task['id']}")
                self._tasks[index] = self._noted("tasks", answer)
                assert self._tasks[index]["version"] == task["version"] + 2
        answer, _ = await self._client.insist("GET", f"/v1/projects/{project_id}/timeline")
        if answer.json()["version"] > 0:
            self._noted("timelines", answer)

    async def _write(
        self,
        collection: str,
        method: str,
        path: str,
        body: object,
        headers: dict[str, str] | None = None,
    ) -> View:
        self._steps += 1
        keyed = {**(headers or {}), "idempotency-key": f"{self._name}-{self._steps}"}
        answer, _ = await self._client.insist(method, path, body, keyed)
        return self._noted(collection, answer)

    def _noted(self, collection: str, answer: httpx.Response) -> View:
        request = answer.request
        assert answer.status_code in (200, 201), f"{request.method} {request.url.path}: {answer.text}"
        return self._ledger.note(collection, answer)

    def _text(self, word: str) -> str:
        """A text that no other request of any editor uses, so that every write changes something."""
        self._steps += 1
        return f"{word} {self._steps} of {self._name}"

    def _chosen(self, mine: list[View]) -> int:
        return self._random.randrange(max(0, len(mine) - CHANGED_MAX), len(mine))
