"""What must never be trained on or go live, through the command line: exit code, the finding's words, and nothing else changed."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mtac_assets_tests.tides import write_day
from mtac_assets_tests.trained import AS_OF, Line

NEW_DAY = "2024-01-10"  # the first day that the trained project has not read yet


def rewrite(path: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Every row of a day's file, changed."""
    with path.open() as stream:
        rows = [change(row) for row in csv.DictReader(stream)]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def kept(line: Line) -> dict[str, Any]:
    """What is there: the files of data, models and reports by their time, and the models' references."""
    folders = (line.project.state.data, line.project.state.models, line.project.state.reports)
    files = {str(path): path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*") if path.is_file()}
    locks = {name for name in files if Path(name).name.startswith(".")}
    return {name: time for name, time in files.items() if name not in locks} | {
        "references": line.git("for-each-ref", "refs/mtac/models", "refs/mtac/ledger")
    }


def failed(decision: dict[str, Any]) -> dict[str, str]:
    return {verdict["gate"]: verdict["reason"] for verdict in decision["verdicts"] if not verdict["passed"]}


@pytest.mark.fault
def test_a_bad_file_is_refused_by_its_name_before_training_and_changes_nothing(line: Line) -> None:
    path = line.root / "incoming" / f"tides-{NEW_DAY}.csv"
    sound, before = path.read_text(), kept(line)
    faults: dict[str, tuple[str | None, str]] = {
        "missing": (None, f"the file of {NEW_DAY}"),
        "empty": ("", "empty"),
        "truncated": (sound[: len(sound) // 5], ""),
        "of another day": (sound.replace(NEW_DAY, "2024-01-11"), f"120 of 120 rows are not of {NEW_DAY}"),
    }
    for fault, (content, words) in faults.items():
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        refused = line.mtac("run", "floods", "--as-of", "2024-01-11", code=1)
        told = " ".join(f"{error['error']} {error['where']} {error['expected']}" for error in refused["errors"])
        assert NEW_DAY in told, fault
        assert words in told, f"{fault}: {told}"
        assert all(error["remedy"] for error in refused["errors"]), fault
        after = kept(line)
        assert before.items() <= after.items(), fault
        new = {Path(name).name for name in after.keys() - before.keys()}
        assert not [name for name in new if name.startswith(NEW_DAY)], fault
        assert all(name.startswith("2024-01-1") for name in new), "other days come in, and nothing is trained"


@pytest.mark.fault
def test_a_metric_that_is_no_number_and_rows_that_were_trained_on_pass_no_gate(
    line: Line, model: dict[str, Any]
) -> None:
    """Test days without a flood have no ROC AUC; and one of them brings rows that the model has learnt from."""
    first_day, trained_day = date(2024, 1, 8), date(2024, 1, 5)
    shift = (first_day - trained_day).days * 1000
    for day in ("2024-01-08", "2024-01-09"):
        write_day(line.root, date.fromisoformat(day))
        back = shift if day == "2024-01-08" else 0
        rewrite(
            line.root / "incoming" / f"tides-{day}.csv",
            lambda row, back=back: row | {"flooded": "0", "reading": str(int(row["reading"]) - back)},
        )
    recipe = line.project.recipes()["floods"]
    recipe.write_text(recipe.read_text().replace("gates:\n", "gates:\n  thresholds: [{metric: roc_auc, min: 0.1}]\n"))
    assert line.mtac("run", "floods", "--as-of", AS_OF)["model_id"] == model["model_id"], "no weight has moved"
    line.rebuilt(model["model_id"])
    refused = failed(line.mtac("promote", model["model_id"], "--by", "ada", "--reason", "test", code=1))
    assert refused["threshold:roc_auc"] == "the report has no roc_auc"
    assert refused["leakage"] == "120 test rows were trained on"
    assert line.kinds()[-1] == "refuse"


class Trap:
    """Whoever unpickles it leaves a file behind."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> Any:
        return Path.touch, (self.sprung,)


@pytest.mark.fault
def test_a_pickle_planted_in_pack_and_store_is_named_and_never_opened(
    line: Line, model: dict[str, Any], tmp_path: Path
) -> None:
    planted = pickle.dumps(Trap(tmp_path / "sprung"))
    pointer = line.git("show", f"refs/mtac/models/{model['model_id']}:model/model.safetensors.dvc")
    md5 = next(row.split()[-1] for row in pointer.splitlines() if "md5:" in row)
    stored = line.root / ".mtac" / "remote" / "files" / "md5" / md5[:2] / md5[2:]
    for path in (stored, line.project.state.models / model["model_id"] / "model.safetensors"):
        path.chmod(0o644)
        path.unlink()
        path.write_bytes(planted)
    line.rebuilt(model["model_id"])
    found = line.mtac("verify", model["model_id"], code=1)
    assert [error for error in found["errors"] if "model.safetensors" in error["error"]]
    assert "integrity" in failed(line.mtac("promote", model["model_id"], "--by", "ada", "--reason", "test", code=1))
    assert not (tmp_path / "sprung").exists()
