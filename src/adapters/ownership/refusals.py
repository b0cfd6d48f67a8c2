"""Why a store must not be used, in words for operators: the cause, and what to do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapters.ownership.control import Ownership, Role
from adapters.records.lanes import Lane
from adapters.records.record_store import StoreRefused
from domain.errors import Conflict, StoreUnavailable
from domain.migration import Phase


class WritesRefused(StoreUnavailable):
    """The store takes no writes at present; reads go on."""


class Moving(WritesRefused):
    """The ownership is on its way to the other store: a write waits until that is decided."""


class OlderSource(StoreRefused):
    """The source is an older copy of itself. Reads go on."""


class Stranger(StoreRefused):
    """Another process feeds the target from another copy of the source."""


class StaleOwner(StoreRefused):
    """The source owned the writes once, and another store has owned them since."""


class DamagedFile(StoreRefused):
    """The file `last-seen` cannot be read."""


class StoreLost(StoreUnavailable):
    """The store that this process uses was emptied or replaced: what it answers now are not the records it held."""

    names_remedy = True


def lost(store: str, found: Ownership | None) -> StoreLost:
    """A store in use holds no control record any more, or that of another installation."""
    what = "has lost its control record" if found is None else "belongs to another installation"
    return StoreLost(
        f"The {store} store {what}: it was emptied or replaced while in use. Restore a copy of it, then start Tandem"
        " again: tandem serve"
    )


def not_entered() -> WritesRefused:
    """Nothing is known about the source yet."""
    return WritesRefused("The source was not compared with its target yet; try again in a moment.")


def moving(name: str) -> Moving:
    """A cut-over is under way."""
    return Moving(f"The writes are moving from {name} to the other store; try again in a moment.")


def moved(name: str, found: Ownership) -> Moving:
    """Another store owns the writes now; this process follows."""
    return Moving(f"The writes have moved from {name} to {found.owner}; try again in a moment.")


def closed(found: Ownership, *, target: str) -> StoreRefused | WritesRefused:
    """Why the gate of this owner is closed."""
    return older_source(found.store, target) if found.move is None else moving(found.store)


def other_move(move: Mapping[str, Any] | None) -> Conflict:
    """A change of ownership cannot begin."""
    if move is None:
        return Conflict(
            "The source takes no writes at present, so the ownership cannot move. See: tandem doctor"
        )
    return Conflict(
        f"A move to {move['to']} is under way, started by {move['coordinator']}. Wait for it to end: tandem move status"
    )


def target_replaced() -> Conflict:
    """The target of a move is no longer the one that was verified."""
    return Conflict("The target was restored or replaced during the move. Type: tandem move verify --full")


def move_is_over() -> Conflict:
    """A coordinator comes too late."""
    return Conflict("Another process has ended this move. See how: tandem move status")


def older_source(name: str, target: str) -> OlderSource:
    """The source lacks writes that the target has."""
    return OlderSource(
        f"This {name} store is an older copy of itself: {target} has seen writes that it lacks, so it takes no writes.",
        remedy="Bring the missing writes back from the target: tandem recover. Or restore the newest copy of it; a"
        " process that runs takes writes again within seconds.",
    )


def older_target(name: str) -> StoreRefused:
    """The target lacks writes that were brought there."""
    return StoreRefused(
        f"This {name} store is an older copy of itself: it lacks writes that were mirrored to it before.",
        remedy="Starting the service completes it: tandem serve",
    )


def stranger(lanes: Iterable[Lane]) -> Stranger:
    """Another source feeds the target."""
    processes = ", ".join(sorted({str(lane.by) for lane in lanes}))
    return Stranger(
        f"Another copy of this installation is running ({processes}) and mirrors to the same target.",
        remedy="Stop that one; if this one still runs, it takes writes again within seconds. Or stop this one, and give"
        " a copy that shall live on a target and an address of its own.",
    )


def other_installation(store: str, found: Ownership, expected: Ownership) -> StoreRefused:
    """The target belongs to another installation."""
    return StoreRefused(
        f"This {store} store belongs to another installation ({found.installation}, {found.role} of {found.owner}), and"
        f" this one is {expected.installation}, so nothing is written into it.",
        remedy="Name the database that belongs to this installation, or an empty one for a first start.",
    )


def not_a_mirror(store: str, found: Ownership) -> StoreRefused:
    """The target owns the writes itself."""
    return StoreRefused(
        f"This {store} store owns the writes of its installation ({found.role}), so nothing is mirrored into it.",
        remedy="Name the database that receives the mirror.",
    )


def former_owner_with_writes(store: str, owner: str, entry_ids: Sequence[str]) -> StoreRefused:
    """A copy of a former owner that has taken writes of its own."""
    return StoreRefused(
        f"This {store} store is an older copy of a former owner and holds changes that {owner} lacks (entry"
        f" {entry_ids[0]}{' and others' if len(entry_ids) > 1 else ''}), so nothing is written into it.",
        remedy=f"Keep it as a backup. To mirror to {store} again, restore a copy without them, or empty the store"
        " and type: tandem move backfill --new-target",
    )


def emptied(store: str) -> StoreRefused:
    """An empty store where a filled one was."""
    return StoreRefused(
        f"This {store} store is empty or was emptied, and the target of this installation was filled before, so nothing"
        " is written into it.",
        remedy="Name the earlier database or restore it; an older copy of it is completed by itself. If it is lost for"
        " good, fill this one anew: tandem move backfill --new-target",
    )


def filled_target(store: str, found: Ownership | None) -> str:
    """Why a store is not taken as a new target."""
    holds = "holds records" if found is None else f"is {found.role} of installation {found.installation}"
    return (
        f"This {store} store {holds}, and only an empty one becomes a new target. Name an empty database, or use this"
        " one as it is: tandem doctor"
    )


def unnamed(store: str) -> StoreRefused:
    """A store with entries that names no installation."""
    return StoreRefused(
        f"This {store} store holds records and does not say which installation they belong to, so nothing is written"
        " into it.",
        remedy="Name an empty database, or the one that belongs to this installation.",
    )


def emptied_source(store: str, found: Ownership) -> StoreRefused:
    """An empty source beside a filled target."""
    return StoreRefused(
        f"This {store} store is empty, and the target holds the data of installation {found.installation}.",
        remedy=f"Restore the files or the database of {store}, or name an empty target to begin anew.",
    )


def known_but_empty(store: str, path: str) -> StoreRefused:
    """An empty source in the data directory of a known installation."""
    return StoreRefused(
        f"This {store} store is empty, although this data directory has served an installation before.",
        remedy=f"Restore the files or the database of {store}, or remove {path} to begin anew.",
    )


def foreign_source(store: str, found: Ownership) -> StoreRefused:
    """The settings name a source that does not own the writes."""
    cause = (
        f"This {store} store is the {found.role} of {found.owner}, which owns the writes since epoch {found.epoch}, so"
        " a write here would be lost."
    )
    if found.role is Role.MIRROR and found.phase is not Phase.FINISHED:
        return StoreRefused(
            cause,
            remedy=f"Start with STORE=dual, DUAL_WRITE_SOURCE={found.owner} and DUAL_WRITE_TARGET={store}.",
        )
    return StoreRefused(cause, remedy=f"Start with STORE={found.owner}.")


def stale_owner(own: Ownership, found: Ownership) -> StaleOwner:
    """The target has owned the writes since this source did."""
    return StaleOwner(
        f"This {own.store} store owned the writes in epoch {own.epoch}; {found.store} owns them since epoch"
        f" {found.epoch}, so this one takes no writes.",
        remedy=f"Keep it as a backup and start without it: STORE={found.store}. To mirror to {own.store} again, move"
        f" its files or its database away, so that an empty one stands in its place.",
    )


def other_owner(source: str, owner: Ownership) -> StoreRefused:
    """The settings still name the former owner, which takes part no more."""
    return StoreRefused(
        f"The settings name {source} as the source, and {owner.store} owns the writes since epoch {owner.epoch}"
        " without a mirror.",
        remedy=f"Set STORE={owner.store}.",
    )


def other_target(store: str, mirror_to: str) -> StoreRefused:
    """The source is mirrored to another store."""
    return StoreRefused(
        f"The writes of this {store} store are mirrored to {mirror_to}.",
        remedy=f"Start with STORE=dual and DUAL_WRITE_TARGET={mirror_to};"
        " DUAL_WRITE_ENABLED=false pauses the mirror.",
    )


def unproven(target: str) -> WritesRefused:
    """The target cannot be reached, and the source is older than it was."""
    return WritesRefused(
        f"This source is older than when it was last used, and {target} cannot be reached to compare: it takes no"
        " writes before that. Make the target reachable, or start with `tandem serve --alone`."
    )


def suspected(target: str, suspicion: str) -> WritesRefused:
    """Another copy was alive, and now the target cannot be reached, so that nothing shows whether it still is."""
    return WritesRefused(
        f"{suspicion} Now {target} cannot be reached, so this one takes no writes before it was compared. Make the"
        " target reachable, or start with `tandem serve --alone` if no other copy is running."
    )


def damaged_file(path: str) -> DamagedFile:
    """The file that shows how far the source was cannot be read."""
    return DamagedFile(
        f"The file {path}, which shows whether the source is older than it was, cannot be read or is damaged.",
        remedy="Make sure that the source is its newest copy, then remove the file.",
    )
