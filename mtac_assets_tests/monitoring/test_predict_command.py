"""`mtac predict`, as it is typed: the champion by default, one JSON document, exit codes."""

from __future__ import annotations

import json

import pandas as pd

from mtac_assets_tests.monitoring.conftest import Watched, mtac


def test_the_champion_answers_by_default_and_another_model_when_named(watched: Watched):
    source = f"incoming/tides-{watched.live[0]}.csv"
    document = watched.mtac("predict", "floods", "--input", source, "--output", "scores.csv")
    assert document["schema_version"] == 1
    assert (document["model_id"], document["status"], document["rows"]) == (watched.champion, "champion", 120)
    assert document["output"] == "scores.csv"
    assert document["missing_partitions"] == []
    other = watched.mtac(
        "predict", "floods", "--model", watched.challenger[-12:], "--input", source, "--output", "other.parquet"
    )
    assert (other["model_id"], other["status"]) == (watched.challenger, "candidate")
    scores = pd.read_csv(watched.root / "scores.csv")["score"]
    assert (scores != pd.read_parquet(watched.root / "other.parquet")["score"]).any()


def test_bad_input_exits_2_with_findings(watched: Watched):
    (watched.root / "rows.csv").write_text("reading,level\n1,2\n")
    document = watched.mtac("predict", "floods", "--input", "rows.csv", "--output", "scores.csv", code=2)
    assert "is missing" in document["errors"][0]["error"]
    assert not (watched.root / "scores.csv").exists()


def test_without_a_champion_a_model_must_be_named(watched: Watched):
    done = mtac(watched.root, "predict", "tides", "--input", "rows.csv", "--output", "scores.csv")
    assert done.returncode == 2
    assert "no recipe is called `tides`" in json.loads(done.stdout)["errors"][0]["error"]
