"""Which project a folder belongs to, and in which environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mtac_assets.spec.errors import SpecError
from mtac_assets.spec.project import Project, find_project

LOCAL = "team/environments/local.yaml"


def test_the_nearest_parent_is_the_project(project: Project, tmp_path: Path):
    inner = tmp_path / "team" / "defs" / "returns"
    (tmp_path / "team" / "pyproject.toml").write_text("[project]\nname = 'no project of ours'\n")
    found = find_project(inner)
    assert (found.root, found.package) == (tmp_path, "team")
    assert found.defs == tmp_path / "team" / "defs"
    assert list(found.recipes()) == ["returns"]
    assert list(found.datasets()) == ["rain", "visits"]
    assert found.state.training_sets == tmp_path / ".mtac" / "training_sets"


def test_a_source_folder_is_found(project: Project, tmp_path: Path):
    (tmp_path / "src").mkdir()
    (tmp_path / "team").rename(tmp_path / "src" / "team")
    assert find_project(tmp_path).defs == tmp_path / "src" / "team" / "defs"


def test_app_env_selects(project: Project, monkeypatch: pytest.MonkeyPatch, edit: Callable[..., int]):
    text = (project.root / LOCAL).read_text()
    (project.root / "team/environments/cloud.yaml").write_text(
        text.replace("local", "cloud").replace(".mtac", "/srv/mtac").replace("clean: false", "clean: true")
    )
    monkeypatch.setenv("APP_ENV", "cloud")
    found = find_project(project.root)
    assert found.environment.name == "cloud"
    assert found.state.root == Path("/srv/mtac")
    assert find_project(project.root, "local").environment.name == "local"


@pytest.mark.parametrize("name", ["clud", "../local", "local.yaml"])
def test_an_unknown_environment_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv("APP_ENV", name)
    with pytest.raises(SpecError, match="one of: local"):
        find_project(project.root)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("state: .mtac", "state: ../elsewhere", "leaves the project"),
        ("state: .mtac", "state: .", "among the project's own files"),
        ("run_seconds: 60", "run_seconds: -1", "limits.run_seconds"),
        ("limits:", "launcher: {kind: process, workers: 3}\nlimits:", "tree of sums"),
        ("require_approval: false", "require_approval: false, approvers: [ann]", "no approval"),
        ("require_approval: false", "require_approval: false, approvals_end: {bob: 2026-01-01}", "no approver"),
        ("require_approval: false", "require_approval: false, approvals_end: {bob: soon}", "approvals_end"),
        ("require_approval: false", "require_approval: false, reproduction: {segments: some}", "segments"),
        ("require_approval: false", "require_approval: false, reproduction: {segments: 0}", "segments"),
    ],
)
def test_faults_of_an_environment(project: Project, edit: Callable[..., int], old: str, new: str, word: str):
    line = edit(old, new, LOCAL)
    with pytest.raises(SpecError) as caught:
        find_project(project.root)
    (finding,) = caught.value.findings
    assert word in finding.error
    assert finding.where.startswith((f"{LOCAL}:{line} ", f"{LOCAL}:{line + 1} "))


def test_an_environment_has_its_files_name(project: Project, edit: Callable[..., int]):
    edit("name: local", "name: lokal", LOCAL)
    with pytest.raises(SpecError, match="the file is called local"):
        find_project(project.root)


def test_no_environment_but_local_lets_a_dirty_model_go_live(project: Project, edit: Callable[..., int]):
    text = (project.root / LOCAL).read_text()
    (project.root / "team/environments/cloud.yaml").write_text(text.replace("local", "cloud"))
    with pytest.raises(SpecError, match="uncommitted changes go live") as caught:
        find_project(project.root, "cloud")
    (finding,) = caught.value.findings
    assert "require_clean" in finding.where
    assert not find_project(project.root, "local").environment.promotion.require_clean


@pytest.mark.parametrize("text", ["[tool.dg.project]\n", "[tool.dg.project]\nroot_module = '../x'\n", "[tool"])
def test_a_broken_project_file_is_a_finding(tmp_path: Path, text: str):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(SpecError, match=r"pyproject\.toml"):
        find_project(tmp_path)


def test_no_project_is_a_finding(tmp_path: Path):
    with pytest.raises(SpecError, match="no project here"):
        find_project(tmp_path)


def test_the_shipped_environments_differ_where_they_should(root: Path):
    local, staging, production = (find_project(root, name).environment for name in ("local", "staging", "production"))
    assert not local.promotion.require_clean
    assert staging.promotion.require_clean
    assert production.promotion.require_clean
    assert production.promotion.require_approval
    assert production.promotion.reproduction.segments == "all"
    assert production.promotion.reproduction.environment == "match"
    assert local.server is None
    assert staging.server == production.server is not None, "one image, one compose file, two environments"


SERVER = """server:
  page: https://mtac.example.org
  postgres: {host: db, user: mtac, password_file: /run/secrets/password}
  repository: /srv/repository.git
  artifacts: /srv/artifacts
  addresses:
    code: {host: code, port: 4000}
    webserver: {host: webserver, port: 3000}
    viewer: {host: viewer, port: 3001}
    mlflow: {host: mlflow, port: 5000}
"""


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("state: /srv/state", "state: .mtac", "share one state folder"),
        ("data: {remote: /srv/store}", "data: {remote: null}", "outlives it"),
        ("\nserver:", "\nmlflow: {tracking_uri: http://x}\nserver:", "given twice"),
        ("artifacts: /srv/artifacts", "artifacts: artifacts", "neither an absolute folder nor a URL"),
        ("user: mtac,", "user: mtac, dagster_database: mlflow,", "over one another"),
        ("{host: viewer, port: 3001}", "{host: webserver, port: 3000}", "same host and port"),
        ("https://mtac.example.org", "http://mtac.example.org", "server.page"),
        ("/run/secrets/password", "hunter2", "password_file"),
    ],
)
def test_faults_of_a_server(project: Project, old: str, new: str, error: str):
    path = project.root / LOCAL
    sound = path.read_text().replace("state: .mtac", "state: /srv/state\ndata: {remote: /srv/store}") + SERVER
    path.write_text(sound)
    assert find_project(project.root).environment.server is not None
    path.write_text(sound.replace(old, new))
    with pytest.raises(SpecError) as caught:
        find_project(project.root)
    (finding,) = caught.value.findings
    assert error in finding.error
