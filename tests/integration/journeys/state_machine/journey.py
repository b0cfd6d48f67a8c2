"""One step: a person sends a request, the model predicts the outcome, and everybody reads what changed."""

import copy
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from domain.assignment import assignment_id
from tests.integration.journeys.model.sight import sees, shown
from tests.integration.journeys.model.state import Model, Refused, View
from tests.integration.journeys.state_machine.driver import Request, World

NAMES = ("anna", "ben", "carl", "dora", "emil")
PATHS = {
    "tasks": "/v1/tasks",
    "assignments": "/v1/task-assignments",
    "projects": "/v1/projects",
    "teams": "/v1/teams",
}
NOBODY = "f" * 24

ANYONE_ALLOWED = "anyone allowed"
NAME = st.sampled_from(("anna", "anna", "ben", "ben", "carl", "carl", "carl", "dora", "emil"))
"""Anna owns most at first, Carl belongs to every team, and Emil nowhere."""
PERSON = NAME | st.just(ANYONE_ALLOWED)
"""The person who acts: somebody at random, or the first one who is allowed; each half of the time."""
NTH = st.sampled_from((0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7))
"""The index of a record, modulo their number. Low ones are likelier: errors need two changes of one record."""
ANY_FROM = 6
"""From this number on also records that the person must not know of."""


@dataclass(frozen=True, slots=True)
class Manner:
    """Which version a request names in If-Match, if any, and whether it is sent twice."""

    if_match: str | None = None
    is_sent_twice: bool = False


PLAINLY = Manner()
MANNER = st.builds(
    Manner,
    if_match=st.sampled_from((None, None, None, "current", "previous")),
    is_sent_twice=st.sampled_from((False, False, False, True)),
)


class Tried(Exception):
    """The outcome that an action would have had."""

    def __init__(self, refusal: Refused | None) -> None:
        super().__init__()
        self.refusal = refusal


