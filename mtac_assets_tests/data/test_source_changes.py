"""The plan names the days whose source changed since they were read, and asks no source that is dear to ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from mtac_assets.data.ingest import ingest
from mtac_assets.data.ingest_pending import pending
from mtac_assets.data.source_changes import changed_sources
from mtac_assets.provenance import partitions
from mtac_assets.provenance.plan import Plan, plan
from mtac_assets.spec.load import load_dataset, load_recipe
from mtac_assets.spec.project import Project
from mtac_assets_tests.tides import make_project, write_day

AS_OF = date(2024, 1, 8)
DAYS = [f"2024-01-0{day}" for day in range(2, 10)]
ROOT = Path(__file__).parents[2]
Install = Callable[[str, str], Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The tides project with every day of one model ingested."""
    made = make_project(tmp_path)
    assert not ingest(made, "tides", DAYS).failed
    return made


def planned(project: Project) -> Plan:
    return plan(project, load_recipe(project, "floods", (), AS_OF))


def ingest_step(project: Project) -> tuple[tuple[str, ...], str] | None:
    """Days and reason of the plan's ingest step; None where there is none."""
    return next(((step.partitions, step.reason) for step in planned(project).steps if step.asset == "tides"), None)


def contents(project: Project) -> dict[str, str]:
    found = partitions.content_digests(project.state.data, {"tides": DAYS}, project.state.cache)
    return {name.partition("/")[2]: digest for name, digest in found.items()}


def test_exactly_the_day_whose_file_changed_is_named_until_it_is_read(project: Project) -> None:
    assert ingest_step(project) is None
    write_day(project.root, date(2024, 1, 4), level_factor=0.5)
    write_day(project.root, date(2024, 1, 13), level_factor=0.5)  # no day of this model
    assert ingest_step(project) == (("2024-01-04",), "2024-01-04: its source changed")
    assert ingest_step(project) is not None, "asking changes nothing"
    assert ingest(project, "tides", ["2024-01-04"]).days[0].status == "written"
    assert ingest_step(project) is None


def test_a_file_that_was_only_touched_is_read_once(project: Project) -> None:
    assert ingest_step(project) is None
    before = contents(project)
    os.utime(project.root / "incoming" / "tides-2024-01-05.csv")
    assert ingest_step(project) == (("2024-01-05",), "2024-01-05: its source changed")
    assert ingest(project, "tides", ["2024-01-05"]).days[0].status == "unchanged"
    assert ingest_step(project) is None
    assert contents(project) == before


def test_it_stands_beside_the_other_reasons(project: Project) -> None:
    (project.state.data / "tides" / "2024-01-02.json").unlink()
    for day in (4, 5, 6, 7):
        write_day(project.root, date(2024, 1, day), level_factor=0.5)
    days, reason = ingest_step(project) or ((), "")
    assert days == ("2024-01-02", "2024-01-04", "2024-01-05", "2024-01-06", "2024-01-07")
    assert reason == "2024-01-02 is not there yet; 4 partitions (2024-01-04 to 2024-01-07): their source changed"


def test_it_says_what_ingest_would_read(project: Project) -> None:
    write_day(project.root, date(2024, 1, 3), level_factor=0.5)
    os.utime(project.root / "incoming" / "tides-2024-01-09.csv")
    assert changed_sources(project, "tides", contents(project)) == tuple(
        pending(project, load_dataset(project, "tides"), DAYS)
    )


def test_a_source_that_is_gone_leaves_what_was_read_as_it_is(project: Project) -> None:
    (project.root / "incoming" / "tides-2024-01-04.csv").unlink()
    assert ingest_step(project) is None
    shutil.rmtree(project.root / "incoming")
    assert ingest_step(project) is None


def test_another_folder_with_the_same_files_is_another_source(project: Project) -> None:
    assert ingest_step(project) is None
    shutil.copytree(project.root / "incoming", project.root / "moved", copy_function=shutil.copy2)
    file = project.datasets()["tides"]
    file.write_text(file.read_text().replace("url: incoming", "url: moved"))
    assert ingest_step(project) == (tuple(DAYS), "8 partitions (2024-01-02 to 2024-01-09): their source changed")


