"""The workflows are thin and careful: make targets that exist, actions pinned by commit, no more permission than needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from mtac_assets_tests.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(path: Any) -> dict[str, Any]:
    return YAML(typ="safe").load(path.read_text())


def steps(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for job in document["jobs"].values():
        assert ("steps" in job) != (job.get("uses") == "./.github/workflows/checks.yml"), "our own, or steps"
        for step in job.get("steps", []):
            yield job, step


def test_there_are_some() -> None:
    assert [path.name for path in WORKFLOWS] == ["checks.yml", "ci.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_jobs_end_and_may_do_little(path: Any) -> None:
    document = read(path)
    assert document["permissions"] == {"contents": "read"}
    for job, step in steps(document):
        assert job["timeout-minutes"] <= 120
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"]), step["uses"]
            if "checkout" in step["uses"]:
                assert step["with"]["persist-credentials"] is False
        for name, right in job.get("permissions", {}).items():
            assert (name, right) in {
                ("contents", "read"),
                ("pull-requests", "write"),
                ("actions", "read"),
            }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_make_target_is_there_and_no_expression_of_a_stranger_reaches_a_shell(path: Any) -> None:
    document = read(path)
    matrix = [
        target
        for job in document["jobs"].values()
        for target in job.get("strategy", {}).get("matrix", {}).get("target", [])
    ]
    called = set(matrix)
    for _, step in steps(document):
        run = step.get("run", "")
        called |= set(re.findall(r"\bmake ([a-z-]+)", run))
        assert set(re.findall(r"\$\{\{(.*?)\}\}", run)) <= {" matrix.target "}, "others come in by env"
    assert called or path.name == "ci.yml"
    assert called <= TARGETS


def test_the_job_that_may_write_comments_runs_nothing_of_the_change() -> None:
    for job in read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"].values():
        if "write" in job.get("permissions", {}).values():
            assert not any("checkout" in step.get("uses", "") or "make" in step.get("run", "") for step in job["steps"])


def test_an_image_is_built_only_of_what_passed_every_check() -> None:
    release = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert release["checks"]["uses"] == "./.github/workflows/checks.yml"
    assert release["image"]["needs"] == "checks"
    (check,) = read(ROOT / ".github" / "workflows" / "checks.yml")["jobs"].values()
    targets = set(check["strategy"]["matrix"]["target"])
    assert targets >= {"lint", "definitions", "check", "smoke", "audit", "test", "test-slow", "test-faults"}
    marks = re.findall(r"-m '(.+)'", (ROOT / "Makefile").read_text())
    assert sorted(marks) == ["fault", "not slow and not fault", "slow and not fault"], "every test is in one of them"


def test_production_takes_only_what_was_checked() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert jobs["production"]["environment"] == "production"
    runs = [step.get("run", "") for step in jobs["production"]["steps"]]
    checked = next(place for place, run in enumerate(runs) if "make same-image" in run)
    deployed = next(place for place, run in enumerate(runs) if "make deploy" in run)
    assert checked < deployed
    assert not any(
        "make image" in run
        for name, job in jobs.items()
        if name != "image"
        for run in [step.get("run", "") for step in job.get("steps", [])]
    )
