"""Dagster's real pages in a real browser: the graph of `flight_delays`, and a model with its plot and its checks.

Screenshots stay in the folder MTAC_SCREENSHOTS; look at them after a change of metadata.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from mtac_assets.orchestration.instance import environment_variables
from mtac_assets.orchestration.line import LineResult, run_line
from mtac_assets.services import health
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests.browser import Browser, browser  # noqa: F401  (a fixture)
from mtac_assets_tests.free_ports import free_port

pytestmark = pytest.mark.browser
AS_OF = "2013-03-20"
SMALLER = (
    "window.train_days=8",
    "window.validate_days=2",
    "window.test_days=4",
    "training.epochs=1",
    "triggers.drift=null",  # eight days are too few to calibrate it on
    "evaluation.bootstrap.resamples=100",
)


@dataclass(frozen=True)
class Served:
    """A project whose line has run, and the address of its pages."""

    project: Project
    url: str
    line: LineResult


@pytest.fixture(scope="module")
def served(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The flights project under a package name of its own, one small model trained, and Dagster's web server."""
    project = _flights(root, tmp_path_factory.mktemp("flights"))
    sys.path.insert(0, str(project.root))
    try:
        line = run_line(project, load_recipe(project, "flight_delays", SMALLER, date.fromisoformat(AS_OF)))
    finally:
        sys.path.remove(str(project.root))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = project.root / "webserver.log"
    command = [sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as stream:
        server = subprocess.Popen(
            command,
            cwd=project.root,
            env={**os.environ, **environment_variables(project)},
            stdout=stream,
            stderr=stream,
        )
        try:
            deadline = time.monotonic() + 120
            while not health.answers(f"{url}/server_info"):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.3)
            yield Served(project, url, line)
        finally:
            server.terminate()
            server.wait(30)


def _flights(root: Path, folder: Path) -> Project:
    package = f"flights_{secrets.token_hex(4)}"
    home = folder / package
    ours = root / "mtac_assets"
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ours / "defs", home / "defs", ignore=skip)
    shutil.copytree(ours / "environments", home / "environments", ignore=skip)
    (home / "__init__.py").touch()
    shutil.copy(ours / "definitions.py", home / "definitions.py")
    (folder / "pyproject.toml").write_text(
        f'[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "{package}"\n'
        'registry_modules = ["mtac_assets.orchestration"]\n'
    )
    (folder / "workspace.yaml").write_text(
        f"load_from:\n  - python_module: {{module_name: {package}.definitions, location_name: {package}}}\n"
    )
    (folder / ".gitignore").write_text(".mtac/\n__pycache__/\nwebserver.log\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "flights"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    return find_project(folder)


def test_the_graph_of_flight_delays(served: Served, browser: Browser) -> None:  # noqa: F811
    browser.driver.set_window_size(2600, 1200)  # wide enough to be drawn with names, states and checks
    browser.open(f"{served.url}/locations/{served.project.package}/asset-groups/flight_delays")
    browser.wait_for_text("features", "training_set", "model", "report", "1 / 1 Passed", "3 / 3 Passed")
    browser.wait_for_text("reproduction", "champion")
    browser.screenshot("asset-graph")
    browser.open(f"{served.url}/assets/nyc_flights?view=partitions")
    browser.wait_for_text("Materialized (40)")
    browser.screenshot("dataset-partitions")


def test_a_model_with_its_plot_and_checks(served: Served, browser: Browser) -> None:  # noqa: F811
    model_id = served.line.model_id
    browser.open(f"{served.url}/assets/flight_delays/model?partition={AS_OF}")
    browser.wait_for_text(AS_OF, model_id, "fingerprint")
    drawn = "return [...document.images].some(image => image.alt === 'loss' && image.naturalWidth > 100)"
    browser.wait_until(lambda: browser.driver.execute_script(drawn), "the loss to be drawn")
    browser.screenshot("model")
    browser.open(f"{served.url}/assets/flight_delays/report?view=checks")
    browser.wait_for_text("thresholds", "slices", "baseline")
    browser.screenshot("report-checks")


def test_the_run_belongs_to_its_job(served: Served, browser: Browser) -> None:  # noqa: F811
    browser.open(f"{served.url}/runs/{served.line.dagster_run_ids[-1]}")
    browser.wait_for_text("Success", "flight_delays_train", AS_OF, "STEP_SUCCESS", "validation log loss")
    browser.screenshot("run")
