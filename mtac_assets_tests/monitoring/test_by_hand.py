"""Rows of a file through a real model: the same scores as for ingested days, and bad input that changes nothing."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtac_assets.monitoring.by_hand import predict_file
from mtac_assets.monitoring.predictions import score_days
from mtac_assets.spec.errors import MtacError
from mtac_assets_tests.monitoring.conftest import Watched

Rows = list[dict[str, str]]


@pytest.fixture
def day(trained: Watched) -> str:
    return trained.live[0]


def _rows(watched: Watched, day: str) -> Rows:
    with (watched.root / "incoming" / f"tides-{day}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _file(folder: Path, rows: Rows) -> Path:
    path = folder / "rows.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_days_file_scores_as_the_day_does_and_keeps_the_order_of_its_rows(trained: Watched, day: str, tmp_path: Path):
    project = trained.project
    (scored,) = score_days(project, trained.champion, [day], out=tmp_path / "days")
    kept = pd.read_parquet(scored.path).set_index("reading")
    rows = _rows(trained, day)[::-1]
    out = tmp_path / "new" / "scores.csv"
    answer = predict_file(project, trained.champion, _file(tmp_path, rows), out)
    assert (answer.rows, answer.labelled, answer.days) == (120, 120, (day,))
    assert (answer.missing, answer.unseen, answer.not_asked) == ((), {}, ())
    found = pd.read_csv(out, float_precision="round_trip")
    assert list(found.columns) == ["reading", "score", "label"]
    assert found["reading"].tolist() == [int(row["reading"]) for row in rows]
    kept = kept.loc[found["reading"]]
    np.testing.assert_array_equal(found["score"], kept["score"])
    np.testing.assert_array_equal(found["label"], kept["label"])


def test_outcome_columns_may_be_left_out_and_then_there_is_no_label(trained: Watched, day: str, tmp_path: Path):
    rows = [{name: value for name, value in row.items() if name != "flooded"} for row in _rows(trained, day)[:3]]
    out = tmp_path / "scores.parquet"
    answer = predict_file(trained.project, trained.champion, _file(tmp_path, rows), out)
    assert (answer.rows, answer.labelled) == (3, 0)
    found = pd.read_parquet(out)
    assert found["label"].isna().all()
    assert found["score"].between(0, 1).all()


def test_an_outcome_that_is_null_in_some_rows_is_a_label_unknown_in_these(trained: Watched, day: str, tmp_path: Path):
    rows = _change("flooded", "")(_rows(trained, day)[:3])
    answer = predict_file(trained.project, trained.champion, _file(tmp_path, rows), tmp_path / "scores.csv")
    assert (answer.rows, answer.labelled) == (3, 2)
    found = pd.read_csv(tmp_path / "scores.csv")
    assert found["label"].isna().tolist() == [False, True, False]
    assert found["score"].notna().all()


def test_a_rule_that_needs_an_outcome_is_said_to_be_not_asked_and_others_are(
    watched: Watched, day: str, tmp_path: Path
):
    contract = watched.project.defs / "tides" / "contract.py"
    rules = """    checks=[
        pa.Check(lambda rows: (rows["flooded"] == 0) | (rows["level"] >= 0), error="floods have a level", ignore_na=False),
        pa.Check(lambda rows: rows["level"] < 9.99, error="levels below ten", ignore_na=False),
    ],
    strict=True"""
    contract.write_text(contract.read_text().replace("    strict=True", rules))
    _restamp(watched)
    rows = [{name: value for name, value in row.items() if name != "flooded"} for row in _rows(watched, day)[:3]]
    source, out = _file(tmp_path, rows), tmp_path / "scores.csv"
    answer = predict_file(watched.project, watched.champion, source, out)
    assert answer.not_asked == ("floods have a level",)
    rows[1]["level"] = "9.995"
    with pytest.raises(MtacError, match="levels below ten") as refused:
        predict_file(watched.project, watched.champion, _file(tmp_path, rows), out, force=True)
    assert refused.value.findings[0].where.endswith("rows.csv, row 2")
    assert len(pd.read_csv(out)) == 3


def test_parquet_in_gives_the_same_as_csv_in(trained: Watched, day: str, tmp_path: Path):
    partition = trained.project.state.data / "tides" / f"{day}.parquet"
    outs = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    shutil.copy(partition, tmp_path / "rows.parquet")
    predict_file(trained.project, trained.champion, tmp_path / "rows.parquet", outs[0])
    predict_file(trained.project, trained.champion, _file(tmp_path, _rows(trained, day)), outs[1])
    pd.testing.assert_frame_equal(*(pd.read_parquet(out).sort_values("reading", ignore_index=True) for out in outs))


def test_a_category_that_the_model_never_saw_is_scored_and_counted(watched: Watched, day: str, tmp_path: Path):
    contract = watched.project.defs / "tides" / "contract.py"
    contract.write_text(contract.read_text().replace('"west"]', '"west", "east"]'))
    rows = _rows(watched, day)[:4]
    rows[0]["gauge"] = rows[2]["gauge"] = "east"
    _restamp(watched)
    answer = predict_file(watched.project, watched.champion, _file(tmp_path, rows), tmp_path / "scores.csv")
    assert answer.unseen == {"gauge": 2}


def test_short_history_is_told(trained: Watched, tmp_path: Path):
    rows = _rows(trained, trained.live[-1])[:2]
    for row in rows:
        row["day"], row["asked_at"] = "2024-03-01", "2024-03-01T00:00:00+00:00"
    notes: list[str] = []
    answer = predict_file(
        trained.project, trained.champion, _file(tmp_path, rows), tmp_path / "scores.csv", note=notes.append
    )
    assert answer.missing == ("tides/2024-02-29",)
    assert "tides/2024-02-29" in notes[0]


def _drop_column(rows: Rows) -> Rows:
    return [{name: value for name, value in row.items() if name != "level"} for row in rows]


def _change(field: str, value: str) -> Callable[[Rows], Rows]:
    return lambda rows: [rows[0], {**rows[1], field: value}, *rows[2:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_drop_column, "'level' is missing"),
        (_change("gauge", "east"), "gauge = 'east'"),
        (_change("gauge", ""), "gauge is null"),
        (_change("level", "11"), "level = 11"),
        (_change("level", "high"), "'high' is no double"),
        (_change("day", "soon"), "no timestamp"),
        (_change("flooded", "2"), "flooded = 2"),
        (lambda rows: [rows[0], rows[0], *rows[2:]], "copy of another"),
        (lambda rows: [{**row, "mood": "calm"} for row in rows], "'mood' is not declared"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(
    trained: Watched, day: str, change: Callable[[Rows], Rows], words: str, tmp_path: Path
):
    source, out = _file(tmp_path, change(_rows(trained, day)[:5])), tmp_path / "scores.csv"
    with pytest.raises(MtacError) as refused:
        predict_file(trained.project, trained.champion, source, out)
    assert words in str(refused.value)
    assert refused.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.csv", "", "empty"),
        ("rows.csv", "reading,day,asked_at,level,gauge\n", "no row"),
        ("rows.parquet", "PAR1 and no more", "not readable as Parquet"),
        ("rows.txt", "reading", "suffix .txt"),
    ],
)
def test_a_file_that_holds_no_rows_is_refused(trained: Watched, name: str, content: str, words: str, tmp_path: Path):
    (tmp_path / name).write_text(content)
    with pytest.raises(MtacError, match=words):
        predict_file(trained.project, trained.champion, tmp_path / name, tmp_path / "scores.csv")


def test_a_file_that_is_not_there_is_refused(trained: Watched, tmp_path: Path):
    with pytest.raises(MtacError, match="cannot be read"):
        predict_file(trained.project, trained.champion, tmp_path / "none.csv", tmp_path / "scores.csv")


def test_an_output_that_exists_stays_unless_forced(trained: Watched, day: str, tmp_path: Path):
    source, out = _file(tmp_path, _rows(trained, day)[:2]), tmp_path / "scores.csv"
    out.write_text("mine")
    with pytest.raises(MtacError, match="the file exists"):
        predict_file(trained.project, trained.champion, source, out)
    with pytest.raises(MtacError, match="the output is the input"):
        predict_file(trained.project, trained.champion, source, source, force=True)
    with pytest.raises(MtacError, match="suffix"):
        predict_file(trained.project, trained.champion, source, tmp_path / "scores.xlsx")
    assert out.read_text() == "mine"
    predict_file(trained.project, trained.champion, source, out, force=True)
    assert out.read_text().startswith('"reading"')


def _restamp(watched: Watched) -> None:
    """The contract changed: the days are validated again."""
    from mtac_assets.data.ingest import ingest

    days = sorted(path.stem for path in (watched.project.state.data / "tides").glob("*.parquet"))
    assert not ingest(watched.project, "tides", days).failed
