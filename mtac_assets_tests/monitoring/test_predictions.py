"""Days scored by a real model: once, by its own code, with its golden rows equal, and again when the data was corrected."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mtac_assets.data.features_view import FeatureError
from mtac_assets.data.ingest import ingest
from mtac_assets.evaluation.report import open_report
from mtac_assets.monitoring.errors import MonitoringError, OtherCode, ScoringKilled
from mtac_assets.monitoring.launch import score_days_apart
from mtac_assets.monitoring.predictions import pending_days, score_days
from mtac_assets.monitoring.stored_predictions import folder_of, read_scores, scored_days
from mtac_assets.spec.errors import CheckFailed
from mtac_assets.training.pack import seal
from mtac_assets_tests.monitoring.conftest import Watched, change_outcomes


def test_scores_are_those_of_the_evaluation_on_the_same_days(watched: Watched):
    project = watched.project
    report = open_report(project.state.reports / watched.champion)
    days = report.document["test"]["days"]
    scored = score_days(project, watched.champion, days)
    assert [day.status for day in scored] == ["scored"] * len(days)
    found = read_scores(project, "floods", watched.champion, days)
    scores = np.concatenate([found[day][1]["score"].to_numpy() for day in days])
    labels = np.concatenate([found[day][1]["label"].to_numpy() for day in days])
    np.testing.assert_array_equal(labels, report.scores()["label"].to_numpy())
    np.testing.assert_allclose(scores, report.scores()["model"].to_numpy(), rtol=0, atol=1e-7)
    assert found[days[0]][1].column_names == ["reading", "score", "label"]


def test_the_same_rows_scored_twice_are_a_no_op(watched: Watched):
    project, days = watched.project, watched.live[:3]
    first = score_days(project, watched.champion, days)
    before = _states(folder_of(project, "floods", watched.champion))
    assert pending_days(project, watched.champion, days) == ()
    second = score_days(project, watched.champion, [*reversed(days), days[0]])
    assert [day.status for day in second] == ["unchanged"] * 3
    assert [day.key for day in second] == days[::-1]
    assert {day.key: day.digest for day in second} == {day.key: day.digest for day in first}
    assert _states(folder_of(project, "floods", watched.champion)) == before


def test_a_damaged_file_is_scored_again_to_the_same_bytes(watched: Watched):
    project, day = watched.project, watched.live[0]
    (scored,) = score_days(project, watched.champion, [day])
    whole = scored.path.read_bytes()
    scored.path.write_bytes(whole[:-1])
    with pytest.raises(MonitoringError, match="damaged"):
        read_scores(project, "floods", watched.champion, [day])
    (again,) = score_days(project, watched.champion, [day])
    assert (again.status, again.digest, scored.path.read_bytes()) == ("scored", scored.digest, whole)


def test_a_process_of_its_own_scores_the_same_and_not_twice(watched: Watched):
    project, days = watched.project, watched.live[:2]
    notes: list[str] = []
    apart = score_days_apart(project, watched.champion, days, on_note=notes.append)
    assert [day.status for day in apart] == ["scored", "scored"]
    assert any("golden" in note for note in notes)
    assert score_days(project, watched.champion, days) == score_days_apart(project, watched.champion, days)
    elsewhere = watched.root / "elsewhere"
    here = score_days(project, watched.champion, days, out=elsewhere)
    assert [day.digest for day in here] == [day.digest for day in apart]


def test_scoring_that_takes_too_long_is_ended_and_leaves_nothing(watched: Watched):
    local = watched.project.environments / "local.yaml"
    local.write_text(local.read_text().replace("run_seconds: 600", "run_seconds: 1"))
    with pytest.raises(ScoringKilled, match="longer than 1 s"):
        score_days_apart(watched.project, watched.champion, watched.live)
    assert not watched.project.state.predictions.exists()


def test_golden_rows_that_differ_stop_everything(watched: Watched):
    project = watched.project
    pack = project.state.models / watched.champion
    golden = json.loads((pack / "golden.json").read_text())
    golden["rows"][3]["score"] += 0.01
    (pack / "golden.json").write_text(json.dumps(golden))
    sealed = json.loads((pack / "pack.json").read_text())
    seal(pack, sealed["model_id"], sealed["fingerprint"], sealed["weights_digest"])
    with pytest.raises(CheckFailed, match="golden row 3"):
        score_days(project, watched.champion, watched.live[:1])
    with pytest.raises(CheckFailed, match="golden row 3"):
        score_days_apart(project, watched.champion, watched.live[:1])
    assert scored_days(project, "floods", watched.champion) == ()


def test_a_damaged_pack_scores_nothing(watched: Watched):
    weights = watched.project.state.models / watched.champion / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckFailed, match=r"model\.safetensors"):
        score_days(watched.project, watched.champion, watched.live[:1])


def test_other_code_refuses_and_names_what_differs_until_the_models_own_checkout_scores(watched: Watched):
    day = watched.live[:1]
    own = score_days(watched.project, watched.champion, day, out=watched.root / "own")
    code = watched.root.with_name("checkout")
    shutil.copytree(watched.root, code, ignore=shutil.ignore_patterns(".mtac"))
    view = watched.project.defs / "floods" / "features.py"
    view.write_text(
        view.read_text().replace('return rows[["level", "gauge"]]', "return rows[['level', 'gauge']].copy()")
    )
    project = watched.project
    with pytest.raises(OtherCode, match=r"features.py::view") as refused:
        score_days(project, watched.champion, day)
    assert "git worktree add" in refused.value.findings[0].remedy
    with pytest.raises(OtherCode):
        score_days_apart(project, watched.champion, day)
    from mtac_assets.spec.project import find_project

    scored = score_days_apart(project, watched.champion, day, code=find_project(code))
    assert scored[0].digest == own[0].digest
    assert scored[0].path.is_relative_to(project.state.predictions)


def test_a_missing_day_and_an_unknown_model_are_named(watched: Watched):
    project = watched.project
    with pytest.raises(FeatureError, match="tides/2024-02-01"):
        score_days(project, watched.champion, ["2024-02-01"])
    with pytest.raises(MonitoringError, match="floods-000000000000"):
        score_days(project, "floods-000000000000", watched.live)


def test_a_corrected_day_makes_its_scores_stale_and_only_them(watched: Watched):
    project, days = watched.project, watched.live[:4]
    score_days(project, watched.champion, days)
    change_outcomes(watched.root, days[1], lambda known: "1" if known == "0" else "0")
    ingest(project, "tides", [days[1]])
    with pytest.raises(MonitoringError, match=f"tides/{days[1]} changed"):
        read_scores(project, "floods", watched.champion, days)
    # One day of history: the day after looks back on the corrected one.
    assert pending_days(project, watched.champion, days) == (days[1], days[2])
    statuses = {day.key: day.status for day in score_days(project, watched.champion, days)}
    assert statuses == dict(zip(days, ["unchanged", "scored", "scored", "unchanged"], strict=True))
    assert len(read_scores(project, "floods", watched.champion, days)) == 4


def test_documents_vouch_for_what_is_there(watched: Watched):
    project, day = watched.project, watched.live[0]
    (scored,) = score_days(project, watched.champion, [day])
    document = json.loads(scored.path.with_suffix(".json").read_text())
    assert document["schema_version"] == 1
    assert document["model_id"] == watched.champion
    assert document["rows"] == pq.read_metadata(scored.path).num_rows == 120
    assert document["inputs"].keys() == {f"tides/{day}", "tides/2024-01-11"}
    assert str(watched.root) not in json.dumps(document)


def _states(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
