"""Brings the texts of an imported file under the rule for names, and says what it changed.

People cannot correct a file that another tracker wrote, so a title with a line break or a hidden character is cleaned
instead of refused.
"""

from collections.abc import Iterator
from dataclasses import replace

from application.ports.interchange import ImportedIssue, Loss, ReadIssues
from domain.name import name_key, normalized, valid_name

UNTITLED = "it has no visible character; the key stands in its place"
CLEANED = "line breaks, control characters or invisible characters were removed"
NAMELESS = "a label without a visible character was left out"


def cleaned(read: ReadIssues) -> ReadIssues:
    """The issues with titles and labels that follow the rule, and the changes among the losses."""
    spellings: dict[str, str] = {}
    losses = list(read.losses)
    issues = []
    for given in read.issues:
        issue = _with_title(given, losses)
        names = [*_label_names(issue, losses)]
        # Spellings of one name that differ in case are one label: the first one counts.
        kept = tuple(dict.fromkeys(spellings.setdefault(name_key(name), name) for name in names))
        losses.extend(
            Loss(issue.key, "labels", f"“{name[:40]}” becomes “{spelling[:40]}”: case makes no other label")
            for name in names
            if (spelling := spellings[name_key(name)]) != name
        )
        issues.append(issue if kept == issue.label_names else replace(issue, label_names=kept))
    return replace(read, issues=issues, losses=losses)


def _with_title(issue: ImportedIssue, losses: list[Loss]) -> ImportedIssue:
    title = _valid(issue.title)
    if title != normalized(issue.title):
        losses.append(Loss(issue.key, "title", CLEANED if title else UNTITLED))
    return issue if title == issue.title else replace(issue, title=title or _valid(issue.key))


def _label_names(issue: ImportedIssue, losses: list[Loss]) -> Iterator[str]:
    for given in issue.label_names:
        name = _valid(given)
        if name != normalized(given):
            losses.append(Loss(issue.key, "labels", CLEANED if name else NAMELESS))
        if name:
            yield name


def _valid(text: str) -> str:
    """The valid part of the text; what is too long stays so, and is refused with its place."""
    return valid_name(text, longest=max(len(text), 1))
