"""Builds the change of ownership for the stores of this process."""

from adapters.migration.ownership_change import ChangeOfOwner
from domain.errors import Conflict
from entrypoints.composition.store_stack import StoreStack


def change_of_owner(stack: StoreStack) -> ChangeOfOwner:
    """The move of the ownership to the present target. Raises Conflict for a single store."""
    direction = stack.direction
    if direction.raw_target is None:
        raise Conflict(
            "There is no second store. Name a target first: set STORE=dual and start Tandem again."
        )
    return ChangeOfOwner(
        source=direction.ownership,
        successor=direction.raw_target,
        hold=stack.held,
        deliver=direction.deliver,
        undelivered=direction.undelivered,
        follow=stack.follow,
    )
