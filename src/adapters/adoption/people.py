"""Accounts: one for each e-mail address, which is how people sign in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from adapters.adoption.document_fields import DocumentFields
from adapters.adoption.drafts import Drafts, Reading, oldest_first, trash
from adapters.adoption.findings import SAME_PERSON
from adapters.records.originals import Original
from domain.errors import RuleBroken
from domain.user import TIMEZONE_DEFAULT, User, name_in, normal_email, zone_named

NO_ADDRESS = "The account has no valid e-mail address, so nobody could sign in to it."


@dataclass(frozen=True, slots=True)
class People:
    """The accounts. `same` names, for an account that is kept only as deactivated, the one that takes its place."""

    users: Drafts[User]
    same: Mapping[str, str]

    def acting(self, user_id: str) -> str:
        """The account that does the work of this one."""
        return self.same.get(user_id, user_id)

    def keep_other(self, fields: DocumentFields, user_id: str | None, *names: str) -> None:
        """Keeps the reference to an account whose place another one takes."""
        if user_id in self.same:
            fields.keep(*names)


def people_in(originals: Iterable[Original], reading: Reading) -> People:
    """The accounts of these documents."""
    users: Drafts[User] = {}
    for fields in reading.usable(originals):
        user = _user(fields, reading)
        if user is None:
            reading.findings.quarantine(fields.original, NO_ADDRESS)
        else:
            users[fields.id] = reading.draft(fields, user)
    return People(users, _merged(users, reading))


def _user(fields: DocumentFields, reading: Reading) -> User | None:
    address = fields.text("email", "emailId", "email_id")
    try:
        email = normal_email(address or "")
    except RuleBroken:
        return None
    if email != address:
        fields.keep("email", "emailId", "email_id")
    stamps = reading.stamps(fields, maker=fields.id)
    zone = fields.text("timezone")
    if zone is not None and zone_named(zone) is None:
        fields.keep("timezone")
        zone = None
    name = fields.text("name") or name_in(email)
    return User(
        id=fields.id,
        version=1,
        email=email,
        name=name,
        timezone=zone or TIMEZONE_DEFAULT,
        **stamps,
        **trash(fields, stamps),
    )


def _merged(users: Drafts[User], reading: Reading) -> dict[str, str]:
    """Deactivates the younger ones of several live accounts with one address; returns whose place the oldest takes."""
    first: dict[str, str] = {}
    same: dict[str, str] = {}
    for draft in oldest_first(users.values()):
        user = draft.entity
        if user.is_deleted or first.setdefault(user.email, user.id) == user.id:
            continue
        same[user.id] = first[user.email]
        draft.entity = replace(user, is_deleted=True, deleted_at=reading.at, deleted_by=first[user.email])
        reading.findings.add(SAME_PERSON, "users", user.id)
    return same
