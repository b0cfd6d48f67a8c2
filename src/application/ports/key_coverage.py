"""What is known of a collection by ranges of ids."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCoverage:
    """One letter for each of some consecutive ranges of ids, as of an instant: `E` equal, `D` a record differs, `U` not
    compared as it is. Empty where nothing is known.
    """

    collection: str
    buckets: str
    as_of: datetime | None
