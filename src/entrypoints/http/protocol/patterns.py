"""Patterns of texts in requests, with the messages for texts that do not match."""

VALUES_MAX = 50
IDS_MAX = 200
LIST_LENGTH_MAX = 25 * IDS_MAX
"""The length of a list of ids with commas."""
_ID = "[0-9a-f]{24}"
_STATUS = "TODO|IN_PROGRESS|BLOCKED|DONE|DEFERRED"
_PRIORITY = "HIGH|MEDIUM|LOW"
_NUMBER = "#?[1-9][0-9]{0,17}"
_DAY = r"\d{4}-\d\d-\d\d"


def _listed(value: str, *, most: int = VALUES_MAX) -> str:
    """The pattern of one or more values, separated by commas."""
    return f"^({value})(,({value})){{0,{most - 1}}}$"


ID = f"^{_ID}$"
COLOR = "^#[0-9a-f]{6}$"
EXPAND = "^(labels|assignee)(,(labels|assignee))*$"
# Without a zone an instant is ambiguous, and stores only keep milliseconds.
_TIME = r"[Tt ]\d\d:\d\d:\d\d(\.\d{1,3}0{0,6})?([Zz]|[+-]\d\d:?\d\d)"
INSTANT = f"^{_DAY}{_TIME}$"
MOMENT = f"^{_DAY}({_TIME})?$"
IDS = _listed(_ID, most=IDS_MAX)
IDS_OR_NONE = _listed(f"{_ID}|none")
PEOPLE = _listed(f"{_ID}|me|none")
CREATORS = _listed(f"{_ID}|me")
STATUSES = _listed(_STATUS)
PRIORITIES = _listed(_PRIORITY)
NUMBERS = _listed(_NUMBER)

_COMMAS = "separated by commas"
_ID_FORM = "24 lower-case hexadecimal digits"
MESSAGES = {
    ID: f"must be an id: {_ID_FORM}",
    COLOR: "must be a colour written #rrggbb, lower case",
    EXPAND: f"must be one or more of labels, assignee, {_COMMAS}",
    MOMENT: "must be a day like 2026-01-31, or an instant like 2026-01-31T12:00:00.000Z, with Z or an offset",
    IDS: f"must be 1 to {IDS_MAX} ids ({_ID_FORM}), {_COMMAS}",
    IDS_OR_NONE: f"must be 1 to {VALUES_MAX} ids ({_ID_FORM}) or none, {_COMMAS}",
    PEOPLE: f"must be me, none, or 1 to {VALUES_MAX} ids ({_ID_FORM}), {_COMMAS}",
    CREATORS: f"must be me, or 1 to {VALUES_MAX} ids ({_ID_FORM}), {_COMMAS}; every task has a creator",
    STATUSES: f"must be one or more of {_STATUS.replace('|', ', ')}, {_COMMAS}",
    PRIORITIES: f"must be one or more of {_PRIORITY.replace('|', ', ')}, {_COMMAS}",
    NUMBERS: f"must be 1 to {VALUES_MAX} task numbers like 17, {_COMMAS}",
}
"""The messages, also for texts that are only too short or too long."""
