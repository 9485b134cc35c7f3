"""The plan: what would run, down to the leaf that is the reason, and nothing when nothing changed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from mtac_assets.provenance.plan import Plan, plan


def assets(wanted: Plan) -> list[str]:
    return [step.asset for step in wanted.steps]


@pytest.fixture
def built(stocked: Any) -> Any:
    """A project with a trained and judged model."""
    stocked.features()
    stocked.record()
    stocked.age()
    return stocked


def test_with_no_data_everything_runs_and_the_model_has_no_id_yet(shop: Any) -> None:
    wanted = plan(shop.project, shop.resolve())
    assert assets(wanted) == ["sales", "demand/features", "demand/training_set", "demand/model", "demand/report"]
    assert wanted.model_id is None
    assert len(wanted.steps[0].partitions) == 8


def test_with_everything_there_nothing_runs(built: Any) -> None:
    wanted = plan(built.project, built.resolve())
    assert wanted.up_to_date
    assert wanted.document() == {"schema_version": 1, "up_to_date": True, "model_id": wanted.model_id, "steps": []}


def test_a_missing_day_is_named(built: Any) -> None:
    (built.project.state.data / "sales" / "2024-01-28.json").unlink()
    wanted = plan(built.project, built.resolve())
    assert wanted.steps[0].asset == "sales"
    assert wanted.steps[0].partitions == ("2024-01-28",)


def test_a_recipe_field_is_named_with_old_and_new_value(built: Any) -> None:
    wanted = plan(built.project, built.resolve("training.learning_rate=3e-3"))
    assert assets(wanted) == ["demand/model", "demand/report"]
    (change,) = wanted.steps[0].changes
    assert (change.leaf, change.old, change.new) == ("recipe.training.learning_rate", "0.002", "0.003")
    assert "recipe.training.learning_rate 0.002 → 0.003" in wanted.steps[0].reason


def test_a_function_is_named_and_its_features_are_stale(built: Any) -> None:
    built.edit("shop/calendar.py", "return 7", "return 8")
    wanted = plan(built.project, built.resolve())
    assert assets(wanted) == ["demand/features", "demand/training_set", "demand/model", "demand/report"]
    assert [change.leaf for change in wanted.steps[2].changes] == ["code.shop/calendar.py::unused"]


def test_changed_rows_are_named_and_only_days_that_look_at_them_are_stale(built: Any) -> None:
    built.partition("2024-01-28", "other rows")
    wanted = plan(built.project, built.resolve())
    assert wanted.steps[0].partitions == ("2024-01-28", "2024-01-29", "2024-01-30")
    model = next(step for step in wanted.steps if step.asset == "demand/model")
    assert [change.leaf for change in model.changes] == ["data.sales/2024-01-28"]


def test_changed_test_rows_need_only_a_new_report(built: Any) -> None:
    built.partition("2024-02-02", "other rows")
    wanted = plan(built.project, built.resolve())
    assert assets(wanted) == ["demand/features", "demand/report"]


def test_a_damaged_pack_is_trained_again(built: Any) -> None:
    model_id = plan(built.project, built.resolve()).model_id
    (built.project.state.models / model_id / "model.safetensors").write_bytes(b"weightz")
    wanted = plan(built.project, built.resolve())
    assert assets(wanted) == ["demand/model", "demand/report"]
    assert "model.safetensors is damaged" in wanted.steps[0].reason


def test_a_missing_report_is_made_without_training(built: Any) -> None:
    model_id = plan(built.project, built.resolve()).model_id
    (built.project.state.reports / model_id / "report.json").unlink()
    assert assets(plan(built.project, built.resolve())) == ["demand/report"]


def test_a_changed_contract_asks_for_every_day_again(built: Any) -> None:
    built.edit("shop/defs/sales/contract.py", "return None", "return 1")
    wanted = plan(built.project, built.resolve())
    assert assets(wanted) == ["sales"]
    assert len(wanted.steps[0].partitions) == 8
    assert "contract in force" in wanted.steps[0].reason


def test_a_model_without_its_reference_is_judged_and_recorded_again(built: Any) -> None:
    model_id = plan(built.project, built.resolve()).model_id
    built.git("update-ref", "-d", f"refs/mtac/models/{model_id}")
    wanted = plan(built.project, built.resolve())
    assert assets(wanted) == ["demand/report"]
    assert "not recorded" in wanted.steps[0].reason


def test_another_date_is_no_change_of_this_one(built: Any) -> None:
    from datetime import date

    built.partition("2024-02-03")
    wanted = plan(built.project, built.resolve(as_of=date(2024, 2, 2)))
    model = next(step for step in wanted.steps if step.asset == "demand/model")
    assert model.changes == ()
    assert "as of this date" in model.reason


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys; import mtac_assets.provenance.plan, mtac_assets.provenance.refs, mtac_assets.provenance.record; "
        "heavy = {'torch', 'pandas', 'numpy', 'pyarrow', 'dagster', 'mlflow', 'dvc', 'fsspec', 'packaging'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
