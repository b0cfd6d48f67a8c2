"""A whole move by commands: the guide as it stands, a restart in the middle, and no service at all."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from entrypoints.cli.program import run
from entrypoints.composition.evidence_file import is_intact
from entrypoints.composition.names import SETTINGS
from tests.integration.cli.stored_move import Found, stored_in
from tests.integration.crash.tandem_process import TandemProcess
from tests.servers.mongo import MongoDatabase, MongoServer
from tests.servers.processes import wait_until
from tests.servers.tables import run_statements
from tests.unit.entrypoints.cli.conftest import Ended, Tandem

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "move-your-installation.md"
EQUAL_SECONDS_MAX = 15.0
OWNER_AFTER = {"cutover": "postgres", "rollback": "monty"}
PHASE_AFTER = {
    "backfill --wait": "backfilled",
    "verify --full --wait": "verified",
    "route all --shadow 10": "reading",
    "route all --shadow 10 --target 10": "reading",
    "cutover": "cut over",
    "rollback": "verified",
    "finish": "finished",
}
"""The phase after a command of the guide, where the command changes it."""


def commands_of_the_guide() -> list[list[str]]:
    """The arguments of each command, in their order."""
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@dataclass(slots=True)
class Installation:
    """A service of its own, and commands in this process that find it by its DATA_DIR."""

    variables: Mapping[str, str]
    directory: Path
    tandem: Tandem
    service: TandemProcess | None = None

    def serve(self) -> None:
        """Starts the service."""
        words = ["serve", "--demo", "--port", "0"]
        self.service = TandemProcess("serve", words, environment=self.variables, directory=self.directory)
        self.service.start()
        self.service.wait_ready()

    def stop(self) -> None:
        """Stops it, with everything delivered."""
        assert self.service is not None
        assert self.service.stop() == 0, self.service.evidence()

    def move(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The JSON answer of a command of the move."""
        ended = self.tandem("move", *words, "--json")
        assert ended.code == code, f"{words}: {ended.code} {ended.out} {ended.err}"
        return ended.view

    def status(self) -> dict[str, Any]:
        """Where the move stands, whatever its guards say."""
        return self.tandem("move", "status", "--json").view

    def wait_equal(self) -> None:
        """Waits until nothing is pending and both stores hold as many records."""

        def is_equal() -> bool:
            view = self.status()
            counts = [one["records"] for one in view["collections"]]
            return view["pending"] == 0 and all(one["source"] == one["target"] for one in counts)

        wait_until(is_equal, seconds_max=EQUAL_SECONDS_MAX, reason="the stores are not equal")

    def write(self, name: str) -> None:
        """Creates a label over HTTP."""
        assert self.service is not None
        with httpx.Client(base_url=self.service.wait_ready()["url"], trust_env=False) as client:
            answer = client.post("/v1/auth/dev/token", json={"email": "demo@example.com"})
            headers = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
            made = client.post("/v1/labels", json={"name": name}, headers=headers)
            assert made.status_code == 201, made.text

    def stored(self) -> Found:
        """What both stores hold while no process uses them."""
        return stored_in(self.variables)


Install = Callable[..., Installation]


