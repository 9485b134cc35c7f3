"""Live rows decide, through real Dagster: a challenger's shadow period ends, a new champion stays or goes back. Once each."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import pytest

from mtac_assets.monitoring.stored_predictions import scored_days
from mtac_assets.orchestration.line import ingest_days, run_line
from mtac_assets.promotion.decide import promote
from mtac_assets.promotion.transition import Decision
from mtac_assets.provenance import ledger
from mtac_assets.spec.load import load_recipe
from mtac_assets.tracking import registry
from mtac_assets_tests.orchestration.triggers.conftest import Daemon
from mtac_assets_tests.tides import write_day

AS_OF = date(2024, 1, 7)
DAYS = [(date(2024, 1, 1) + timedelta(days=offset)).isoformat() for offset in range(25)]
THERE = 8  # days that are there when the models are made
LIVE = """  shadow: {days: 5, min_rows: 100, alpha: 0.2}
  rollback: {window_days: 5, looks: 2, min_rows: 100, alpha: 0.4}
"""
DECIDE = """
import os, signal, sys
from mtac_assets.orchestration.execute import execute
from mtac_assets.orchestration.instance import instance
from mtac_assets.orchestration.repository import load_repository
from mtac_assets.promotion import view
from mtac_assets.spec.project import find_project

view.settle = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
project = find_project()
with instance(project) as opened:
    execute(project, opened, load_repository(project).get_job("floods_live_decisions"), tags={}, run_config={})