def test_lost_answers_are_found_again(project: Project) -> None:
    write_day(project.root, date(2024, 1, 4), level_factor=0.5)
    before = ingest_step(project)
    assert before is not None
    for path in project.state.cache.glob("unchanged-sources-*"):
        path.write_text("{")
    (project.state.cache / "dataset-sources.json").unlink(missing_ok=True)
    assert ingest_step(project) == before
    assert ingest(project, "tides", ["2024-01-04"]).written
    assert ingest_step(project) is None


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a version of the distribution `gauges` with one file of these rows, in place of the one before."""
    site = tmp_path / "site-packages"

    def installed(version: str, rows: str) -> Path:
        shutil.rmtree(site, ignore_errors=True)
        (site / "gauges").mkdir(parents=True)
        (site / "gauges" / "tides.csv").write_text(rows)
        information = site / f"gauges-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: gauges\nVersion: {version}\n")
        return site / "gauges" / "tides.csv"

    monkeypatch.syspath_prepend(str(site))
    return installed


def test_a_package_is_asked_by_its_files_content(tmp_path: Path, install: Install) -> None:
    made = make_project(tmp_path / "coast")
    lines = [(made.root / "incoming" / f"tides-{day}.csv").read_text().splitlines() for day in DAYS]
    rows = "\n".join([lines[0][0], *(line for day in lines for line in day[1:])]) + "\n"
    file = made.datasets()["tides"]
    declared = file.read_text().replace(
        'source: {kind: files, url: incoming, pattern: "tides-{date}.csv", format: csv}',
        "source: {kind: package, distribution: gauges, path: gauges/tides.csv, format: csv}",
    )
    file.write_text(declared)
    table = install("1.0", rows)
    assert not ingest(made, "tides", DAYS).failed
    assert ingest_step(made) is None
    for path in (table, *(Path(entry) for entry in sys.path[:1])):
        os.utime(path, ns=(0, path.stat().st_mtime_ns - 10_000_000_000))  # old enough to be remembered
    assert ingest_step(made) is None, "the same content"
    table.write_text(rows.replace("north", "south"))
    every_day = (tuple(DAYS), "8 partitions (2024-01-02 to 2024-01-09): their source changed")
    assert ingest_step(made) == every_day
    install("1.0", rows)
    assert ingest_step(made) is None
    install("1.1", rows)
    assert ingest_step(made) == every_day, "its version is part of what manifests record"
    assert {day.status for day in ingest(made, "tides", DAYS).days} == {"unchanged"}
    assert ingest_step(made) is None
    shutil.rmtree(table.parent)
    assert ingest_step(made) is None, "gone"


def test_a_query_is_not_asked(project: Project) -> None:
    file = project.datasets()["tides"]
    declared = file.read_text().replace(
        'source: {kind: files, url: incoming, pattern: "tides-{date}.csv", format: csv}',
        'source: {kind: sql, url_env: NOT_SET, query: "select * from tides where day >= :start and day < :end"}',
    )
    assert declared != file.read_text()
    file.write_text(declared)
    assert ingest_step(project) is None


def test_asking_again_imports_nothing_heavy(project: Project) -> None:
    """Nor pydantic: it alone takes longer than the plan."""
    past = 3_600_000_000_000
    for path in (*project.root.rglob("*.yaml"), *project.root.rglob("*.py"), *project.root.rglob("*.csv")):
        os.utime(path, ns=(0, path.stat().st_mtime_ns - past))
    ingest(project, "tides", DAYS)
    code = (
        "import sys; from pathlib import Path; from mtac_assets.spec.project import find_project\n"
        "from mtac_assets.data.source_changes import changed_sources\n"
        f"print(changed_sources(find_project(Path({str(project.root)!r})), 'tides', {contents(project)!r}))\n"
        "print(sorted({'pydantic', 'numpy', 'pandas', 'pyarrow', 'fsspec', 'importlib.metadata'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    said = [
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert said[0].splitlines()[0] == "()"
    assert said[1].splitlines() == ["()", "[]"]
