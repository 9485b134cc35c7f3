"""Reproduction, promotion and rollback as Dagster runs, over one trained model of the tides."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import pytest

from mtac_assets.orchestration.execute import execute, partition_tags
from mtac_assets.orchestration.instance import instance
from mtac_assets.orchestration.line import run_line
from mtac_assets.orchestration.repository import load_repository
from mtac_assets.provenance import ledger
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project
from mtac_assets.tracking import registry
from mtac_assets_tests.tides import make_project

AS_OF = "2024-01-08"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, str]]:
    project = make_project(tmp_path_factory.mktemp("tides"))
    sys.path.insert(0, str(project.root))
    yield project, run_line(project, load_recipe(project, "floods", (), date.fromisoformat(AS_OF))).model_id
    sys.path.remove(str(project.root))
    for name in [name for name in sys.modules if name.partition(".")[0] == project.package]:
        del sys.modules[name]


def run(project: Project, job: str, op: str, config: dict[str, Any], as_of: str | None = AS_OF) -> dict[str, Any]:
    """Run a job in this process as the launchpad would; the metadata of what it materialized."""
    with instance(project) as opened:
        done = execute(
            project,
            opened,
            load_repository(project).get_job(job),
            tags=partition_tags([as_of], ranged=False) if as_of else {},
            run_config={"ops": {op: {"config": config}}, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return dict(done.metadata)


def checks(project: Project, asset: str, check: str) -> list[bool]:
    with instance(project) as opened:
        key = dg.AssetCheckKey(dg.AssetKey(["floods", asset]), check)
        records = opened.event_log_storage.get_asset_check_execution_history(key, limit=10)
        statuses = [record.status.value for record in reversed(records)]
        return [status == "SUCCEEDED" for status in statuses if status != "PLANNED"]


def test_a_model_is_refused_rebuilt_promoted_and_stays_champion(trained: tuple[Project, str]) -> None:
    project, model_id = trained
    approval = {"by": "Ada", "reason": "the first of its kind"}

    with pytest.raises(MtacError, match="reproduction"):
        run(project, "floods_promote", "floods__champion", approval)
    assert checks(project, "champion", "gates") == [False]
    assert ledger.champion_at(project, "local", "floods") is None

    rebuilt = run(project, "floods_reproduce", "floods__reproduction", {"reason": "before promotion"})
    assert rebuilt["floods/reproduction"]["verdict"] == "identical"
    assert checks(project, "reproduction", "identical") == [True]

    made = run(project, "floods_promote", "floods__champion", approval)["floods/champion"]
    assert made["Model ID"] == model_id
    champion = ledger.champion_at(project, "local", "floods")
    assert champion is not None
    assert (champion.model_id, champion.actor, champion.reason) == (model_id, "Ada", "the first of its kind")
    assert made["ledger entry"] == champion.sequence

    run(project, "floods_promote", "floods__champion", approval)
    assert ledger.champion_at(project, "local", "floods") == champion, "one transition per decision"

    with pytest.raises(MtacError, match="no other champion"):
        run(project, "floods_rollback", "floods_rollback_decision", approval, as_of=None)

    after = "floods-" + "1" * 12  # another champion since, which the ledger alone has to know
    ledger.append(
        project, "local", kind="promote", recipe="floods", model_id=after, actor="Ada", reason="seemed better"
    )
    run(project, "floods_rollback", "floods_rollback_decision", {"by": "Bob", "reason": "worse live"}, as_of=None)
    back = ledger.champion_at(project, "local", "floods")
    assert back is not None
    assert (back.kind, back.model_id, back.actor, back.reason) == ("rollback", model_id, "Bob", "worse live")
    assert registry.aliases(project, "floods")["champion"] == model_id


@pytest.mark.parametrize("config", [{"by": "", "reason": "why"}, {"by": "Ada"}])
def test_a_promotion_without_a_person_or_a_reason_does_not_start(
    trained: tuple[Project, str], config: dict[str, str]
) -> None:
    with pytest.raises((dg.DagsterInvalidConfigError, MtacError)):
        run(trained[0], "floods_promote", "floods__champion", config)


def test_a_model_of_another_date_is_no_answer(trained: tuple[Project, str]) -> None:
    project, model_id = trained
    approval = {"by": "Ada", "reason": "why", "model_id": model_id}
    with pytest.raises(MtacError, match="is no model of floods as of 2024-01-09"):
        run(project, "floods_promote", "floods__champion", approval, as_of="2024-01-09")
    with pytest.raises(MtacError, match="no model of floods as of 2024-01-09 is recorded"):
        run(project, "floods_reproduce", "floods__reproduction", {}, as_of="2024-01-09")
