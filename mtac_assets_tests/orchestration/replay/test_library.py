"""What one policy has trained, another takes over, byte for byte; nothing damaged, and no cost that nobody measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtac_assets.orchestration.replay.library import Library
from mtac_assets.provenance.digest import sha256_bytes
from mtac_assets.provenance.files import write_json
from mtac_assets.spec.project import Project
from mtac_assets_tests.tides import make_project

MODEL, OTHER = "floods-0123456789ab", "floods-ba9876543210"
WEIGHTS = b"weights"


def project_in(folder: Path) -> Project:
    folder.mkdir()
    return make_project(folder)


@pytest.fixture
def trained(tmp_path: Path) -> Project:
    place = project_in(tmp_path / "first")
    pack, report = place.state.models / MODEL, place.state.reports / MODEL
    pack.mkdir(parents=True)
    report.mkdir(parents=True)
    (pack / "model.safetensors").write_bytes(WEIGHTS)
    entry = {"size": len(WEIGHTS), "sha256": sha256_bytes(WEIGHTS)}
    write_json(pack / "pack.json", {"schema_version": 1, "files": {"model.safetensors": entry}})
    (report / "report.json").write_text("{}")
    return place


def test_a_model_is_taken_over_with_its_report(trained: Project, tmp_path: Path) -> None:
    library, second = Library(tmp_path / "library"), project_in(tmp_path / "second")
    assert not library.lend(second, MODEL)
    library.take(trained, MODEL, {"seconds": 8.0, "cpu_seconds": 7.5})
    library.take(trained, MODEL, {"seconds": 99.0, "cpu_seconds": 99.0})
    assert library.lend(second, MODEL)
    assert (second.state.models / MODEL / "model.safetensors").read_bytes() == WEIGHTS
    assert (second.state.reports / MODEL / "report.json").is_file()
    cost = library.cost(MODEL)
    assert cost is not None
    assert (cost["seconds"], cost["cpu_seconds"]) == (8.0, 7.5), "the first cost stays: that is when it was trained"


def test_a_model_comes_with_the_training_set_that_came_with_it(trained: Project, tmp_path: Path) -> None:
    library, second = Library(tmp_path / "library"), project_in(tmp_path / "second")
    sets, cost = trained.state.training_sets, {"seconds": 8.0, "cpu_seconds": 7.5}
    write_json(sets / "aaa" / "manifest.json", {"schema_version": 1})
    (sets / ".bbb.unfinished").mkdir()
    library.take(trained, MODEL, cost)
    (trained.state.models / MODEL).rename(trained.state.models / OTHER)
    write_json(sets / "ccc" / "manifest.json", {"schema_version": 1})
    library.take(trained, OTHER, cost)
    assert library.lend(second, OTHER)
    assert [path.name for path in second.state.training_sets.iterdir()] == ["ccc"]
    assert library.lend(second, MODEL)
    assert {path.name for path in second.state.training_sets.iterdir()} == {"aaa", "ccc"}
    assert (second.state.training_sets / "aaa" / "manifest.json").is_file()


def test_a_damaged_model_is_not_lent(trained: Project, tmp_path: Path) -> None:
    library, second = Library(tmp_path / "library"), project_in(tmp_path / "second")
    library.take(trained, MODEL, {"seconds": None, "cpu_seconds": None})
    damaged = tmp_path / "library" / MODEL / "pack" / "model.safetensors"
    damaged.unlink()
    damaged.write_bytes(b"other")
    assert not library.lend(second, MODEL)
    assert not second.state.models.exists()


def test_a_rebuild_is_evidence_once_it_was_made(trained: Project, tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    library.take(trained, MODEL, {"seconds": 8.0, "cpu_seconds": 7.5})
    assert library.reproduction(MODEL) is None
    library.keep_reproduction(MODEL, {"verdict": "identical", "segments": "whole"})
    assert library.reproduction(MODEL) == {"verdict": "identical", "segments": "whole"}


def test_a_model_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    with library.alone(MODEL, wait=True) as mine:
        assert mine
        with Library(tmp_path / "library").alone(MODEL, wait=False) as other:
            assert not other
        with library.alone("floods-ffffffffffff", wait=False) as another:
            assert another
    with library.alone(MODEL, wait=False) as again:
        assert again