@pytest.fixture
def install(
    data_directory: Path,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Install]:
    """Makes an installation that mirrors to PostgreSQL; its commands know nothing but DATA_DIR."""
    for variable in SETTINGS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(data_directory)
    made: list[Installation] = []

    def tandem(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(list(arguments))
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    def install(*, is_running: bool = True, **more: str) -> Installation:
        variables = {
            "APP_ENV": "development",
            "STORE": "dual",
            "DUAL_WRITE_SOURCE": "monty",
            "MONTY_STORAGE": "sqlite",
            "POSTGRES_URL": postgres_url,
            "DATA_DIR": str(data_directory / "data"),
            **more,
        }
        for name in variables if not is_running else ("DATA_DIR",):
            monkeypatch.setenv(name, variables[name])
        made.append(Installation(variables, data_directory, tandem))
        if is_running:
            made[-1].serve()
        return made[-1]

    yield install
    for one in made:
        if one.service is not None:
            one.service.kill()


def prepare(installation: Installation, *, until: str = "rehearse") -> None:
    """Takes the steps up to the cut-over."""
    for words in (["backfill", "--wait"], ["verify", "--full", "--wait"], ["rehearse"]):
        installation.move(*words)
        if words[0] == until:
            return


def colours(codes: Sequence[Mapping[str, Any]]) -> set[str]:
    """The red guards."""
    return {one["code"] for one in codes if not one["green"]}


def test_the_guide_moves_an_installation_there_back_and_there_again(install: Install) -> None:
    installation = install()
    commands = commands_of_the_guide()
    assert [words[1] for words in commands][-2:] == ["finish", "retire"]
    owner, phase, evidence = "monty", "mirroring", ""
    for words in commands:
        # The first look shows what is still to be done.
        code = 1 if words[1] == "status" else 0
        view = installation.move(*words[1:], code=code)
        name = " ".join(words[1:])
        owner, phase = OWNER_AFTER.get(name, owner), PHASE_AFTER.get(name, phase)
        if name == "verify --full --wait" and owner == "postgres":
            phase = "cut over"
        if name == "finish":
            evidence = view["evidenceFile"]
        status = installation.status()
        assert (status["owner"], status["phase"]) == (owner, phase), name
        if name in ("cutover", "rollback"):
            installation.write(f"after {name} {status['epoch']}")
            installation.wait_equal()
    assert is_intact(Path(evidence))
    installation.stop()
    found = installation.stored()
    assert (found.roles["postgres"], found.roles["monty"]) == ("OWNER", "RETIRED")
    assert found.contents["postgres"] == found.contents["monty"]
    assert len([name for name in found.labels if name.startswith("after ")]) == 3


def test_a_restart_after_the_cut_over_finds_the_new_owner(install: Install) -> None:
    installation = install()
    prepare(installation)
    moved = installation.move("cutover")
    assert (moved["owner"], moved["isDryRun"]) == ("postgres", False)
    installation.stop()
    installation.serve()
    status = installation.status()
    assert (status["owner"], status["phase"], status["epoch"]) == ("postgres", "cut over", moved["epoch"])
    assert status["reverse"] is not None
    installation.write("after the restart")
    installation.wait_equal()
    assert installation.move("rollback")["owner"] == "monty"
    installation.stop()
    found = installation.stored()
    assert (found.roles["monty"], found.roles["postgres"]) == ("OWNER", "MIRROR")
    assert "after the restart" in found.labels
    assert found.contents["postgres"] == found.contents["monty"]


def test_red_guards_stop_the_cut_over_and_name_what_to_type(install: Install) -> None:
    installation = install()
    early = installation.tandem("move", "cutover")
    assert early.code == 1
    assert "`mirroring`" in early.err
    assert "tandem move backfill" in early.err
    prepare(installation, until="verify")
    dry = installation.move("cutover", "--dry-run", code=1)
    assert colours(dry["guards"]) == {"rehearsal"}
    assert "tandem move rehearse" in installation.tandem("move", "cutover", "--dry-run").out
    refused = installation.tandem("move", "cutover")
    assert refused.code == 1
    assert "tandem move rehearse" in refused.err
    assert installation.status()["owner"] == "monty"
    forced = installation.move("cutover", "--force", "the old disk fails")
    assert forced["owner"] == "postgres"
    taken = [one["detail"] for one in installation.status()["steps"] if one["step"] == "cutover"]
    assert taken[0] == "Forced: the old disk fails"


@pytest.mark.torture
def test_the_doctor_names_records_that_a_verification_found_to_differ(
    install: Install, postgres_url: str
) -> None:
    installation = install()
    prepare(installation, until="backfill")
    run_statements(postgres_url, "UPDATE postgres_labels SET color = '#010203' WHERE name_key IS NOT NULL")
    installation.move("verify", "--full", "--wait", code=1)
    differ = "records differ between monty and postgres, as a comparison that ended at"
    found = installation.tandem("doctor")
    assert (found.code, differ in found.out, "→ Type: tandem move repair" in found.out) == (1, True, True)
    installation.move("repair", "--wait")
    assert differ not in installation.tandem("doctor").out


def test_a_locked_owner_is_named_by_the_commands_that_leave_it(install: Install, postgres_url: str) -> None:
    installation = install()
    prepare(installation)
    installation.move("cutover")
    for lock, words, named in (
        ("LOCK TABLE postgres_labels", ("rollback", "--dry-run"), "has locked postgres_labels of PostgreSQL"),
        ("LOCK TABLE postgres_labels", ("rollback",), "has locked postgres_labels of PostgreSQL"),
        ("SELECT FROM tandem_control FOR UPDATE", ("rollback",), "keeps a row of tandem_control locked"),
    ):
        with psycopg.connect(postgres_url) as other:
            other.execute(lock)
            ended = installation.tandem("move", *words)
        assert (words, ended.code, named in ended.err) == (words, 3, True), ended.err
    installation.move("rollback")
    assert installation.status()["owner"] == "monty"


def test_wrong_use_is_refused_and_changes_nothing(install: Install) -> None:
    installation = install()
    before = installation.status()
    wrong = [
        (("route", "tasks"), 2, "--shadow"),
        (("route", "tasks", "--target", "101"), 2, "101"),
        (("route", "ghosts", "--target", "1"), 2, "no collection ghosts"),
        (("backfill", "--rate", "0"), 2, "0"),
        (("cutover", "--force", " "), 2, "reason"),
        (("rollback",), 1, "`mirroring`"),
        (("finish",), 1, "`mirroring`"),
        (("retire",), 1, "`mirroring`"),
        (("rehearse",), 1, "`mirroring`"),
        (("repair", "--wait"), 1, "tandem move verify --full"),
        (("quarantine", "skip", "quarantine:tasks:1", "--reason", "x"), 2, "quarantine list"),
    ]
    for words, code, named in wrong:
        ended = installation.tandem("move", *words)
        assert (ended.code, named in ended.err) == (code, True), f"{words}: {ended}"
    after = installation.status()
    assert (after["phase"], after["epoch"], after["steps"]) == (
        before["phase"],
        before["epoch"],
        before["steps"],
    )


def test_without_a_service_the_commands_take_the_steps_themselves(install: Install) -> None:
    installation = install(is_running=False)
    assert installation.tandem("demo").code == 0
    assert installation.move("preflight")["isClear"] is True
    assert installation.move("backfill")["state"] == "DONE"
    assert installation.move("verify", "--wait")["isClean"] is True
    assert installation.move("verify", "--self-test")["state"] == "DONE"
    status = installation.status()
    assert (status["phase"], status["owner"]) == ("verified", "monty")
    assert {one["backfill"]["state"] for one in status["collections"]} == {"DONE"}
    installation.move("rehearse")
    assert installation.move("cutover")["owner"] == "postgres"
    assert installation.move("rollback")["owner"] == "monty"
    found = installation.stored()
    assert (found.roles["monty"], found.roles["postgres"]) == ("OWNER", "MIRROR")


def test_a_source_in_mongodb_moves_over_http(install: Install, mongo_server: MongoServer) -> None:
    database = MongoDatabase(mongo_server.uri)
    try:
        installation = install(DUAL_WRITE_SOURCE="mongo", MONGODB_URI=database.uri, DB_NAME=database.name)
        _move_over_http(installation)
        installation.stop()
        found = installation.stored()
    finally:
        database.drop()
    assert (found.roles["postgres"], found.roles["mongo"]) == ("OWNER", "MIRROR")
    assert found.contents["postgres"] == found.contents["mongo"]


def _move_over_http(installation: Installation) -> None:
    assert installation.service is not None
    url = installation.service.wait_ready()["url"]
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        token = client.post("/v1/auth/dev/token", json={"email": "demo@example.com"}).json()["accessToken"]
        client.headers["Authorization"] = f"Bearer {token}"
        job: dict[str, Any] = {}
        for step in ("preflight", "backfill", "verify"):
            started = client.post(f"/v1/move/{step}")
            assert started.status_code == 202, started.text
            job = _ended(client, started.json()["jobId"])
            assert job["state"] == "DONE", json.dumps(job)
        assert job["result"]["coverage"] == 1.0
        assert client.post("/v1/move/rehearse").json()["owner"] == "mongo"
        dry = client.post("/v1/move/cutover?dryRun=true").json()
        assert (colours(dry["guards"]), dry["owner"]) == (set(), "mongo")
        moved = client.post("/v1/move/cutover")
        assert (moved.status_code, moved.json()["owner"]) == (200, "postgres")
    installation.write("after the cut-over")
    installation.wait_equal()


def _ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        job: dict[str, Any] = client.get(f"/v1/move/jobs/{job_id}").json()
        return job

    wait_until(
        lambda: ask()["state"] != "RUNNING",
        seconds_max=EQUAL_SECONDS_MAX,
        reason="the step did not end",
    )
    return ask()
