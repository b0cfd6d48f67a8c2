"""Teams and their members. Each function changes the model, or raises Refused and changes nothing."""

from tests.integration.journeys.model.assignments import hand_back
from tests.integration.journeys.model.sight import changes_team, is_member, runs, seen
from tests.integration.journeys.model.state import Invitation, Model, View, is_stale, refuse


def create(model: Model, by: str, body: View, *, id: str) -> None:
    """Its maker owns it and is its first member."""
    model.teams.add(id, by, **{"description": None, "pocId": None, "ownerId": by, **body})
    model.members[id] = {by: False}


def change(model: Model, by: str, id: str, body: View, *, expected: int | None) -> None:
    """Owner and contact are members, and only the owner gives a team away."""
    team = seen(model, by, "teams", id)
    named = [body[name] for name in ("ownerId", "pocId") if body.get(name) is not None]
    is_given = body.get("ownerId", team["ownerId"]) != team["ownerId"]
    refuse(
        (not changes_team(model, by, team), 403),
        (is_given and team["ownerId"] != by, 403),
        (is_stale(team, expected), 412),
        (team["isDeleted"], 409),
        (not team["isDeleted"] and any(not is_member(model, user, id) for user in named), 422),
    )
    model.teams.change(id, by, **body)


def roll_back(model: Model, by: str, id: str, version: int, *, expected: int | None) -> None:
    """Name and description; owner and contact stay with the present."""
    team = seen(model, by, "teams", id)
    versions = model.teams.versions[id]
    is_known = 1 <= version <= len(versions)
    refuse(
        (not changes_team(model, by, team), 403),
        (is_stale(team, expected), 412),
        (not is_known, 404),
        (team["isDeleted"], 409),
    )
    earlier = versions[version - 1]
    model.teams.change(id, by, name=earlier["name"], description=earlier["description"])


def delete(model: Model, by: str, id: str, *, expected: int | None) -> None:
    """With its members."""
    team = seen(model, by, "teams", id)
    refuse((team["ownerId"] != by, 403), (is_stale(team, expected), 412), (team["isDeleted"], 409))
    model.teams.delete(id, by)


def restore(model: Model, by: str, id: str, *, expected: int | None) -> None:
    """With exactly the members who went with it."""
    team = seen(model, by, "teams", id)
    refuse((team["ownerId"] != by, 403), (is_stale(team, expected), 412), (not team["isDeleted"], 409))
    model.teams.restore(id, by)


def add_member(model: Model, by: str, id: str, user: str) -> None:
    team = seen(model, by, "teams", id)
    refuse(
        (not changes_team(model, by, team), 403),
        (team["isDeleted"], 409),
        (user not in model.people, 422),
    )
    model.members[id].setdefault(user, False)
    model.removed.discard((id, user))


def invite(model: Model, by: str, id: str, code: str) -> None:
    team = seen(model, by, "teams", id)
    refuse((not changes_team(model, by, team), 403), (team["isDeleted"], 409))
    model.codes[code] = Invitation(id)


def revoke_codes(model: Model, by: str, id: str, *, expected: int | None) -> None:
    """A version of the team that shows nothing new."""
    team = seen(model, by, "teams", id)
    refuse(
        (not changes_team(model, by, team), 403), (is_stale(team, expected), 412), (team["isDeleted"], 409)
    )
    for invitation in model.codes.values():
        invitation.is_revoked |= invitation.team_id == id
    model.teams.raise_version(id, by)


def join(model: Model, by: str, code: str) -> None:
    """Into the team that the code opens; whom somebody else took out of it no code brings back."""
    invitation = model.codes[code]
    id_ = invitation.team_id
    refuse((invitation.is_revoked or model.teams[id_]["isDeleted"] or (id_, by) in model.removed, 422))
    model.members[id_].setdefault(by, False)


def remove_member(model: Model, by: str, id: str, user: str) -> None:
    """Members may always leave. Their open tasks go back to the team."""
    team = seen(model, by, "teams", id)
    refuse(
        (user != by and not changes_team(model, by, team), 403),
        (team["isDeleted"], 409),
        (user not in model.members[id], 404),
        (user in (team["ownerId"], team["pocId"]), 409),
    )
    del model.members[id][user]
    if user != by:
        model.removed.add((id, user))
    hand_back(model, by, id, user)


def set_admin(model: Model, by: str, id: str, user: str, *, is_admin: bool) -> None:
    """Grants or revokes the admin role of a team; nobody grants a role they do not hold."""
    team = seen(model, by, "teams", id)
    refuse(
        (not runs(model, by, id), 403),
        (team["isDeleted"], 409),
        (user not in model.members[id], 404),
    )
    model.members[id][user] = is_admin
