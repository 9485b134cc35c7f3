"""Gathering evidence: two models whose feature code differs are compared on the same rows, each by its own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtac_assets.evaluation.report import open_report
from mtac_assets.provenance import ledger
from mtac_assets.training.predict import load
from mtac_assets_tests.promotion.conftest import LATER, Line

TEST_DAYS = ("2024-01-10", "2024-01-11")
PLAIN = 'rows[["level", "gauge"]]'
TURNED = 'rows[["level", "gauge"]].assign(level=-rows["level"])'


def crown(line: Line, model_id: str) -> None:
    """Make a model the champion by the ledger alone."""
    ledger.append(
        line.project, "local", kind="promote", recipe="floods", model_id=model_id, actor="ada", reason="first"
    )


def compared_by_champion(line: Line) -> None:
    path = line.project.recipes()["floods"]
    path.write_text(path.read_text().replace("gates:\n", "gates:\n  champion: {metric: log_loss, alpha: 0.05}\n"))


def compared(line: Line, first: str, message: str) -> tuple[str, dict[str, Any]]:
    """Commit what was changed, train on it and let a person ask for the model: its id, and the verdict against `first`."""
    line.git("commit", "-qam", message)
    second = line.mtac("run", "floods", "--as-of", LATER)["model_id"]
    line.rebuilt(second)
    decision = line.mtac("promote", second, "--by", "ada", "--reason", message, code=1)
    verdict = next(one for one in decision["verdicts"] if one["gate"] == "champion:log_loss")
    assert (verdict["evidence"]["champion"], verdict["evidence"]["rows"]) == (first, 2 * 120)
    return second, verdict


def by_hand(line: Line, model_id: str, sign: int) -> np.ndarray:
    """The model's scores of the test days' own CSV files, with the feature written out here: sorted, float64 [N]."""
    rows = pd.concat([pd.read_csv(line.root / "incoming" / f"tides-{day}.csv") for day in TEST_DAYS])
    frame = rows[["level", "gauge"]].assign(level=sign * rows["level"])
    return np.sort(load(line.project.state.models / model_id).predict(frame))


@pytest.mark.slow
def test_a_challenger_with_other_feature_code_is_compared_each_model_by_its_own(
    line: Line, model: dict[str, Any]
) -> None:
    """The challenger's view turns the level round: scored by it, the champion would be as wrong as it was right."""
    first = model["model_id"]
    crown(line, first)
    features = line.project.defs / "floods" / "features.py"
    assert PLAIN in features.read_text()
    features.write_text(features.read_text().replace(PLAIN, TURNED))
    compared_by_champion(line)
    second, verdict = compared(line, first, "Turn the level round")
    assert not verdict["passed"]
    assert "too few" in verdict["evidence"]["reason"], "the days are too few to tell, and nothing else is amiss"

    decisions = line.project.state.reports / "decisions"
    own, other = (open_report(decisions / name).scores() for name in (second, f"{second}-champion"))
    assert own["label"].equals(other["label"])
    assert own["unit"].equals(other["unit"])
    np.testing.assert_allclose(np.sort(own["model"].to_numpy()), by_hand(line, second, -1), atol=1e-6)
    np.testing.assert_allclose(np.sort(other["model"].to_numpy()), by_hand(line, first, 1), atol=1e-6)
    assert np.corrcoef(own["model"].to_numpy(), other["model"].to_numpy())[0, 1] > 0.5, "row by row, the same order"
    rooms: Path = line.root / ".mtac" / "runs" / "rooms"
    assert not list(rooms.iterdir()), "the clean room is cleared"


@pytest.mark.slow
def test_a_challenger_and_a_champion_of_the_same_code_are_scored_by_one_process(
    line: Line, model: dict[str, Any]
) -> None:
    first = model["model_id"]
    crown(line, first)
    compared_by_champion(line)
    second, _ = compared(line, first, "Ask for a comparison")
    decisions = line.project.state.reports / "decisions"
    assert [path.name for path in decisions.iterdir() if "champion" in path.name] == []
    scores = open_report(decisions / second).scores()
    for column, model_id in (("model", second), ("champion", first)):
        np.testing.assert_allclose(np.sort(scores[column].to_numpy()), by_hand(line, model_id, 1), atol=1e-6)