Thing = tuple[str, str]
"""Kind and id."""


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A request that carried a key, who sent it, what it was about and how it was answered."""

    by: str
    request: Request
    about: Thing
    answer: httpx.Response


class Journey(RuleBasedStateMachine):
    """New people in a service that other runs share."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.people = dict(zip(NAMES, self.world.newcomers(len(NAMES)), strict=True))
        self.model = Model([person.id for person in self.people.values()], assignment_id)
        self.repeatable: list[Repeatable] = []
        self.is_trial = False

    def id_of(self, name: str) -> str:
        return self.people[name].id

    def first_allowed(self, action: Callable[[str], None], first: int) -> str:
        """The first person whose request would succeed; where nobody's would, the first of the order.

        The search mostly starts at Carl, the member with the fewest rights.
        """
        begin = (first + NAMES.index("carl")) % len(NAMES)
        names = [*NAMES[begin:], *NAMES[:begin]]
        return next((name for name in names if self._is_granted(action, name)), names[0])

    def _is_granted(self, action: Callable[[str], None], name: str) -> bool:
        """Tries the action on a copy of the model alone."""
        present, self.model, self.is_trial = self.model, copy.deepcopy(self.model), True
        try:
            action(name)
        except Tried as tried:
            return tried.refusal is None
        finally:
            self.model, self.is_trial = present, False
        raise AssertionError("an action that sends no request")

    def pick(self, by: str, kind: str, number: int) -> str:
        """The id of one record of a kind, by its number; for most numbers one that the person sees, if there is any."""
        ids = self.model.shelves[kind].ids
        visible = [id_ for id_ in ids if sees(self.model, self.id_of(by), kind, id_)]
        candidates = visible if visible and number < ANY_FROM else ids
        return candidates[number % len(candidates)]

    def expected(self, thing: Thing, how: Manner) -> int | None:
        """The version for If-Match, None for no condition."""
        kind, id_ = thing
        version: int = self.model.shelves[kind][id_]["version"]
        return {None: None, "current": version, "previous": version - 1}[how.if_match]

    def attempt(
        self,
        by: str,
        request: Request,
        play: Callable[[View], object],
        *,
        about: Thing | None = None,
        shows: str | None = None,
        how: Manner = PLAINLY,
    ) -> None:
        """Asks, and lets the model do the same; `play` is given the answer, from which it takes new ids alone.

        Where the model refuses so must the service, for one of its reasons. Otherwise the answer shows the thing of
        kind `shows`, and everybody sees what changed as the model does.
        """
        if self.is_trial:
            raise Tried(refusal=_refusal_of(play, {"id": "", "displayId": "", "code": ""}))
        if how.is_sent_twice and request.method in ("POST", "PATCH"):
            request = replace(request, key=secrets.token_hex(8))
        answer = self.world.attempt(self.people[by], request)
        description = f"{by}: {request} answered {answer.status_code} {answer.text}"
        document: View = answer.json() if answer.is_success and answer.content else {}
        members = copy.deepcopy(self.model.members)
        refusal = _refusal_of(play, document)
        if refusal is not None:
            self._require_refused(by, request, answer, refusal=refusal, about=about)
            return
        assert answer.is_success, f"{description}, but must be carried out"
        changed = self.date_changes()
        if shows is not None:
            require_equal(document, shown(self.model, self.id_of(by), shows, document["id"]), description)
            assert answer.headers["etag"] == f'"{document["version"]}"'
        for thing in changed:
            self.require_seen(thing)
        if request.key is not None and shows is not None:
            sent = Repeatable(by, request, (shows, document["id"]), answer)
            self.require_repeated(sent, is_replayed=bool(changed) or members != self.model.members)
            if changed:
                self.repeatable.append(sent)

    def date_changes(self) -> list[Thing]:
        """Sets the time of the last change in the model, the same for everything that changed; returns what changed."""
        changed = self.model.undated()
        if changed:
            kind, id_ = changed[0]
            before = max(
                (versions[-2]["updatedAt"] for versions in self._histories(changed) if len(versions) > 1),
                default="",
            )
            at = self.world.read(self.world.admin, f"{PATHS[kind]}/{id_}")["updatedAt"]
            assert at >= before, "time went back"
            self.model.date_changes(at)
        return changed

    def require_seen(self, thing: Thing) -> None:
        """Everybody sees the thing as the model does, or must not know of it."""
        kind, id_ = thing
        answers = self.world.ask_all(self.people.values(), [f"{PATHS[kind]}/{id_}"])
        for (name, person), answer in zip(self.people.items(), answers, strict=True):
            description = f"{name} asks for {kind} {id_}: {answer.status_code} {answer.text}"
            if sees(self.model, person.id, kind, id_):
                assert answer.status_code == 200, description
                require_equal(answer.json(), shown(self.model, person.id, kind, id_), description)
            else:
                assert answer.status_code == 404, description

    def require_repeated(self, sent: Repeatable, *, is_replayed: bool) -> None:
        """The same request again is answered as before, unless what it was about is hidden from its sender by now."""
        again = self.world.ask(self.people[sent.by], sent.request)
        description = f"{sent.by}: {sent.request} again answered {again.status_code} {again.text}"
        if is_replayed and not sees(self.model, self.id_of(sent.by), *sent.about):
            assert again.status_code == 404, description
            return
        assert (again.status_code, again.json()) == (sent.answer.status_code, sent.answer.json()), description
        assert again.headers.get("idempotency-replayed") == ("true" if is_replayed else None), description

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self.require_all()

    def require_all(self) -> None:
        """Everything that everybody may see, compared once more."""
        raise NotImplementedError

    def _require_refused(
        self, by: str, request: Request, answer: httpx.Response, *, refusal: Refused, about: Thing | None
    ) -> None:
        """Refused for a reason that applies, also when asked again, and nothing happened."""
        description = f"{by}: {request} answered {answer.status_code} {answer.text}"
        assert answer.status_code in refusal.statuses, f"{description}, but is {refusal}"
        assert answer.json()["status"] == answer.status_code, description
        if about is not None:
            kind, id_ = about
            admin = self.world.admin
            present = self.world.read(admin, f"{PATHS[kind]}/{id_}")
            require_equal(
                present, shown(self.model, admin.id, kind, id_), f"{description} and changed {kind} {id_}"
            )
        if request.key is not None:
            again = self.world.ask(self.people[by], request)
            assert again.status_code == answer.status_code, f"{description}, and then {again.text}"

    def _histories(self, things: list[Thing]) -> list[list[dict[str, Any]]]:
        return [self.model.shelves[kind].versions[id_] for kind, id_ in things]


def require_equal(view: View, expected: View, description: str) -> None:
    """Fails naming the fields that differ."""
    differences = {
        name: (view.get(name), expected.get(name))
        for name in sorted(view.keys() | expected.keys())
        if view.get(name) != expected.get(name) or (name in view) != (name in expected)
    }
    assert not differences, f"{description}, but (shown, expected) are {differences}"


def _refusal_of(play: Callable[[View], object], document: View) -> Refused | None:
    try:
        play(document)
    except Refused as refusal:
        return refusal
    return None
