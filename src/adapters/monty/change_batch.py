"""Works that can be stored together: none of them could tell in which order they were."""

from collections.abc import Sequence

from adapters.monty.change_work import Touched, Work
from adapters.monty.collection_indexes import Claim
from adapters.monty.stored_state import StoredState, Write
from adapters.records.record import ID
from domain.errors import AlreadyExists


class ChangeBatch:
    """Collects the writes of works that touch different records and different unique values.

    What one work relies on no other may touch; any number may rely on the same record.

    So each is judged by what is stored, never by another one that might still fail to become durable.
    """

    def __init__(self, state: StoredState) -> None:
        self._state = state
        self._touched: set[Touched] = set()
        self._relied_on: set[Touched] = set()
        self._claims: set[Claim] = set()
        self.writes: list[Write] = []

    def take(self, work: Work) -> bool:
        """Adds the work's writes; False where it must wait for the next batch.

        Raises what is wrong with the work, which then has no part in the batch.
        """
        if not self._touched.isdisjoint(work.touches | work.relies_on):
            return False
        if not self._relied_on.isdisjoint(work.touches):
            return False
        writes = work.resolve(self._state)
        if not writes:
            return True
        gained, given_up = self._moved(writes)
        moved = {*gained, *given_up}
        if not self._claims.isdisjoint(moved):
            return False
        self._require_free(gained, given_up)
        self._touched |= work.touches
        self._relied_on |= work.relies_on
        self._claims |= moved
        self.writes.extend(writes)
        return True

    def _moved(self, writes: Sequence[Write]) -> tuple[dict[Claim, str], dict[Claim, set[str]]]:
        """Which record gains each claim, and which give it up; what records keep is in neither.

        Raises AlreadyExists where two of them gain the same.
        """
        gained: dict[Claim, str] = {}
        given_up: dict[Claim, set[str]] = {}
        for write in writes:
            record_id = write.record[ID]
            for move in self._state.moves(write):
                if move.gained is not None and gained.setdefault(move.gained, record_id) != record_id:
                    raise AlreadyExists(fields=move.gained.key.fields)
                if move.given_up is not None:
                    given_up.setdefault(move.given_up, set()).add(record_id)
        return gained, given_up

    def _require_free(self, gained: dict[Claim, str], given_up: dict[Claim, set[str]]) -> None:
        """Raises AlreadyExists where a claim is held by a record that does not give it up."""
        for claim, claimant in gained.items():
            holder = self._state.holder(claim)
            if holder is not None and holder != claimant and holder not in given_up.get(claim, ()):
                raise AlreadyExists(fields=claim.key.fields)
