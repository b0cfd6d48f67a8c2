"""When Python's garbage collector runs.

Loading the program makes a few hundred thousand objects that stay for good. At the usual thresholds the collector looks
through them several hundred times, which takes a third of the start.
"""

import gc

LOADING_OBJECTS_MAX = 200_000
"""New objects until the next collection, while the program loads."""
_USUAL = gc.get_threshold()


def collect_rarely() -> None:
    """For the time of loading, and for commands that end soon."""
    gc.set_threshold(LOADING_OBJECTS_MAX)


def collect_as_usual() -> None:
    """For a service that has started. What exists now is left out from then on: each full collection would otherwise
    stop all requests for a tenth of a second and more.
    """
    gc.freeze()
    gc.set_threshold(*_USUAL)
