"""Names that are no settings but resemble one: `STOER` for `STORE`.

Every name in `.env` is probably meant for this program; in the environment most belong to others. So a name in `.env`
may differ more than one in the environment, where only a slip of the fingers counts.
"""

from collections.abc import Iterable, Iterator, Mapping

from entrypoints.composition.variables import SettingViolation

SHORT_NAME_MAX = 6
"""In a name of this length one letter makes another word (`POST`, `STONE`); only swapped letters are a slip."""
TINY_NAME_MAX = 4
DISTANCE_MAX = 2
NAME_LENGTH_MAX = 100


def misspelt(
    known: frozenset[str], *, file: Mapping[str, str], environment: Mapping[str, str]
) -> Iterator[SettingViolation]:
    """The names that resemble a setting; those in the environment only if it is not set under its own name."""
    for name in sorted(file.keys() - known):
        meant = (setting for setting in known if _resembles(name, setting))
        yield from _violation(name, meant, source=".env")
    missing = {setting for setting in known if not {**file, **environment}.get(setting, "").strip()}
    for name in sorted(environment.keys() - known - file.keys()):
        meant = (setting for setting in missing if _is_slip(name, setting))
        yield from _violation(name, meant, source="the environment")


def _violation(name: str, meant: Iterable[str], *, source: str) -> Iterator[SettingViolation]:
    candidates = sorted(meant, key=lambda setting: (_distance(name.upper(), setting), setting))
    if candidates:
        yield SettingViolation(name, f"in {source} is not a setting; did you mean {candidates[0]}?")


def _resembles(name: str, setting: str) -> bool:
    """Whether a name in `.env` is meant to be the setting."""
    given, expected = name.upper().replace("-", "_"), setting
    if given.replace("_", "") == expected.replace("_", ""):
        return True
    if len(expected) <= TINY_NAME_MAX:
        return _is_slip(given, expected)
    most = 1 if len(expected) <= SHORT_NAME_MAX else DISTANCE_MAX
    return _distance(given, expected) <= most


def _is_slip(name: str, setting: str) -> bool:
    """Whether a name in the environment differs by one slip, and not only by an underscore, as other programs' do."""
    if name.replace("_", "") == setting.replace("_", ""):
        return False
    if len(setting) <= SHORT_NAME_MAX and sorted(name) != sorted(setting):
        return False
    return _distance(name, setting) == 1


def _distance(name: str, setting: str) -> int:
    """The number of letters to add, remove, replace, or swap with the next; inexact above DISTANCE_MAX."""
    if abs(len(name) - len(setting)) > DISTANCE_MAX or len(name) > NAME_LENGTH_MAX:
        return DISTANCE_MAX + 1
    rows = [list(range(len(setting) + 1))]
    for place, letter in enumerate(name, start=1):
        row = [place]
        for other_place, other in enumerate(setting, start=1):
            cost = min(rows[-1][other_place] + 1, row[-1] + 1, rows[-1][other_place - 1] + (letter != other))
            is_swapped = place > 1 and other_place > 1 and letter == setting[other_place - 2]
            if is_swapped and name[place - 2] == other:
                cost = min(cost, rows[-2][other_place - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]
