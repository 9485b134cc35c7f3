"""A project that is fit, and the same one with one thing wrong at a time: each is named with its remedy, and nothing is left behind."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.doctor import machine
from mtac_assets.doctor.examine import examine, parts_of
from mtac_assets.doctor.part import Part
from mtac_assets.orchestration.instance import prepare_dagster_home
from mtac_assets.provenance import ledger
from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests.tides import make_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return find_project(tmp_path)


def part(project: Project, name: str) -> Part:
    return parts_of(project)[name](project)


def error(found: Part) -> str:
    assert found.state == "bad"
    return " ".join(finding.error for finding in found.problems)


def refs(project: Project) -> str:
    return subprocess.run(["git", "for-each-ref"], cwd=project.root, capture_output=True, text=True, check=True).stdout


def test_a_fresh_project_is_fit_and_stays_as_it_was(project: Project) -> None:
    before = refs(project)
    parts = list(examine(project))
    assert [one.name for one in parts] == list(parts_of(project))
    assert [one for one in parts if one.state == "bad"] == []
    assert refs(project) == before
    left = [path.name for path in project.state.root.rglob("*") if "doctor" in path.name]
    assert left == []


def test_the_command_says_so_and_ends_with_a_code(project: Project, root: Path) -> None:
    def asked() -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "mtac_assets.cli", "doctor", "--json"],
            cwd=project.root, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout)

    code, document = asked()
    assert (code, document["fit"]) == (0, True)
    (project.root / "constraints.txt").write_text("numpy==0.0.1\n")
    code, document = asked()
    assert (code, document["fit"]) == (1, False)
    assert {one["name"] for one in document["parts"] if one["state"] == "bad"} == {"versions"}


def test_another_version_than_the_pinned_one(project: Project) -> None:
    (project.root / "constraints.txt").write_text("# pins\nnumpy==0.0.1\nnot-installed-here==1.0\n")
    found = part(project, "versions")
    assert "1 distributions are not the pinned ones: numpy" in error(found)
    assert found.problems[0].expected == "numpy 0.0.1"


def test_a_local_build_of_the_pinned_version_is_that_version(project: Project) -> None:
    import torch

    (project.root / "constraints.txt").write_text(f"torch=={torch.__version__.partition('+')[0]}\n")
    assert part(project, "versions").state == "good"


def test_a_state_that_cannot_be_written_to(project: Project) -> None:
    shutil.rmtree(project.state.root)
    project.state.root.write_text("a file where the folder should be")
    assert "cannot be written to" in error(part(project, "state"))


@pytest.mark.parametrize(("least", "scarce", "state"), [(0, 1 << 60, "worrying"), (1 << 60, 1 << 61, "bad")])
def test_a_disk_that_is_filling_up(
    project: Project, monkeypatch: pytest.MonkeyPatch, least: int, scarce: int, state: str
) -> None:
    monkeypatch.setattr(machine, "LEAST_BYTES", least)
    monkeypatch.setattr(machine, "SCARCE_BYTES", scarce)
    assert part(project, "disk").state == state


def test_every_volume_that_something_is_kept_on_is_looked_at(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Path("/dev/shm")
    if shared.stat().st_dev == project.root.stat().st_dev:
        pytest.skip("one volume alone is here")
    data = project.environment.data.model_copy(update={"remote": "/dev/shm/mtac-not-there-yet"})
    project = replace(project, environment=project.environment.model_copy(update={"data": data}))
    found = part(project, "disk")
    assert "free for the state; " in found.says
    assert found.says.endswith("free for the store")
    free = shutil.disk_usage(shared).free
    monkeypatch.setattr(
        machine.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(1, 1, 0 if place == shared else free)
    )  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(machine, "SCARCE_BYTES", 1)
    (finding,) = part(project, "disk").problems
    assert "0.0 GiB free for the store" in finding.error


LOOK = """
import json, os, sys
from pathlib import Path
from mtac_assets.doctor import machine, records
from mtac_assets.spec.project import find_project
project = find_project(Path(sys.argv[1]))

def look():
    return [part(project).document() for part in (machine.state, records.remote)]

said = look()
for folder in sys.argv[3:]:
    os.chmod(folder, 0o500)
