"""Fixtures for the conformance tests: callers with different rights, and records for the requests to address.

All of it is made over HTTP, so that every store mode holds the same.
"""

import time
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import httpx

from domain.role import RoleScope, built_in_id

CALLERS: Final = ("nobody", "stranger", "member", "owner", "moderator", "admin")
"""Without a token; in no team; in the team; who made the team and what is in it; who moderates; who administers."""
NOBODY: Final = CALLERS[0]
MODERATOR: Final = built_in_id(RoleScope.GLOBAL, "moderator")
TEAM_ADMIN: Final = built_in_id(RoleScope.TEAM, "admin")

RENEWED_SECONDS: Final = 300.0
"""A long run outlives its access tokens, so there are new ones now and then."""

Json = dict[str, Any]
Things = dict[str, str]
"""Kind → id (or code, or token) of something that is there."""

KINDS: Final = {
    "/v1/projects/": "project",
    "/v1/tasks/": "task",
    "/v1/teams/": "team",
    "/v1/labels/": "label",
    "/v1/roles/": "role",
    "/v1/task-assignments/": "assignment",
    "/v1/users/me/tokens/": "token",
    "/v1/users/": "newcomer",
    "/v1/watchlist/": "task",
    "/v1/sync/": "task",
    "/v1/move/jobs/": "job",
    "/v1/admin/trash/": "task",
}
"""What stands at an address, by how it begins."""


