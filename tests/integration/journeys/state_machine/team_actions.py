"""Actions on teams, members and projects."""

from hypothesis import strategies as st

from domain.role import RoleScope, built_in_id
from tests.integration.journeys.model import projects, teams
from tests.integration.journeys.model.state import View
from tests.integration.journeys.state_machine.actions import action
from tests.integration.journeys.state_machine.driver import Request
from tests.integration.journeys.state_machine.journey import MANNER, NAME, NTH, PERSON, Journey, Manner

TEAMS_MAX = 4
PROJECTS_MAX = 5
CODES_MAX = 4
TITLE = st.sampled_from(("Garden", "Yard", "Pond"))
TEAM_CHANGES = st.one_of(
    st.fixed_dictionaries({"name": TITLE}),
    st.fixed_dictionaries({"name": TITLE, "description": st.none() | TITLE}),
    st.fixed_dictionaries({"pocId": st.none() | NAME}),
    st.fixed_dictionaries({"ownerId": NAME}),
)
PROJECT_CHANGES = st.one_of(
    st.fixed_dictionaries({"name": TITLE}),
    st.fixed_dictionaries({"teamId": st.none() | NTH}),
    st.fixed_dictionaries({"ownerId": NAME}),
)
BUSY = "a busy member"
ADMIN_ROLE = built_in_id(RoleScope.TEAM, "admin")


class TeamActions(Journey):
    """Teams and projects; a project takes its tasks along wherever it goes."""

    @action(where=lambda self: len(self.model.teams) < TEAMS_MAX, by=PERSON, name=TITLE, how=MANNER)
    def make_team(self, by: str, name: str, how: Manner) -> None:
        body = {"name": name}

        def play(made: View) -> None:
            teams.create(self.model, self.id_of(by), body, id=made.get("id", ""))

        self.attempt(by, Request("POST", "/v1/teams", body), play, shows="teams", how=how)

    @action(by=PERSON, number=NTH, changes=TEAM_CHANGES, how=MANNER)
    def change_team(self, by: str, number: int, changes: View, how: Manner) -> None:
        id_ = self.pick(by, "teams", number)
        people = {name: self.id_of(changes[name]) for name in ("ownerId", "pocId") if changes.get(name)}
        body = {**changes, **people}
        expected = self.expected(("teams", id_), how)
        self.attempt(
            by,
            Request("PATCH", f"/v1/teams/{id_}", body, expected),
            lambda _: teams.change(self.model, self.id_of(by), id_, body, expected=expected),
            about=("teams", id_),
            shows="teams",
            how=how,
        )

    @action(
        where=lambda self: len(self.model.projects) < PROJECTS_MAX,
        by=PERSON,
        name=TITLE,
        team=st.none() | NTH,
        how=MANNER,
    )
    def make_project(self, by: str, name: str, team: int | None, how: Manner) -> None:
        body = {"name": name, "teamId": None if team is None else self.pick(by, "teams", team)}

        def play(made: View) -> None:
            projects.create(self.model, self.id_of(by), body, id=made.get("id", ""))

        self.attempt(by, Request("POST", "/v1/projects", body), play, shows="projects", how=how)

    @action(weight=2, by=PERSON, number=NTH, changes=PROJECT_CHANGES, how=MANNER)
    def change_project(self, by: str, number: int, changes: View, how: Manner) -> None:
        id_ = self.pick(by, "projects", number)
        body = dict(changes)
        if "ownerId" in changes:
            body["ownerId"] = self.id_of(changes["ownerId"])
        if changes.get("teamId") is not None:
            body["teamId"] = self.pick(by, "teams", changes["teamId"])
        expected = self.expected(("projects", id_), how)
        self.attempt(
            by,
            Request("PATCH", f"/v1/projects/{id_}", body, expected),
            lambda _: projects.change(self.model, self.id_of(by), id_, body, expected=expected),
            about=("projects", id_),
            shows="projects",
            how=how,
        )


