"""The dependencies that most use cases share."""

from dataclasses import dataclass

from application.actor import Actor
from application.ports.clock import Clock
from application.ports.unit_of_work import Begin
from domain.entity import Stamp


@dataclass(frozen=True, slots=True)
class UseCase:
    """A use case over units of work."""

    begin: Begin


@dataclass(frozen=True, slots=True)
class TimedUseCase(UseCase):
    """A use case that needs the present time."""

    clock: Clock

    def stamp(self, actor: Actor) -> Stamp:
        """The actor and the present time."""
        return Stamp(self.clock.now(), actor.id)