"""


@dataclass
class Rivals:
    """Two models of one day: one that learned, and one that hardly did."""

    daemon: Daemon
    good: str
    poor: str

    def ask(self, model_id: str) -> Decision:
        """Ada asks for a promotion."""
        return promote(self.daemon.project, model_id, by="Ada", reason="it is time")

    def bring_in(self, days: list[str]) -> None:
        """Days land, with features and scores, as the sensors before it see to."""
        project = self.daemon.project
        for day in days:
            write_day(project.root, date.fromisoformat(day))
        ingest_days(project, "tides", days)
        assert set(self.daemon.run(self.daemon.tick("floods_follow_up").run_requests)) == {None}
        (scoring,) = self.daemon.tick("floods_watch").run_requests
        assert scoring.job_name == "floods_watch"
        assert self.daemon.run([scoring]) == [None]

    def due(self) -> list[dg.RunRequest]:
        """What the watch asks to be decided."""
        return list(self.daemon.tick("floods_watch").run_requests or [])

    def decide(self) -> None:
        """One decision is due; it is made, and the next look finds nothing."""
        asked = self.due()
        assert [request.job_name for request in asked] == ["floods_live_decisions"]
        assert [request.run_key for request in self.due()] == [request.run_key for request in asked]
        assert self.daemon.run(asked) == [None]
        entries = self.entries()
        assert self.daemon.run(asked) == [None], "asked again by a daemon that died before it knew"
        assert self.entries() == entries
        self.daemon.start_again()
        scoring = self.due()  # a new champion scores the days since its as-of date
        assert {request.job_name for request in scoring} <= {"floods_watch"}
        assert set(self.daemon.run(scoring)) <= {None}
        assert self.due() == []

    def entries(self) -> list[tuple[str, str | None]]:
        """Decisions since the two models were rebuilt: what, and about which."""
        found = ledger.history(self.daemon.project, "local", "floods")
        return [(entry.kind, entry.model_id) for entry in found if entry.kind not in ("reproduction", "challenger")]

    @property
    def alias(self) -> str | None:
        return registry.aliases(self.daemon.project, "floods").get("champion")


@pytest.fixture
def rivals(daemon: Daemon) -> Rivals:
    project = daemon.project
    dataset, recipe = project.datasets()["tides"], project.recipes()["floods"]
    dataset.write_text(dataset.read_text().replace("end: 2024-01-14", f"end: {DAYS[-1]}"))
    text = recipe.read_text().replace("  baseline: {name: base_rate, metric: log_loss}", "  champion: null")
    recipe.write_text(text.replace("baselines: [base_rate, logistic_regression]", "baselines: [base_rate]") + LIVE)
    daemon.start_again()
    for day in DAYS[:THERE]:
        write_day(project.root, date.fromisoformat(day))
    made = [
        run_line(project, load_recipe(project, "floods", (f"training.learning_rate={rate}",), AS_OF)).model_id
        for rate in ("3e-2", "1e-5")
    ]
    for model_id in made:
        rebuilt(daemon, model_id)
    return Rivals(daemon, *made)


def rebuilt(daemon: Daemon, model_id: str) -> None:
    """What an identical reproduction leaves in the ledger; these tests are about what comes after one."""
    evidence = {"verdict": "identical", "segments": "whole", "environment_differences": []}
    for kind in ("reproduction", "challenger"):
        ledger.append(
            daemon.project, "local", kind=kind, recipe="floods", model_id=model_id,
            actor="Ada", reason="rebuilt", evidence=evidence,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_live_rows_promote_keep_refuse_and_take_back(rivals: Rivals) -> None:
    """The life of two rivals, each of the four decisions in turn; none is made twice."""
    project, good, poor = rivals.daemon.project, rivals.good, rivals.poor
    assert rivals.ask(poor).promoted, "there is no champion to stand beside"
    entered = rivals.ask(good)
    assert (entered.promoted, entered.in_shadow) == (False, True)
    assert rivals.ask(good).entry == entered.entry, "asked again, it is in its shadow already"
    assert rivals.alias == poor

    rivals.daemon.run(rivals.daemon.tick("floods_watch").run_requests)
    assert scored_days(project, "floods", good) == (), "days that were there before its shadow are none of it"
    rivals.bring_in(DAYS[THERE : THERE + 4])
    assert scored_days(project, "floods", good) == tuple(DAYS[THERE : THERE + 4])
    assert rivals.due() == [], "four of five days"
    rivals.bring_in(DAYS[THERE + 4 : THERE + 6])
    rivals.decide()
    assert rivals.entries() == [("promote", poor), ("shadow", good), ("promote", good)]
    entry = ledger.history(project, "local", "floods")[-1]
    assert (entry.actor, entry.evidence["approved_by"]) == ("mtac watch", "Ada")
    shadow = next(verdict for verdict in entry.evidence["verdicts"] if verdict["gate"] == "shadow")
    assert shadow["evidence"]["days"] == DAYS[THERE : THERE + 5]
    assert shadow["evidence"]["comparison"]["effect"] > 0
    assert rivals.alias == good

    assert rivals.ask(poor).in_shadow, "while the new champion is on probation"
    rivals.bring_in(DAYS[THERE + 6 : THERE + 11])
    rivals.decide()
    assert rivals.entries()[3:] == [("shadow", poor), ("keep", good), ("refuse", poor)]
    assert rivals.alias == good
    again = rivals.ask(poor)
    assert not again.promoted
    assert [verdict.gate for verdict in again.verdicts if not verdict.passed] == ["shadow"], "judged once"

    recipe = project.recipes()["floods"]
    recipe.write_text(recipe.read_text().replace(LIVE.splitlines(keepends=True)[0], ""))
    rivals.daemon.start_again()
    assert rivals.ask(poor).promoted, "by the gates alone, where no shadow is asked for"
    rivals.bring_in(DAYS[THERE + 11 : THERE + 16])
    assert scored_days(project, "floods", good)[-5:] == tuple(DAYS[THERE + 11 : THERE + 16]), "it scores on"

    (asked,) = rivals.due()
    killed = subprocess.run([sys.executable, "-c", DECIDE], cwd=project.root, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert rivals.entries()[-1] == ("rollback", good)
    assert rivals.alias == poor, "killed between ledger and alias"
    assert rivals.daemon.run([asked]) == [None], "the next run completes it and decides nothing anew"
    assert rivals.alias == good
    assert rivals.due() == []
    entry = ledger.history(project, "local", "floods")[-1]
    assert rivals.entries().count(("rollback", good)) == 1
    assert (entry.evidence["from"], entry.evidence["look"], entry.evidence["approved_by"]) == (poor, 1, "Ada")
    assert not [one for one in ledger.history(project, "local", "floods") if one.kind == "alias_moved"]
