"""Who is to do a task. Each function changes the model, or raises Refused and changes nothing."""

from tests.integration.journeys.model.sight import decides_on_task, is_member, runs, seen, sees_task
from tests.integration.journeys.model.state import Model, View, is_stale, refuse


def give(model: Model, by: str, task_id: str, *, to: str, kind: str, expected: int | None) -> None:
    """To a user or a team, instead of whoever had it; where that is so already, nothing happens."""
    task = seen(model, by, "tasks", task_id)
    refuse((is_stale(task, expected), 412), (task["isDeleted"], 409))
    if (task["assigneeId"], task["assigneeType"]) == (to, kind):
        return
    takes_it = task["assigneeId"] is None and (to, kind) == (by, "USER")
    refuse(
        (not decides_on_task(model, by, task) and not takes_it, 403),
        (not _is_there_for(model, by, task, to=to, kind=kind), 422),
    )
    _hand_over(model, by, task, to=to, kind=kind, executor=None)


def _hand_over(model: Model, by: str, task: View, *, to: str, kind: str, executor: str | None) -> None:
    """What was before ends; whoever has it now has yet to acknowledge it."""
    before = model.assignment_of(task["id"])
    if before is not None:
        model.assignments.delete(before["id"], by)
    who = {"assigneeId": to, "assigneeType": kind, "executorId": executor}
    model.assignments.add(model.assignment_id(task["id"], task["version"] + 1), by, taskId=task["id"], **who)
    model.tasks.change(task["id"], by, **who, isAcknowledged=False)


def assign(model: Model, by: str, task_id: str, *, to: str, kind: str) -> None:
    """The same, with the task named in the body: a task that the user must not know of is a violation there."""
    refuse((not sees_task(model, by, model.tasks[task_id]), 422))
    give(model, by, task_id, to=to, kind=kind, expected=None)


def _is_there_for(model: Model, by: str, task: View, *, to: str, kind: str) -> bool:
    if kind == "USER":
        return to in model.people
    team = model.teams[to]
    return not team["isDeleted"] and (is_member(model, by, to) or task["teamId"] == to)


def free(model: Model, by: str, task_id: str, *, expected: int | None) -> None:
    """Ends the assignment of a task, whichever it is."""
    task = seen(model, by, "tasks", task_id)
    assignment = model.assignment_of(task_id)
    refuse(
        (is_stale(task, expected), 412),
        (assignment is None, 404),
        (assignment is not None and not _ends(model, by, task), 403),
        (task["isDeleted"], 409),
    )
    assert assignment is not None
    _end(model, by, assignment)


def end(model: Model, by: str, id: str, *, expected: int | None) -> None:
    """Ends this assignment."""
    assignment = seen(model, by, "assignments", id)
    task = model.tasks[assignment["taskId"]]
    refuse(
        (is_stale(assignment, expected), 412),
        (assignment["isDeleted"] or task["isDeleted"], 409),
        (not _ends(model, by, task), 403),
    )
    _end(model, by, assignment)


def _ends(model: Model, by: str, task: View) -> bool:
    return decides_on_task(model, by, task) or task["assigneeId"] == by


def _end(model: Model, by: str, assignment: View) -> None:
    model.assignments.delete(assignment["id"], by)
    nobody = {"assigneeId": None, "assigneeType": None, "executorId": None}
    model.tasks.change(assignment["taskId"], by, **nobody, isAcknowledged=False)


def choose_executor(model: Model, by: str, id: str, executor: str | None, *, expected: int | None) -> None:
    """Which member of its team does the task; None hands it back to the team."""
    assignment = seen(model, by, "assignments", id)
    task = model.tasks[assignment["taskId"]]
    is_news = executor not in (None, assignment["executorId"])
    refuse(
        (is_stale(assignment, expected), 412),
        (assignment["isDeleted"] or task["isDeleted"] or assignment["assigneeType"] != "TEAM", 409),
        (not _may_choose(model, by, task, executor), 403),
        (is_news and not is_member(model, executor or "", assignment["assigneeId"]), 422),
    )
    _execute(model, by, assignment, executor)


def _may_choose(model: Model, by: str, task: View, executor: str | None) -> bool:
    """Members choose or remove themselves; team admins, and those who decide on the task, choose anybody."""
    team_id = task["assigneeId"]
    is_for_self = executor == by or (executor is None and task["executorId"] == by)
    chooses_self = is_member(model, by, team_id) and is_for_self
    return chooses_self or runs(model, by, team_id) or decides_on_task(model, by, task)


def _execute(model: Model, by: str, assignment: View, executor: str | None) -> None:
    model.assignments.change(assignment["id"], by, executorId=executor)
    model.tasks.change(assignment["taskId"], by, executorId=executor)


def hand_back(model: Model, by: str, team_id: str, user: str) -> None:
    """The open tasks of a team that somebody had taken over wait for another member; those of its projects that were
    assigned to them alone go to the team. The same in the trash. Done tasks stay theirs.
    """
    for assignment in list(model.assignments.live()):
        task = model.tasks[assignment["taskId"]]
        is_done = task["status"] == "DONE"
        if (assignment["assigneeId"], task["teamId"]) == (user, team_id):
            executor = user if is_done else None
            _hand_over(model, by, task, to=team_id, kind="TEAM", executor=executor)
        elif (assignment["assigneeId"], assignment["executorId"]) == (team_id, user) and not is_done:
            _execute(model, by, assignment, None)


def visible(model: Model, user: str, **wanted: str) -> list[View]:
    """The live assignments of live tasks that the user may see."""
    return [
        one
        for one in model.assignments.live()
        if not model.tasks[one["taskId"]]["isDeleted"]
        and sees_task(model, user, model.tasks[one["taskId"]])
        and all(one[name] == value for name, value in wanted.items())
    ]
