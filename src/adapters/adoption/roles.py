"""The roles: those that Tandem has itself take the place of their namesakes, the others are taken over."""

from collections.abc import Iterable
from typing import Final

from adapters.adoption.document_fields import DocumentFields, spelled
from adapters.adoption.drafts import Draft, Drafts, Reading, trash
from adapters.adoption.numbering import name_roles
from adapters.records.originals import Original
from application.actor import SYSTEM_ID
from domain.entity import Stamp
from domain.permissions import GRANT_OF
from domain.role import BUILT_IN_ROLES, PERMISSIONS_OF, Permission, Role, RoleScope, built_in_id

OWNER: Final = "OWNER"
NO_NAME = "The role has no name."
NO_SCOPE = "The scope of the role cannot be read, so it is not known where its rights hold."
_BUILT_IN: Final = {(scope, spelled(name)): built_in_id(scope, name) for scope, name, _, _ in BUILT_IN_ROLES}


class Roles:
    """The roles of these documents, and the built-in ones."""

    def __init__(self, originals: Iterable[Original], reading: Reading) -> None:
        self._reading = reading
        stamp = Stamp(reading.at, SYSTEM_ID)
        self.roles: Drafts[Role] = {
            built_in_id(definition[0], definition[1]): Draft(Role.built_in(stamp, definition))
            for definition in BUILT_IN_ROLES
        }
        self._ids: dict[tuple[RoleScope, str], str] = dict(_BUILT_IN)
        for fields in reading.usable(originals):
            self._read(fields)
        own = [draft for draft in self.roles.values() if not draft.entity.is_built_in]
        name_roles(own, reading.findings)

    def _read(self, fields: DocumentFields) -> None:
        name = fields.text("name")
        if name is None or not name.strip():
            self._reading.findings.quarantine(fields.original, NO_NAME)
            return
        scope = fields.member(("scope",), {scope.value: scope for scope in RoleScope}) or RoleScope.GLOBAL
        if "scope" in fields.replaced:
            self._reading.findings.quarantine(fields.original, NO_SCOPE)
            return
        if (built_in := _BUILT_IN.get((scope, spelled(name)))) is not None:
            self.roles[built_in].parts.append(fields.whole())
            self.roles[built_in].sources.append(fields.id)
            return
        stamps = self._reading.stamps(fields)
        role = Role(
            id=fields.id,
            version=1,
            name=name,
            scope=scope,
            description=fields.text("description"),
            permissions=_permissions(fields, scope),
            **stamps,
            **trash(fields, stamps),
        )
        self.roles[fields.id] = self._reading.draft(fields, role)
        if not role.is_deleted:
            self._ids.setdefault((scope, spelled(name)), fields.id)

    def id_of(self, scope: RoleScope, name: str) -> str | None:
        """The id of the live role with this name."""
        return self._ids.get((scope, spelled(name)))

    def has_rights(self, role_id: str) -> bool:
        """Whether the role permits anything."""
        return bool(self.roles[role_id].entity.permissions)

    def grants_of(self, name: str) -> tuple[str, ...]:
        """The grants that the global role with this name gives to an account."""
        role_id = self.id_of(RoleScope.GLOBAL, name)
        permissions = () if role_id is None else self.roles[role_id].entity.permissions
        return tuple(str(GRANT_OF[permission]) for permission in permissions)


def _permissions(fields: DocumentFields, scope: RoleScope) -> tuple[Permission, ...]:
    """The permissions by Tandem's names; the document keeps its list."""
    listed = fields.original.fields.get("permissions")
    names = {spelled(one) for one in listed} if isinstance(listed, list) else set()
    return tuple(sorted(one for one in PERMISSIONS_OF[scope] if one.value in names))
