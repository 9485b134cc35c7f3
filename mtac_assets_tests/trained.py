"""One trained, committed model of the tides project, copied for each test that changes something."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.provenance import ledger
from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests.tides import make_project

# The engine of this checkout, also where another one is installed.
VARIABLES = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
AS_OF = "2024-01-08"
LATER = "2024-01-10"


@dataclass(frozen=True)
class Line:
    """A project folder and the command line in it."""

    root: Path

    @property
    def project(self) -> Project:
        return find_project(self.root)

    def mtac(self, *arguments: str, code: int | None = 0, env: dict[str, str] | None = None) -> dict[str, Any]:
        """One command in a process of its own, with --json; its document. `code` None: any exit code will do."""
        done = self.process(*arguments, "--json", env=env)
        assert code is None or done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def process(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """One command in a process of its own, as a person types it."""
        return subprocess.run(
            [sys.executable, "-m", "mtac_assets.cli", *arguments],
            cwd=self.root,
            env={**VARIABLES, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def mlflow_away(self) -> Iterator[None]:
        """Its address is one where nothing listens (port 9 of loopback, "discard")."""
        path = self.project.environments / "local.yaml"
        before = path.read_text()
        path.write_text(before + 'mlflow: {tracking_uri: "http://127.0.0.1:9"}\n')
        try:
            yield
        finally:
            path.write_text(before)

    def forge(self, model_id: str, path: str, change: Callable[[str], str], name: str | None = None) -> None:
        """Rewrite one file of a model's commit, as somebody with access to the repository could; under `name`, another model's."""
        reference = f"refs/mtac/models/{model_id}"
        index = self.root.parent / "forged-index"

        def git(*arguments: str, data: str | None = None) -> str:
            return subprocess.run(
                ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments],
                cwd=self.root,
                env={**os.environ, "GIT_INDEX_FILE": str(index)},
                input=data,
                capture_output=True,
                text=True,
                check=True,
            ).stdout

        old = git("show", f"{reference}:{path}")
        new = change(old)
        assert new != old
        git("read-tree", reference)
        blob = git("hash-object", "-w", "--stdin", data=new).strip()
        git("update-index", "--cacheinfo", f"100644,{blob},{path}")
        body = git("log", "-1", "--format=%B", reference).replace(model_id, name or model_id)
        commit = git("commit-tree", git("write-tree").strip(), "-p", f"{reference}^", "-m", body).strip()
        git("update-ref", f"refs/mtac/models/{name or model_id}", commit)

    def script(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Python in a process of its own, in the project's folder; it may kill itself."""
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=self.root, env=VARIABLES, capture_output=True, text=True
        )

    def rebuilt(self, model_id: str) -> None:
        """What an identical reproduction leaves in the ledger, for tests that are about what comes after one."""
        evidence = {"verdict": "identical", "segments": "whole", "environment_differences": []}
        for kind in ("reproduction", "challenger"):
            ledger.append(
                self.project,
                "local",
                kind=kind,
                recipe="floods",
                model_id=model_id,
                actor="ada",
                reason="rebuilt",
                evidence=evidence,
            )

    def kinds(self) -> list[str]:
        """The kinds of the ledger's entries, first to last."""
        return [entry.kind for entry in ledger.history(self.project, "local", "floods")]

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A project with one model, and what `mtac run` said of it. Never to be changed."""
    root = tmp_path_factory.mktemp("trained") / "project"
    root.mkdir()
    make_project(root)
    return root, Line(root).mtac("run", "floods", "--as-of", AS_OF)


@pytest.fixture
def line(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Line]:
    """A copy of the trained project; files that are copied whole, so that a test may damage its own."""
    root = tmp_path / "project"
    shutil.copytree(trained[0], root, symlinks=True)
    yield Line(root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def model(trained: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    """What `mtac run` said of the model."""
    return trained[1]
