"""What the command line promises: exit codes, one JSON document, the project's own code, and few imports."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from mtac_assets.cli import _checkout_of
from mtac_assets.cli.backtest import Every, as_of_dates
from mtac_assets.cli.history import parse_moment
from mtac_assets.promotion.reproduce import parse_segments
from mtac_assets.spec.errors import MtacError


def mtac(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mtac_assets.cli", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def test_a_broken_recipe_exits_2_with_every_finding_as_json(root: Path) -> None:
    done = mtac(root, "check", "flight_delays", "--set", "training.epochs=none", "--set", "model.kin=x", "--json")
    assert done.returncode == 2
    errors = json.loads(done.stdout)["errors"]
    assert len(errors) == 2
    assert all(set(error) == {"error", "where", "expected", "remedy"} for error in errors)


def test_every_shipped_file_is_sound(root: Path) -> None:
    done = mtac(root, "check", "--json")
    assert done.returncode == 0, done.stderr
    assert {"recipe flight_delays", "dataset nyc_flights", "environment production"} <= set(
        json.loads(done.stdout)["checked"]
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("plan",),
        ("plan", "flight_delays", "--as-of", "yesterday"),
        ("run", "flight_delay", "--as-of", "2013-07-01"),
    ],
)
def test_wrong_use_exits_2_and_says_what_to_type(root: Path, arguments: tuple[str, ...]) -> None:
    done = mtac(root, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "remedy" in done.stderr


def test_outside_a_project_the_reason_is_given(tmp_path: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mtac_assets.cli", "plan", "x", "--json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pyproject.toml" in json.loads(done.stdout)["errors"][0]["expected"]


def test_a_plan_imports_nothing_heavy(root: Path) -> None:
    code = (
        "import sys; from mtac_assets.cli.app import run; run(['plan', 'flight_delays', '--as-of', '2013-07-15', '--json']);"
        "print(sorted(m for m in ('torch','pandas','numpy','pyarrow','dagster','mlflow','dvc','sklearn') if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_the_code_of_the_checkout_that_one_stands_in_is_run(root: Path, tmp_path: Path) -> None:
    """An editable install of one checkout must not lend its code to another."""
    other = tmp_path / "other"
    (other / "mtac_assets" / "cli").mkdir(parents=True)
    (other / "pyproject.toml").write_text("[tool.dg.project]\nroot_module = 'mtac_assets'\n")
    (other / "mtac_assets" / "__init__.py").write_text("")
    (other / "mtac_assets" / "cli" / "__init__.py").write_text("")
    (other / "mtac_assets" / "cli" / "__main__.py").write_text("print('the other checkout')")
    assert _checkout_of(other) == other
    done = subprocess.run(
        [sys.executable, str(root / "mtac_assets" / "cli" / "__main__.py")],
        cwd=other,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "the other checkout\n", done.stderr


def test_as_of_dates() -> None:
    assert as_of_dates(date(2013, 11, 1), date(2014, 1, 31), Every.month) == [
        date(2013, 11, 1),
        date(2013, 12, 1),
        date(2014, 1, 1),
    ]
    assert as_of_dates(date(2013, 1, 1), date(2013, 1, 15), Every.week)[-1] == date(2013, 1, 15)
    with pytest.raises(MtacError, match="before"):
        as_of_dates(date(2013, 2, 1), date(2013, 1, 1), Every.day)
    with pytest.raises(MtacError, match="day 31"):
        as_of_dates(date(2013, 1, 31), date(2013, 3, 1), Every.month)


def test_words_that_mean_segments_and_moments() -> None:
    assert (parse_segments("whole"), parse_segments("all"), parse_segments("3")) == ("whole", "all", 3)
    for wrong in ("0", "-1", "some"):
        with pytest.raises(MtacError):
            parse_segments(wrong)
    assert parse_moment("2013-07-15").isoformat() == "2013-07-15T00:00:00+00:00"
    assert parse_moment("2013-07-15T02:00:00+02:00").isoformat() == "2013-07-15T00:00:00+00:00"
    with pytest.raises(MtacError):
        parse_moment("noon")
