"""Files that land: the source's own, or a package's file cut by day with no line lost or changed."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mtac_assets.data.readers.package import content
from mtac_assets.data.readers.state import package_source
from mtac_assets.orchestration.replay.landing import INCOMING, gather, keys_until
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import load_dataset
from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests.conftest import ROOT

MOMENT = datetime(2024, 1, 5, 1, tzinfo=UTC)


def test_a_folders_files_land_byte_for_byte_at_their_moment(project: Project, tmp_path: Path) -> None:
    landing = gather(project, load_dataset(project, "tides"), date(2024, 1, 4), tmp_path / "waiting")
    assert len(os.listdir(tmp_path / "waiting")) == 4, "files of later days do not wait"
    root = tmp_path / "checkout"
    assert landing.land(root, "2024-01-04", MOMENT)
    landed = root / INCOMING / "tides" / "tides-2024-01-04.csv"
    assert landed.read_bytes() == (project.root / "incoming" / "tides-2024-01-04.csv").read_bytes()
    assert landed.stat().st_mtime == MOMENT.timestamp()
    before = landed.stat()
    assert landing.land(root, "2024-01-04", datetime(2024, 1, 6, tzinfo=UTC))
    assert landed.stat() == before, "landing twice is once"


def test_a_day_that_the_source_never_delivered_does_not_land(project: Project, tmp_path: Path) -> None:
    (project.root / "incoming" / "tides-2024-01-03.csv").unlink()
    landing = gather(project, load_dataset(project, "tides"), date(2024, 1, 4), tmp_path / "waiting")
    assert not landing.land(tmp_path / "checkout", "2024-01-03", MOMENT)
    assert not (tmp_path / "checkout").exists()


def test_a_packages_file_is_cut_by_day_and_no_line_is_lost(tmp_path: Path) -> None:
    project = find_project(ROOT)
    dataset = load_dataset(project, "nyc_weather")
    landing = gather(project, dataset, date(2013, 12, 31), tmp_path)
    source = dataset.source
    header, *lines = content(source, package_source(source).uri).splitlines()
    files = [(tmp_path / name).read_bytes().splitlines() for name in sorted(os.listdir(tmp_path))]
    assert len(files) == len(keys_until(dataset, date(2013, 12, 31))) == 364
    assert all(file[0] == header for file in files)
    assert sorted(line for file in files for line in file[1:]) == sorted(lines)
    assert landing.source()["url"] == f"{INCOMING}/nyc_weather"


def test_a_query_has_no_files(project: Project, tmp_path: Path) -> None:
    file = project.datasets()["tides"]
    text = file.read_text()
    start = text.index("source:")
    query = "source: {kind: sql, url_env: TIDES_URL, query: 'select * from t where d >= :start and d < :end'}\n"
    file.write_text(text[:start] + query + text[text.index("partitions:") :])
    with pytest.raises(MtacError, match="a query delivers no files"):
        gather(project, load_dataset(project, "tides"), date(2024, 1, 4), tmp_path)