class MemberActions(Journey):
    """Joining, administering and leaving teams."""

    @action(by=PERSON, number=NTH, user=NAME, how=MANNER)
    def add_member(self, by: str, number: int, user: str, how: Manner) -> None:
        id_, user_id = self.pick(by, "teams", number), self.id_of(user)
        self.attempt(
            by,
            Request("POST", f"/v1/teams/{id_}/members", {"userIds": [user_id]}),
            lambda _: teams.add_member(self.model, self.id_of(by), id_, user_id),
            about=("teams", id_),
            shows="teams",
            how=how,
        )
        self.require_seen(("teams", id_))

    @action(where=lambda self: len(self.model.codes) < CODES_MAX, by=PERSON, number=NTH)
    def invite(self, by: str, number: int) -> None:
        id_ = self.pick(by, "teams", number)
        self.attempt(
            by,
            Request("POST", f"/v1/teams/{id_}/invite-codes"),
            lambda made: teams.invite(self.model, self.id_of(by), id_, made.get("code", "")),
            about=("teams", id_),
        )

    @action(where=lambda self: self.model.codes, by=PERSON, number=NTH, how=MANNER)
    def revoke_codes(self, by: str, number: int, how: Manner) -> None:
        id_ = self.pick(by, "teams", number)
        expected = self.expected(("teams", id_), how)
        self.attempt(
            by,
            Request("DELETE", f"/v1/teams/{id_}/invite-codes", expected=expected),
            lambda _: teams.revoke_codes(self.model, self.id_of(by), id_, expected=expected),
            about=("teams", id_),
        )

    @action(weight=2, where=lambda self: self.model.codes, by=PERSON, number=NTH)
    def join(self, by: str, number: int) -> None:
        """With one of the codes that were ever made, revoked ones included."""
        codes = list(self.model.codes)
        code = codes[number % len(codes)]
        team = ("teams", self.model.codes[code].team_id)
        self.attempt(
            by,
            Request("POST", "/v1/teams/join", {"code": code}),
            lambda _: teams.join(self.model, self.id_of(by), code),
            about=team,
            shows="teams",
        )
        self.require_seen(team)

    @action(weight=3, by=PERSON, number=NTH, user=st.just(BUSY) | st.none() | NAME)
    def remove_member(self, by: str, number: int, user: str | None) -> None:
        """The named member; None stands for the person who asks."""
        id_ = self.pick(by, "teams", number)
        user_id = self._busy_member(id_) if user == BUSY else self.id_of(user or by)
        self.attempt(
            by,
            Request("DELETE", f"/v1/teams/{id_}/members/{user_id}"),
            lambda _: teams.remove_member(self.model, self.id_of(by), id_, user_id),
            about=("teams", id_),
        )
        self.require_seen(("teams", id_))

    @action(by=PERSON, number=NTH, user=NAME, is_admin=st.booleans())
    def set_admin(self, by: str, number: int, user: str, is_admin: bool) -> None:
        id_, user_id = self.pick(by, "teams", number), self.id_of(user)
        self.attempt(
            by,
            Request("PUT" if is_admin else "DELETE", f"/v1/teams/{id_}/members/{user_id}/roles/{ADMIN_ROLE}"),
            lambda _: teams.set_admin(self.model, self.id_of(by), id_, user_id, is_admin=is_admin),
            about=("teams", id_),
        )

    def _busy_member(self, id: str) -> str:
        """A removable member with an assigned task of the team or of its projects; Carl where there is none."""
        team = self.model.teams[id]
        may_go = self.model.members[id].keys() - {team["ownerId"], team["pocId"]}
        for task in self.model.tasks:
            busy = may_go & {task["assigneeId"], task["executorId"]}
            if busy and id in (task["teamId"], task["assigneeId"]):
                return min(busy)
        return self.id_of("carl")