class World:
    """Its first user administers it. `things` last; `found` makes more of what a question may destroy."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._numbers = count(1)
        self._headers: dict[str, dict[str, str]] = {}
        self._ids: dict[str, str] = {}
        self._renew_at = time.monotonic() + RENEWED_SECONDS
        # The first to sign in administers the installation.
        self._sign_everybody_in()
        self._ask("PUT", f"/v1/users/{self._ids['moderator']}/roles/{MODERATOR}", by="admin")
        self._makers: dict[str, Callable[[], Things]] = {
            "project": self._project,
            "task": self._task,
            "team": self._team,
            "label": self._label,
            "role": self._role,
            "assignment": self._assignment,
            "newcomer": self._newcomer,
            "token": self._token,
        }
        self.things: Things = {"member": self._ids["member"], "owner": self._ids["owner"]}
        for kind in ("team", "project", "label", "task", "role", "newcomer", "token"):
            self.things |= self._makers[kind]()
        for kind in ("team", "project", "task"):
            self._change(kind, self.things[kind])
        assigned = self._assignment()
        self.things |= {**self._invited(), "refreshToken": self._signed_in("stranger")[2]}
        self.things |= {"assignment": assigned["assignment"], "assigned": assigned["task"]}
        self.things["job"] = self._ask("POST", "/v1/move/preflight", by="admin")["jobId"]

    def headers(self, caller: str, path: str) -> dict[str, str]:
        """Who asks. What ends sessions is asked from one of its own."""
        if caller == NOBODY:
            return {}
        if path.startswith("/v1/auth/"):
            return self._signed_in(caller)[1]
        if time.monotonic() > self._renew_at:
            self._sign_everybody_in()
        return dict(self._headers[caller])

    def found(self, operation: Any, *, by: str = "owner") -> tuple[dict[str, str], Things]:
        """Path parameters that lead to something, and all that a question about it may name."""
        path = operation.path
        things = dict(self.things) if by == NOBODY else self._fresh(operation.method.upper(), path)
        return self._address(path, things), things

    def _fresh(self, method: str, path: str) -> Things:
        """What is there, and for a question that changes something new ones of what it changes."""
        if path in ("/v1/auth/refresh", "/v1/auth/logout"):
            return {**self.things, "refreshToken": self._signed_in("stranger")[2]}
        if path == "/v1/teams/join":
            return {**self.things, **self._invited()}
        kind = next((kind for prefix, kind in KINDS.items() if path.startswith(prefix)), None)
        if kind == "job":
            # A service remembers so many jobs, and other questions start some.
            return {**self.things, "job": self._ask("GET", "/v1/move", by="admin")["job"]["jobId"]}
        if method == "GET" or kind is None:
            return dict(self.things)
        if path.endswith("/assignment"):
            return {**self.things, **self._assignment()}
        made = {**self.things, **self._makers[kind]()}
        self._bring_about(method, path, kind, made)
        return made

    def _address(self, path: str, things: Things) -> dict[str, str]:
        """Path parameters that lead to these things; none for a path without any."""
        kind = next((kind for prefix, kind in KINDS.items() if path.startswith(prefix)), None)
        role = MODERATOR if path.startswith("/v1/users/") else TEAM_ADMIN
        found = {
            "id": things.get(kind or "", ""),
            "user_id": things["member"],
            "role_id": role,
            "version": "1",
            "collection": "tasks",
            "record": f"quarantine:tasks:{things['task']}",
        }
        return {name: value for name, value in found.items() if f"{{{name}}}" in path}

    def _bring_about(self, method: str, path: str, kind: str, made: Things) -> None:
        """The state that some questions mean: what is restored was deleted, what is taken away was given."""
        if path.endswith("/restore"):
            self._ask("DELETE", f"/v1/{kind}s/{made[kind]}")
        elif path.endswith("/rollback"):
            self._change(kind, made[kind])
        elif path.endswith("/watchlist/{id}") and method == "DELETE":
            self._ask("PUT", f"/v1/watchlist/{made['task']}", by="owner")
        elif path.endswith("/roles/{role_id}") and method == "DELETE":
            address = path.format_map(self._address(path, made))
            self._ask("PUT", address, by="admin" if kind == "newcomer" else "owner")

    def _change(self, kind: str, id: str) -> None:
        """A second version of it, and of a project's timeline."""
        self._ask("PATCH", f"/v1/{kind}s/{id}", {"description": "Changed."})
        for days in (1, 2) if kind == "project" else ():
            self._ask("PUT", f"/v1/projects/{id}/timeline", {"items": [{"id": "dig", "duration": days}]})

    def _sign_everybody_in(self) -> None:
        for caller in reversed(CALLERS[1:]):
            self._ids[caller], self._headers[caller], _ = self._signed_in(caller)
        self._renew_at = time.monotonic() + RENEWED_SECONDS

    def _signed_in(self, name: str) -> tuple[str, dict[str, str], str]:
        """A new session: who that is, the headers that say so, and its refresh token."""
        answer = self._ask("POST", "/v1/auth/dev/token", {"email": f"{name}@example.org"}, by=NOBODY)
        return (
            answer["user"]["id"],
            {"Authorization": f"Bearer {answer['accessToken']}"},
            answer["refreshToken"],
        )

    def _ask(self, method: str, path: str, body: Json | None = None, *, by: str = "owner") -> Json:
        answer = self._client.request(method, path, json=body, headers=self.headers(by, path))
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json()) if answer.content else {}

    def _project(self) -> Things:
        body = {"name": f"Garden {next(self._numbers)}", "teamId": self.things["team"]}
        return {"project": self._ask("POST", "/v1/projects", body)["id"]}

    def _task(self) -> Things:
        body = {"title": f"Dig {next(self._numbers)}", "projectId": self.things["project"]}
        return {"task": self._ask("POST", "/v1/tasks", body)["id"]}

    def _team(self) -> Things:
        made = self._ask("POST", "/v1/teams", {"name": "Gardeners"})["id"]
        self._ask("POST", f"/v1/teams/{made}/members", {"userIds": [self.things["member"]]})
        return {"team": made}

    def _invited(self) -> Things:
        team = self._team()["team"]
        return {"code": self._ask("POST", f"/v1/teams/{team}/invite-codes")["code"]}

    def _label(self) -> Things:
        return {"label": self._ask("POST", "/v1/labels", {"name": f"wet {next(self._numbers)}"})["id"]}

    def _role(self) -> Things:
        body = {"name": f"planner {next(self._numbers)}", "scope": "TEAM", "permissions": ["CHANGE_TEAM"]}
        return {"role": self._ask("POST", "/v1/roles", body, by="admin")["id"]}

    def _assignment(self) -> Things:
        task = self._task()["task"]
        body = {"taskId": task, "assigneeId": self.things["team"], "assigneeType": "TEAM"}
        return {"task": task, "assignment": self._ask("POST", "/v1/task-assignments", body)["id"]}

    def _token(self) -> Things:
        body = {"name": f"script {next(self._numbers)}", "scopes": ["read"]}
        return {"token": self._ask("POST", "/v1/users/me/tokens", body)["id"]}

    def _newcomer(self) -> Things:
        return {"newcomer": self._signed_in(f"newcomer-{next(self._numbers)}")[0]}