if sys.argv[2] != "0":  # everything is loaded by now, and nothing of the interpreter's must be readable
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
print(json.dumps([said, look()]))
"""


@pytest.mark.fault
def test_folders_that_may_be_read_but_not_written(root: Path) -> None:
    """Asked by a process that is not root: only for such a one a mode of 0500 holds."""
    folder = Path(tempfile.mkdtemp(prefix="mtac-readable-"))
    try:
        made = make_project(folder / "coast")
        kept = [folder / "state", folder / "store"]
        (file,) = made.environments.glob("local.yaml")
        text = file.read_text().replace("state: .mtac", f"state: {kept[0]}")
        file.write_text(text + f"data: {{remote: {kept[1]}}}\n")
        for place in (*kept, folder / "home"):
            place.mkdir()
        user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else 0
        if user:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user, user)
        variables = {"PYTHONPATH": str(root), "PATH": os.environ["PATH"], "HOME": str(folder / "home")}
        command = [sys.executable, "-c", LOOK, str(made.root), str(user), *map(str, kept)]
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        before, (state, remote) = json.loads(done.stdout)
        assert [one["state"] for one in before] == ["good", "good"]
        assert "Permission denied" in state["problems"][0]["error"]
        assert "owner" in state["problems"][0]["remedy"]
        assert "does not take an object" in remote["problems"][0]["error"]
        assert "permissions" in remote["problems"][0]["remedy"]
    finally:
        for path in folder.iterdir():
            path.chmod(0o700)
        shutil.rmtree(folder)


def test_a_clock_that_is_an_hour_behind_its_own_records(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.append(
        project, project.environment.name, kind="note", recipe="floods", model_id=None, actor="ada", reason="r",
        evidence={}, expect=None,
    )  # fmt: skip
    assert part(project, "clock").state == "good"
    before = datetime.now(UTC) - timedelta(hours=1)
    monkeypatch.setattr(machine.clock, "now", lambda: before)
    assert "60 min ahead of this machine's clock" in error(part(project, "clock"))


def test_an_approver_whose_right_ends_or_has_ended(project: Project) -> None:
    (file,) = project.root.rglob("environments/local.yaml")
    text, today = file.read_text(), datetime.now(UTC).date()
    assert part(project, "approvals").says == "none is asked for"

    def asked(ends: str) -> Part:
        approved = f"require_approval: true, approvers: [ada, bea], approvals_end: {{{ends}}}"
        file.write_text(text.replace("require_approval: false", approved))
        return part(find_project(project.root), "approvals")

    before, soon, later = (today + timedelta(days=days) for days in (-1, 3, 60))
    assert asked(f"ada: {later}").state == "good"
    assert asked(f"ada: {soon}").state == "worrying"
    ended = asked(f"ada: {before}")
    assert (ended.state, ended.says) == ("worrying", "bea may approve")
    assert f"ada to approve ended on {before}" in ended.worries[0].error
    nobody = asked(f"ada: {before}, bea: {before}")
    assert "nobody may approve" in nobody.says
    assert "bea to approve ended" in error(nobody)


def test_a_clock_that_stands(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTAC_CLOCK", "2013-03-01T00:00:00+00:00")
    assert "fixes the clock" in error(part(project, "clock"))


def test_no_git(project: Project) -> None:
    (project.root / ".git").rename(project.root / ".not-git")
    bad = {one.name for one in examine(project) if one.state == "bad"}
    assert {"git", "ledger"} <= bad
    assert "remote" not in bad, "the other parts are examined all the same"


def test_an_edited_ledger(project: Project) -> None:
    for _ in range(2):
        ledger.append(
            project,
            "local",
            kind="note",
            recipe="floods",
            model_id=None,
            actor="ada",
            reason="r",
            evidence={},
            expect=None,
        )
    assert part(project, "ledger").says == "2 entries in 1 environments"
    run = lambda *words, **more: subprocess.run(  # noqa: E731
        ["git", *words], cwd=project.root, capture_output=True, text=True, check=True, **more
    ).stdout.strip()
    head = run("rev-parse", "refs/mtac/ledger/local")
    forged = run("cat-file", "commit", head).replace('"ada"', '"eve"')
    assert '"eve"' in forged
    written = run("hash-object", "-t", "commit", "-w", "--stdin", input=forged)
    run("update-ref", "refs/mtac/ledger/local", written)
    assert part(project, "ledger").state == "bad"


def test_a_remote_that_takes_nothing(project: Project) -> None:
    project.state.remote.parent.mkdir(parents=True, exist_ok=True)
    project.state.remote.write_text("a file where the folder should be")
    found = part(project, "remote")
    assert "does not take an object" in error(found)
    assert "data.remote" in found.problems[0].remedy


def test_a_damaged_and_an_older_database_of_dagster(project: Project) -> None:
    prepare_dagster_home(project)
    assert part(project, "dagster").says == "3 databases are whole and of this version's schema"
    with sqlite3.connect(project.state.dagster / "schedules" / "schedules.db") as connection:
        connection.execute("update alembic_version set version_num = '0123456789ab'")
    (project.state.dagster / "history" / "runs.db").write_bytes(b"SQLite format 3\0" + bytes(4096))
    said = error(part(project, "dagster"))
    assert "the database is damaged" in said
    assert "schema is 0123456789ab" in said


def test_a_port_in_use_is_a_worry(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = project.environment.ports.model_copy(update={"mlflow": port})
        environment = project.environment.model_copy(update={"ports": ports})
        found = part(Project(project.root, project.package, environment), "ports")
    assert found.state == "worrying"
    assert str(port) in " ".join(finding.error for finding in found.worries)
