"""A real line in a temporary folder: files, contract, features, two trainings, and their evaluation."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.evaluate import evaluate
from mtac_assets.evaluation.material import champion_frame, gather, rows_digest
from mtac_assets.evaluation.report import open_report
from mtac_assets.provenance.keys import report_key
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import load_recipe
from mtac_assets.training.pack import Pack
from mtac_assets.training.predict import load


@pytest.fixture(scope="module")
def evaluated(line: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return evaluate(
        line.project, line.resolved, line.pack, champion=line.older, out=tmp_path_factory.mktemp("report") / "r"
    )


def test_the_metrics_are_those_of_the_packs_scores_on_the_test_days(line: Any, evaluated: Any) -> None:
    """By hand: the raw files of the test days, the pack, scikit-learn."""
    frame = pd.concat(
        pd.read_csv(line.project.root / "incoming" / f"tides-2024-01-{day:02d}.csv") for day in range(9, 15)
    )
    labelled = frame[frame.flooded.notna()]
    scores = load(line.pack, line.resolved.folder).predict(labelled)
    assert evaluated.metrics["roc_auc"]["value"] == pytest.approx(roc_auc_score(labelled.flooded, scores))
    assert evaluated.metrics["log_loss"]["value"] == pytest.approx(log_loss(labelled.flooded, scores), abs=1e-7)
    assert evaluated.metrics["roc_auc"]["value"] > 0.8


def test_the_report_says_what_it_stands_on(line: Any, evaluated: Any) -> None:
    document, pack = open_report(evaluated.folder).document, Pack.open(line.pack)
    assert document["schema_version"] == 1
    assert (document["model_id"], document["weights_digest"]) == (pack.model_id, pack.weights_digest)
    assert document["key"] == report_key(line.project, line.resolved, pack.model_id)
    assert document["test"] == document["test"] | {
        "days": [f"2024-01-{day:02d}" for day in range(9, 15)],
        "rows": 570,
        "excluded_unlabelled": 30,
    }
    assert document["train"]["days"] == [f"2024-01-{day:02d}" for day in range(3, 7)]
    assert document["overlap_rows"] == 0
    assert document["comparison"]["champion"]["model_id"] == Pack.open(line.older).model_id
    assert set(document["comparison"]["metrics"]) == set(document["metrics"])
    assert {entry["value"] for entry in document["slices"]} == {"north", "south", "west"}
    assert set(document["seconds"]) == {"rows", "scores", "baselines", "metrics"}


def test_a_second_evaluation_gives_the_same_numbers(line: Any, evaluated: Any, tmp_path: Path) -> None:
    again = evaluate(line.project, line.resolved, line.pack, champion=line.older, out=tmp_path / "r")
    moving = ("created_at", "seconds", "usage")
    first, second = ({k: v for k, v in report.document.items() if k not in moving} for report in (evaluated, again))
    assert json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert again.scores().equals(evaluated.scores())


def test_rows_that_were_trained_on_are_counted(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test days that reach back into the training window share their rows with it, and only with it."""
    material = gather(line.project, line.resolved)
    windows = line.resolved.windows()
    overlapping = dataclasses.replace(windows, test=("2024-01-06", "2024-01-08", *windows.test[:2]))
    monkeypatch.setattr(type(line.resolved), "windows", lambda self: overlapping)
    leaking = gather(line.project, line.resolved)
    assert material.overlap_rows == 0
    assert leaking.overlap_rows == 2 * 95  # one training day and one validation day, 95 of 100 rows labelled


def test_the_digest_of_the_test_rows_is_of_rows_and_labels() -> None:
    hashes, labels = np.array([3, 1], dtype=np.uint64), np.array([0, 1], dtype=np.float32)
    assert rows_digest(hashes, labels) != rows_digest(hashes[::-1], labels)
    assert rows_digest(hashes, labels) != rows_digest(hashes, 1 - labels)
    assert rows_digest(hashes, labels) == rows_digest(hashes.copy(), labels.astype(float))


def test_a_champion_of_another_recipe_is_scored_by_its_own_features_of_the_same_rows(line: Any, tmp_path: Path) -> None:
    """Its view is computed for these rows and not kept; here it looks at one column less."""
    material = gather(line.project, line.resolved)
    theirs = load_recipe(line.project, "floods", ("features.slices=[]",), line.resolved.as_of)
    pack = tmp_path / "pack"
    pack.mkdir()
    for file in line.older.iterdir():
        if file.is_file():
            (pack / file.name).write_bytes(file.read_bytes())
    document = theirs.document() | {"schema_version": 1}
    (pack / "recipe.json").write_text(json.dumps(document))
    seal = json.loads((pack / "pack.json").read_text())
    seal["files"]["recipe.json"]["size"] = (pack / "recipe.json").stat().st_size
    (pack / "pack.json").write_text(json.dumps(seal))
    before = sorted(path.name for path in (line.project.state.features / "floods").iterdir())
    frame = champion_frame(line.project, line.resolved, Pack.open(pack), material, None)
    assert frame["level"].to_numpy() == pytest.approx(material.frame["level"].to_numpy())
    assert frame["reading"].tolist() == material.frame["reading"].tolist()
    assert sorted(path.name for path in (line.project.state.features / "floods").iterdir()) == before


def test_a_pack_is_judged_by_its_own_recipe_only(line: Any, tmp_path: Path) -> None:
    other = dataclasses.replace(line.resolved, as_of=date(2024, 1, 8))
    with pytest.raises(EvaluationError, match="as_of"):
        evaluate(line.project, other, line.pack, out=tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_are_not_evaluated(line: Any, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    for file in line.pack.iterdir():
        if file.is_file():
            (pack / file.name).write_bytes(file.read_bytes())
    weights = bytearray((pack / "model.safetensors").read_bytes())
    weights[-3] ^= 0x40  # the exponent of the last number
    (pack / "model.safetensors").write_bytes(weights)
    with pytest.raises(MtacError, match=r"model\.safetensors"):
        evaluate(line.project, line.resolved, pack, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()
