"""The digest that staging proved goes to production, and no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtac_assets_tests.conftest import ROOT

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
IMAGE = "registry.example:5000/team/mtac"


def same_image(proved: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "deploy" / "same_image.py"), "--proved", str(proved), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def proved(tmp_path: Path) -> Path:
    path = tmp_path / "proved.json"
    assert same_image(path, "--deploy", f"{IMAGE}@{DIGEST}", "--write", "c0ffee").returncode == 0
    return path


def test_what_staging_proved_is_let_through(proved: Path) -> None:
    assert same_image(proved, "--deploy", f"{IMAGE}@{DIGEST}").returncode == 0
    assert same_image(proved, "--show").stdout.strip() == f"{IMAGE}@{DIGEST}"


def test_the_worker_of_the_same_build_is_named_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "proved.json"
    asked = ("--deploy", f"{IMAGE}@{DIGEST}", "--write", "c0ffee", "--worker")
    assert same_image(path, *asked, f"{IMAGE}-worker:latest").returncode == 1
    assert not path.exists()
    assert same_image(path, *asked, f"{IMAGE}-worker@{OTHER}").returncode == 0
    assert json.loads(path.read_text())["worker"] == f"{IMAGE}-worker@{OTHER}"
    assert same_image(path, "--deploy", f"{IMAGE}@{DIGEST}").returncode == 0


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        (f"{IMAGE}@{OTHER}", "never proved"),
        (f"{IMAGE}:latest", "names no digest"),
        (f"{IMAGE}@sha256:abc", "names no digest"),
        (f"elsewhere/mtac@{DIGEST}", "another repository"),
        ("", "names no digest"),
    ],
)
def test_everything_else_is_refused(proved: Path, reference: str, word: str) -> None:
    done = same_image(proved, "--deploy", reference)
    assert done.returncode == 1
    assert word in done.stderr


@pytest.mark.parametrize(
    "document", ["", "[]", "{}", json.dumps({"schema_version": 1}), json.dumps({"schema_version": 2, "digest": DIGEST})]
)
def test_without_a_sound_proof_nothing_is_deployed(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "proved.json"
    path.write_text(document)
    for arguments in (("--deploy", f"{IMAGE}@{DIGEST}"), ("--show",)):
        done = same_image(path, *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("refused: ")
        assert done.stdout == ""
    assert same_image(tmp_path / "none.json", "--deploy", f"{IMAGE}@{DIGEST}").returncode == 1
