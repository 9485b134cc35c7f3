from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from mtac_assets.evaluation.curves import ranking_curves
from mtac_assets.evaluation.plots import PLOTS, draw_all
from mtac_assets.evaluation.scored_rows import scored_rows

SVG = "{http://www.w3.org/2000/svg}"
SMALL = 30_000  # bytes: they are stored in an event log


def _marks(plot: ElementTree.Element, css: str) -> list[ElementTree.Element]:
    """The marks of a class in the charts themselves: a legend has one too."""
    charts = plot.findall(f"{SVG}g")
    return [each for chart in charts for each in chart.iter() if each.tag in (f"{SVG}circle", f"{SVG}polygon") and each.attrib["class"] == css]  # fmt: skip


def _words(plot: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in plot.iter(f"{SVG}text")]


def test_every_plot_is_a_small_file_with_its_title_and_its_models(report: dict[str, Any], tmp_path: Path) -> None:
    drawn = draw_all(report, tmp_path)
    assert drawn == ["metrics.svg", "calibration.svg", "roc.svg", "pr.svg", "by_day.svg"]
    plots = {name.removesuffix(".svg"): ElementTree.parse(tmp_path / name).getroot() for name in drawn}
    assert all((tmp_path / name).stat().st_size < SMALL for name in drawn)
    titles = {
        "metrics": "Metrics with their intervals",
        "calibration": "Calibration, 10 bins of equal mass",
        "roc": "ROC",
        "pr": "Precision and recall",
        "by_day": "Day by day",
    }
    for name, title in titles.items():
        assert _words(plots[name])[0] == plots[name].attrib["aria-label"] == title
        assert "this model" in _words(plots[name])
    for name in ("metrics", "roc", "pr"):
        assert {"champion", "gradient boosting", "logistic regression"} <= set(_words(plots[name]))
    assert {"ROC AUC", "Log loss", "Calibration error"} <= set(_words(plots["metrics"]))
    assert len(_marks(plots["metrics"], "model")) == 3
    assert len(_marks(plots["calibration"], "model")) == len(report["calibration"]["model"]["bins"])
    assert len(_marks(plots["by_day"], "model")) == 2 * len(report["by_day"]), "a loss and a mean score a day"
    assert {day["day"][5:] for day in report["by_day"]} <= set(_words(plots["by_day"]))


def test_a_report_that_was_read_from_its_file_looks_the_same(report: dict[str, Any]) -> None:
    read = json.loads(json.dumps(report, sort_keys=True))
    for name in ("calibration", "roc", "pr"):
        plot = ElementTree.fromstring(PLOTS[name](read) or "")
        classes = [each.attrib.get("class", "") for each in plot.iter()]
        assert [css for css in classes if css.endswith("curve")][-1] == "model curve", (
            "drawn last, so that nothing hides it"
        )
        assert {css for css in classes if css.endswith("whisker")} <= {"model whisker"}


def test_a_curve_lies_where_its_points_are(report: dict[str, Any]) -> None:
    points = [[0.0, 0.0], [0.25, 0.5], [1.0, 1.0]]
    roc = PLOTS["roc"](report | {"curves": {"model": {"roc": points, "pr": points}}})
    assert roc is not None
    plot = ElementTree.fromstring(roc)
    (curve,) = (each for each in plot.iter(f"{SVG}path") if each.attrib["class"] == "model curve")
    (x0, y0), (x1, y1), (x2, y2) = (map(float, pair.split()) for pair in curve.attrib["d"].removeprefix("M").split("L"))
    assert (x1 - x0) / (x2 - x0) == 0.25
    assert (y1 - y0) / (y2 - y0) == 0.5
    assert x0 < x2
    assert y0 > y2, "up is more"


def test_what_has_no_data_is_not_drawn(report: dict[str, Any], tmp_path: Path) -> None:
    bare = report | {"curves": dict.fromkeys(report["curves"]), "by_day": None}
    assert draw_all(bare, tmp_path) == ["metrics.svg", "calibration.svg"]


def test_many_rows_and_many_days_are_small_files_too(report: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(30_000)
    rows = scored_rows(rng.random(30_000) < scores, np.arange(30_000) % 5, scores, "many")
    curves = dict.fromkeys(report["curves"], ranking_curves(rows))
    days = [day | {"day": f"20{n // 360 + 13}-{n // 30 % 12 + 1:02d}-{n % 30 + 1:02d}"} for n in range(120) for day in report["by_day"][n % 10 : n % 10 + 1]]  # fmt: skip
    drawn = draw_all(report | {"curves": curves, "by_day": days}, tmp_path)
    assert max((tmp_path / name).stat().st_size for name in drawn) < SMALL
    plot = ElementTree.parse(tmp_path / "by_day.svg").getroot()
    assert _marks(plot, "model") == [], "they would hide each other"
    lines = [each for each in plot.iter(f"{SVG}path") if each.attrib["class"] == "model curve"]
    assert [each.attrib["d"].count("L") for each in lines] == [119, 119], "the loss and the mean score"


def test_the_same_report_gives_the_same_bytes_without_matplotlib(report: dict[str, Any], tmp_path: Path) -> None:
    draw_all(report, tmp_path / "a")
    (tmp_path / "report.json").write_text(json.dumps(report))
    code = (
        "import json, pathlib, sys; from mtac_assets.evaluation.plots import draw_all; "
        f"draw_all(json.loads(pathlib.Path({str(tmp_path / 'report.json')!r}).read_text()), pathlib.Path({str(tmp_path / 'b')!r})); "
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
