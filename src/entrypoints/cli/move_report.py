"""What the commands of the move print for people."""

from typing import Any

from entrypoints.cli.console import Console
from entrypoints.cli.move_client import Answer

DIFFERENCES_SHOWN_MAX = 50


def print_status(console: Console, view: Answer) -> None:
    """Where the move stands, and first why nothing goes on."""
    if (trouble := view.get("sourceTrouble")) is not None:
        console.line(f"The source CANNOT BE USED: {trouble}", bold=True)
    console.line(f"Phase {view['phase']}, epoch {view['epoch']}: {view['owner']} owns the writes.", bold=True)
    if (mirror := view["target"]) is not None:
        console.line(f"{mirror} is the mirror: {view['pending']} changes wait, {view['lagMs']} ms behind.")
    if view["equalAsOf"] is not None:
        apart = f", but for {view['skipped']} that were skipped by decision" if view["skipped"] else ""
        console.line(f"All records were compared and are equal as of {view['equalAsOf']}{apart}.")
    rows = [
        (
            one["collection"],
            one["records"]["source"],
            one["records"]["target"],
            f"{one['backfill']['state']} ({one['backfill']['done']})",
            one["verified"]["coverage"],
            one["verified"]["differences"],
            f"{one['route']['store']} {one['route']['percent']} %, shadow {one['route']['shadowPercent']} %",
        )
        for one in view["collections"]
    ]
    names = ("collection", view["source"], mirror or "target", "backfill", "coverage", "differences", "reads")
    console.table(names, rows)
    _print_processes(console, view["processes"])
    print_guards(console, view["guards"])
    if (job := view["job"]) is not None:
        console.line(job_line(job))
    console.line(view["nextCommand"])


def job_line(job: Answer) -> str:
    """How far a long step is, or how it ended."""
    named = f"{job['step']} (job {job['jobId']})"
    if job["state"] == "FAILED":
        return f"{named} failed: {job['error']}"
    if job["state"] == "DONE":
        return f"{named} has ended."
    progress = job["progress"]
    return f"{named} runs." if progress is None else f"{named} runs: {_progress(progress)}"


def print_job(console: Console, job: Answer, outcome: str) -> None:
    """What a long step did, or how to follow it."""
    if job["state"] != "DONE":
        console.line(f"{job_line(job)} Follow it: tandem move status")
    else:
        console.line(outcome if job["jobId"] else "The step is possible now.")


def print_switch(console: Console, view: Answer) -> None:
    """Who owns the writes, and the guards."""
    print_guards(console, view["guards"])
    if not view["isDryRun"]:
        owner, epoch, pause_ms = view["owner"], view["epoch"], view["pauseMs"]
        console.line(f"{owner} owns the writes (epoch {epoch}). Writes paused for {pause_ms} ms.", bold=True)


def print_guards(console: Console, guards: list[Answer]) -> None:
    """Each guard; a red one with its remedy."""
    rows = [
        ("ok" if one["green"] else "RED", one["code"], f"{one['detail']} {one['remedy']}".strip())
        for one in guards
    ]
    if rows:
        console.table(("", "guard", "detail"), rows)


def print_preflight(console: Console, result: Answer) -> None:
    """What the census found."""
    total = sum(result["records"].values())
    console.line(f"{total} records were read.", bold=True)
    rows = [
        (
            "BLOCKS" if one["blocks"] else "note",
            one["code"],
            one["collection"],
            one["count"],
            ", ".join(one["samples"]),
            f"{one['consequence']} {one['remedy']}".strip(),
        )
        for one in result["findings"]
    ]
    if rows:
        console.table(("", "finding", "collection", "records", "samples", "consequence"), rows)


def print_verification(console: Console, result: Answer) -> None:
    """How much was compared, and the first records that differ."""
    share, count = result["coverage"], result["differenceCount"]
    console.line(f"{share:.1%} of the records were compared; {count} differ.", bold=True)
    rows = [
        (one["collection"], one["id"], one["kind"], ", ".join(one["fields"])) for one in result["differences"]
    ]
    if rows:
        names = ("collection", "id", "difference", "fields")
        console.table(names, rows[:DIFFERENCES_SHOWN_MAX])
    if skipped := result["skipped"]:
        console.line(f"{len(skipped)} records were skipped by decision, and do not count as differences:")
        skipped_rows = [(one["collection"], one["id"], one["reason"]) for one in skipped]
        console.table(("collection", "id", "skipped because"), skipped_rows[:DIFFERENCES_SHOWN_MAX])


def _print_processes(console: Console, processes: list[Answer]) -> None:
    silent = [one["process"] for one in processes if one["isAlive"] and one["mirrors"] is False]
    alive = sum(bool(one["isAlive"]) for one in processes)
    if any(one["mirrors"] is None for one in processes):
        mirroring = "Which of them mirror cannot be seen, because the target does not answer."
    else:
        mirroring = f"These do not mirror: {', '.join(silent)}." if silent else "Every one of them mirrors."
    console.line(f"Processes that are alive: {alive}. {mirroring}")


def _progress(progress: Any) -> str:
    total = "" if progress["total"] is None else f" of {progress['total']}"
    collection = "" if progress["collection"] is None else f" ({progress['collection']})"
    text = f"{progress['done']}{total} records{collection}"
    if progress["ratePerSecond"]:
        text += f", {progress['ratePerSecond']} per second"
    if (eta := progress["etaSeconds"]) is not None:
        text += f", {eta[0]} to {eta[1]} s left"
    return f"{text}." if progress["waitsFor"] is None else f"{text}. {progress['waitsFor']}"
