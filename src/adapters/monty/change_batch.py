"""Works that can be stored together: none of them could tell in which order they were."""

from collections.abc import Sequence

from adapters.monty.change_work import Touched, Work
from adapters.monty.collection_indexes import Claim
from adapters.monty.stored_state import StoredState, Write
from adapters.records.record import ID
from domain.errors import AlreadyExists


class ChangeBatch:
    """Collects the writes of works that touch different records and different unique values.

    So each is judged by what is stored, never by another one that might still fail to become durable.
    """

    def __init__(self, state: StoredState) -> None:
        self._state = state
        self._touched: set[Touched] = set()
        self._claims: set[Claim] = set()
        self.writes: list[Write] = []

    def take(self, work: Work) -> bool:
        """Adds the work's writes; False where it must wait for the next batch.

        Raises what is wrong with the work, which then has no part in the batch.
        """
        if not self._touched.isdisjoint(work.touches):
            return False
        writes = work.resolve(self._state)
        if not writes:
            return True
        claimed = self._claimed(writes)
        moved = self._moved(writes, claimed)
        if not self._claims.isdisjoint(moved):
            return False
        self._require_free(writes, claimed)
        self._touched |= work.touches
        self._claims |= moved
        self.writes.extend(writes)
        return True

    def _claimed(self, writes: Sequence[Write]) -> dict[Claim, str]:
        """Who claims what after these writes. Raises AlreadyExists where two of them claim the same."""
        claimed: dict[Claim, str] = {}
        for write in writes:
            for claim in self._state.claims(write.collection, write.record):
                if claimed.setdefault(claim, write.record[ID]) != write.record[ID]:
                    raise AlreadyExists(fields=claim.key.fields)
        return claimed

    def _moved(self, writes: Sequence[Write], claimed: dict[Claim, str]) -> set[Claim]:
        """Every value that is claimed or given up."""
        given_up = {
            claim
            for write in writes
            if write.before is not None
            for claim in self._state.claims(write.collection, write.before)
        }
        return given_up.union(claimed)

    def _require_free(self, writes: Sequence[Write], claimed: dict[Claim, str]) -> None:
        written = {(write.collection, write.record[ID]) for write in writes}
        for claim, claimant in claimed.items():
            holder = self._state.holder(claim)
            # A holder that is written as well no longer claims the value, or two would have claimed it.
            if holder is not None and holder != claimant and (claim.collection, holder) not in written:
                raise AlreadyExists(fields=claim.key.fields)
