from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mtac_assets.monitoring.drift.chart import draw, sentence
from mtac_assets.monitoring.drift.judge import judge
from mtac_assets.monitoring.drift.store import record, verdicts
from mtac_assets.monitoring.state_looks import STATE_LOOKS
from mtac_assets.spec.errors import MtacError

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def documents(world: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Four weeks: calm, a day of few rows, and at the end days that differ."""
    folder = tmp_path_factory.mktemp("verdicts")
    for n in range(28, 56):
        rows = world.day(900 + n, 20 if n == 40 else 300, shift=0.8 * (n > 50))
        verdict = judge(world.reference, [world.block(n, rows)], world.trigger)
        record(folder, verdict, world.trigger.persistence)
    return list(verdicts(folder))


def _chart(svg: str) -> ElementTree.Element:
    """The chart itself, without title and legend."""
    (group,) = ElementTree.fromstring(svg).findall(f"{SVG}g")
    return group[0]


def _all(chart: ElementTree.Element, css: str) -> list[ElementTree.Element]:
    return [each for each in chart.iter() if each.attrib.get("class") == css]


def _words(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_verdict_is_told_in_a_line(documents: list[Any]) -> None:
    assert [one["state"] for one in documents][-5:] == ["WATCH", "ALARM", "ALARM", "ALARM", "ALARM"]
    assert sentence(documents[-1]).startswith("ALARM: shift of plain 0.")
    assert sentence(documents[12]) == "INSUFFICIENT: 20 rows, fewer than the 50 of min_rows"


def test_each_window_has_the_mark_of_its_state_and_the_legend_counts_them(documents: list[Any]) -> None:
    picture = draw(documents, "Drift of tides")
    chart, words = _chart(picture), _words(picture)
    states = [one["state"] for one in documents]
    assert words[0] == "Drift of tides"
    assert "threshold, passed by 1.00% of windows without drift" in words
    for state, look in STATE_LOOKS.items():
        assert len(_all(chart, look.css)) == states.count(state) > 0
        assert f"{state} ({states.count(state)})" in words
    assert (
        len({look.shape for look in STATE_LOOKS.values()}) == len({look.colour for look in STATE_LOOKS.values()}) == 4
    )


def _y(mark: ElementTree.Element) -> float:
    return float(mark.attrib["cy"])


@pytest.mark.parametrize("farthest", [0.4, 1.6, 3.9, 40.0, 30_000.0])
def test_the_threshold_lies_at_one_and_more_is_higher_however_far_it_goes(
    documents: list[Any], farthest: float
) -> None:
    calm = [one | {"state": "OK"} for one in documents[:4]]
    ratios = [0.2, 1.0, farthest * 0.9, farthest]
    chart = _chart(draw([one | {"ratio": ratio} for one, ratio in zip(calm, ratios, strict=True)]))
    (threshold,) = _all(chart, "normal threshold")
    heights = [_y(mark) for mark in _all(chart, STATE_LOOKS["OK"].css)]
    assert heights[1] == float(threshold.attrib["y1"]) == float(threshold.attrib["y2"])
    assert sorted(heights, reverse=True) == [height for _, height in sorted(zip(ratios, heights, strict=True))]
    assert min(heights) > 0
    ticks = sorted(float(each.attrib["y1"]) for each in _all(chart, "grid"))
    assert all(below - above >= 12 for above, below in pairwise(ticks)), "labels do not touch"


def test_columns_that_stand_out_have_a_row_and_a_dot_where_they_pass_the_threshold(documents: list[Any]) -> None:
    picture = draw(documents)
    chart, words = _chart(picture), _words(picture)
    (names,) = [[each.text for each in _all(chart, "label")]]
    assert names[0] == "shift of plain"
    assert len(names) <= 12
    (dots,) = _all(chart, "beyond")
    told = {(one["kind"], one["column"], one["other"], document["keys"][-1]) for document in documents for one in document["components"] if one["ratio"] > 1}  # fmt: skip
    assert dots.attrib["d"].count("M") <= len(told)
    assert dots.attrib["d"].count("M") >= 5, "at least one on each drifted day"
    assert {"02-01", "02-28"} <= set(words)
    assert "no column stands out" not in words
    assert "no column stands out" in _words(draw(documents[:1]))


def test_a_long_name_is_cut_where_the_picture_begins(documents: list[Any]) -> None:
    long = documents[-1] | {"components": [one | {"column": "x" * 200} for one in documents[-1]["components"]]}
    labels = [each.text or "" for each in _all(_chart(draw([long])), "label")]
    assert labels
    assert all(label.endswith("…") and len(label) < 60 for label in labels if "xxx" in label)


def test_it_is_small_and_always_the_same_and_needs_no_matplotlib(documents: list[Any], tmp_path: Path) -> None:
    sixty = [documents[n % 28] for n in range(60)]
    assert len(draw(sixty)) < 30_000
    (tmp_path / "documents.json").write_text(json.dumps(sixty))
    code = (
        "import json, pathlib, sys; from mtac_assets.monitoring.drift.chart import draw; "
        f"drawn = draw(json.loads(pathlib.Path({str(tmp_path / 'documents.json')!r}).read_text())); "
        "assert not {'matplotlib', 'numpy'} & set(sys.modules); print(drawn, end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.stdout.decode() == draw(sixty), done.stderr


def test_one_window_of_which_nothing_is_known_can_be_drawn(world: Any) -> None:
    verdict = judge(world.reference, [world.block(1, world.day(1, 3))], world.trigger)
    (mark,) = _all(_chart(draw([verdict.document("INSUFFICIENT")])), STATE_LOOKS["INSUFFICIENT"].css)
    assert mark.tag == f"{SVG}polygon"
    with pytest.raises(MtacError, match="no verdict to draw"):
        draw([])
