"""A model is rebuilt from its commit alone; what was changed is found and named."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from mtac_assets_tests.promotion.conftest import AS_OF, Line


def test_a_model_is_rebuilt_to_the_same_bits_and_then_may_challenge(line: Line, model: dict[str, Any]) -> None:
    done = line.mtac("reproduce", model["model_id"], "--by", "ada")
    assert done["verdict"] == "identical"
    assert done["weights"] == {"recorded": model["weights_digest"], "rebuilt": model["weights_digest"]}
    assert done["environment_differences"] == []
    kinds = [entry["kind"] for entry in line.mtac("history", "floods")["entries"]]
    assert kinds == ["reproduction", "challenger"]
    assert not list((line.root / ".mtac" / "runs" / "rooms").iterdir()), "the clean room is cleared"
    assert done["usage"]["cpu_seconds"] > 0.5


def test_what_a_model_has_used_is_in_its_record_and_summed_by_recipe(line: Line, model: dict[str, Any]) -> None:
    cost = line.mtac("show", model["model_id"])["cost"]
    assert cost["training"]["cpu_seconds"] > 0.5
    assert cost["evaluation"]["cpu_seconds"] > 0.5
    assert cost["stored_bytes"] > 10_000
    assert cost["estimate"] is None, "no price is told"
    summed = line.mtac("cost")["recipes"]["floods"]
    assert summed["models"] == summed["measured"] == 1
    assert summed["cpu_seconds"] == pytest.approx(sum(cost[part]["cpu_seconds"] for part in ("training", "evaluation")))
    assert line.mtac("cost", "floods")["models"] == {model["model_id"]: cost}


@pytest.mark.fault
def test_a_reproduction_beyond_its_limit_is_ended_with_all_it_started(line: Line, model: dict[str, Any]) -> None:
    (environment,) = line.root.rglob("environments/local.yaml")
    environment.write_text(environment.read_text().replace("run_seconds: 600", "run_seconds: 1"))
    done = line.mtac("reproduce", model["model_id"], "--by", "ada", code=None)
    assert done["verdict"] == "impossible"
    assert "longer than 1 s" in done["why"][0]["error"]
    rooms = str(line.root / ".mtac" / "runs" / "rooms")
    for one in psutil.process_iter(["cmdline", "cwd"]):
        assert rooms not in " ".join([*(one.info["cmdline"] or []), one.info["cwd"] or ""])


@pytest.mark.parametrize("segments", ["all", "2"])
def test_segments_are_replayed_side_by_side(line: Line, model: dict[str, Any], segments: str) -> None:
    done = line.mtac(
        "reproduce", model["model_id"], "--by", "ada", "--segments", segments, "--workers", "2", "--seed", "3"
    )
    assert done["verdict"] == "identical"
    assert done["seed"] == 3
    count = len(json.loads((line.root / ".mtac/models" / model["model_id"] / "digests.json").read_text())["segments"])
    assert len(done["segment_numbers"]) == (count if segments == "all" else 2)


def test_another_clone_rebuilds_it_from_the_id_alone(line: Line, model: dict[str, Any], tmp_path: Path) -> None:
    clone = Line(tmp_path / "clone")
    subprocess.run(["git", "clone", "-q", str(line.root), str(clone.root)], check=True)
    fetched = clone.mtac("fetch")
    assert f"models/{model['model_id']}" in fetched["references"]
    done = clone.mtac("reproduce", model["model_id"][:12], "--by", "ada")
    assert done["verdict"] == "identical"
    assert clone.mtac("verify")["errors"] == []


def test_a_model_whose_recipe_was_renamed_since_is_rebuilt_as_it_was(line: Line, model: dict[str, Any]) -> None:
    defs = next(path.parent for path in line.root.rglob("recipe.yaml") if path.parent.name == "floods")
    renamed = defs.with_name("inundations")
    line.git("mv", str(defs), str(renamed))
    recipe = renamed / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("name: floods", "name: inundations"))
    line.git("commit", "-q", "-a", "-m", "Rename the recipe")
    assert any("inundations" in str(one) for one in line.mtac("check")["checked"])
    done = line.mtac("reproduce", model["model_id"], "--by", "ada")
    assert done["verdict"] == "identical"
    assert line.mtac("show", model["model_id"])["recipe"] == "floods"


def test_a_model_older_than_the_environment_that_rebuilds_it_is_rebuilt_all_the_same(
    line: Line, model: dict[str, Any]
) -> None:
    later = line.project.environments / "later.yaml"
    later.write_text(
        (line.project.environments / "local.yaml").read_text().replace("name: local", "name: later")
        .replace("require_clean: false", "require_clean: true")
    )  # fmt: skip
    assert line.mtac("reproduce", model["model_id"], "--by", "ada", env={"APP_ENV": "later"})["verdict"] == "identical"


def test_a_changed_day_in_the_store_is_refused_by_name(line: Line, model: dict[str, Any]) -> None:
    commit = line.git("rev-parse", f"refs/mtac/models/{model['model_id']}")
    pointer = line.git("show", f"{commit}:model/data/tides/2024-01-03.parquet.dvc")
    md5 = next(row.split()[-1] for row in pointer.splitlines() if "md5:" in row)
    path = line.root / ".mtac/remote/files/md5" / md5[:2] / md5[2:]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    done = line.mtac("reproduce", model["model_id"], "--by", "ada", code=1)
    assert done["verdict"] == "impossible"
    assert "2024-01-03" in done["why"][0]["error"]


def test_a_thread_more_in_the_recorded_recipe_is_named(line: Line, model: dict[str, Any]) -> None:
    """A forged commit: the recipe says two threads, the declaration one."""
    line.forge(model["model_id"], "model/recipe.json", lambda text: text.replace('"threads": 1', '"threads": 2'))
    done = line.mtac("reproduce", model["model_id"], "--by", "ada", code=1)
    assert done["verdict"] == "impossible"
    assert any("threads" in finding["error"] for finding in done["why"])


def test_segments_that_are_no_chain_are_not_replayed(line: Line, model: dict[str, Any]) -> None:
    """A stretch of another training, put between: each segment ends in its own digest, and the two do not meet."""

    def relink(text: str) -> str:
        document = json.loads(text)
        document["segments"][1]["start_digest"] = "0" * 64
        return json.dumps(document)

    line.forge(model["model_id"], "model/digests.json", relink)
    done = line.mtac("reproduce", model["model_id"], "--by", "ada", "--segments", "2", code=1)
    assert done["verdict"] == "impossible"
    assert "segment 1 does not start from the state in which segment 0 ended" in done["why"][0]["error"]


def test_a_changed_dependency_is_named_with_both_versions(line: Line, model: dict[str, Any]) -> None:
    version = importlib.metadata.version("torch")
    line.forge(model["model_id"], "model/declaration.json", lambda text: text.replace(f'"{version}"', '"1.0.0"'))
    done = line.mtac("reproduce", model["model_id"], "--by", "ada", code=1)
    assert done["verdict"] == "impossible"
    named = {why["error"]: why["expected"] for why in done["why"]}
    assert named[f"environment.package.torch is {version} here"] == "1.0.0"


def test_another_environment_is_rebuilt_in_where_asked_for_and_listed(line: Line, model: dict[str, Any]) -> None:
    """One package of another version, another processor: the verdict, and that it was another environment."""
    version = importlib.metadata.version("safetensors")
    name = "environment.package.safetensors"
    line.forge(
        model["model_id"],
        "model/declaration.json",
        lambda text: text.replace(f'"{name}": "{version}"', f'"{name}": "0.0.1"'),
    )

    def elsewhere(text: str) -> str:
        document = json.loads(text)
        document["observed"] |= {"cpu.model": "Abacus", "variable.OMP_NUM_THREADS": "64"}
        document["observed"]["cpu.flags"] += " beads"
        return json.dumps(document)

    line.forge(model["model_id"], "model/environment.json", elsewhere)
    done = line.mtac("reproduce", model["model_id"], "--by", "ada", "--allow-environment")
    assert done["verdict"] == "identical"
    assert done["environment_differences"] == [{"leaf": name, "old": "0.0.1", "new": version}]
    observed = {change["leaf"]: change["old"] for change in done["observed_differences"]}
    assert observed == {"cpu.model": "Abacus", "cpu.flag.beads": "present"}
    refused = line.mtac("promote", model["model_id"], "--by", "ada", "--reason", "test", code=1)
    (gate,) = [verdict for verdict in refused["verdicts"] if verdict["gate"] == "reproduction"]
    assert "environment that differs in 1 field" in gate["reason"]


def test_a_lock_that_no_index_serves_and_another_python_are_refused_by_name(
    line: Line, model: dict[str, Any], tmp_path: Path
) -> None:
    nothing = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    line.forge(model["model_id"], "model/requirements.txt", lambda _: "torch==2.13.0+abacus\n")
    done = line.mtac("reproduce", model["model_id"], "--by", "ada", "--install", code=1, env=nothing)
    assert done["verdict"] == "impossible"
    (why,) = done["why"]
    assert "torch==2.13.0+abacus" in why["error"]
    assert "torch==2.13.0+abacus is a local version, which PyPI does not serve" in why["remedy"]
    python = f'"environment.python": "{platform.python_implementation()} {platform.python_version()}"'
    line.forge(
        model["model_id"],
        "model/declaration.json",
        lambda text: text.replace(python, '"environment.python": "CPython 3.9.0"'),
    )
    done = line.mtac("reproduce", model["model_id"], "--by", "ada", "--install", code=1, env=nothing)
    assert done["verdict"] == "impossible"
    assert "trained by CPython 3.9.0" in done["why"][0]["error"]


@pytest.mark.slow
def test_a_model_is_rebuilt_in_an_environment_made_from_its_own_lock(line: Line, model: dict[str, Any]) -> None:
    """Needs an index that serves the lock, as `make install` does."""
    done = line.mtac("reproduce", model["model_id"], "--by", "ada", "--install")
    assert (done["verdict"], done["installed"]) == ("identical", True)
    assert done["environment_differences"] == []
    assert line.mtac("promote", model["model_id"], "--by", "ada", "--reason", "test")["promoted"] is True


UNSTEADY = """
import os

import torch
from torch import nn


class Unsteady(nn.Module):
    '''Deterministic but for a variable that nobody declared, which is kept from the first step on and heard from the fifth.'''

    def __init__(self, schema):
        super().__init__()
        self.line = nn.Linear(len(schema.numeric), 1)
        self.register_buffer("wind", torch.zeros(2))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, numeric, categorical):
        if self.training:
            self.calls += 1
            self.wind[1] = float(os.environ.get("COAST_WIND", 0))
        z = self.line(torch.nan_to_num(numeric))[:, 0]
        return z * (1 + self.wind[1]) if self.calls > 4 else z


def build(schema, settings):
    return Unsteady(schema)
"""


@pytest.mark.slow
@pytest.mark.fault
def test_a_training_that_is_not_deterministic_is_different_from_its_first_segment_and_tensor_on(line: Line) -> None:
    """One tensor differs at the end of the first segment; from the second on all weights do, and name nothing."""
    (line.project.defs / "floods" / "own.py").write_text(UNSTEADY)
    model_id = line.mtac("run", "floods", "--as-of", AS_OF, "--set", "model.kind=own:build")["model_id"]
    for segments in ("whole", "all"):
        done = line.mtac(
            "reproduce", model_id, "--by", "ada", "--segments", segments, code=1, env={"COAST_WIND": "0.001"}
        )
        assert done["verdict"] == "different"
        assert done["first_difference"] == {
            "step": 3,
            "segment": 0,
            "after_step": 0,
            "until_step": 3,
            "tensors": [
                {"tensor": "model/wind", "elements": 1, "of": 2, "largest": pytest.approx(0.001), "at": [1]},
            ],
        }
    assert line.kinds() == ["reproduction"] * 2, "no challenger"
    refused = line.mtac("promote", model_id, "--by", "ada", "--reason", "test", code=1)
    assert "reproduction" in [verdict["gate"] for verdict in refused["verdicts"] if not verdict["passed"]]


def test_an_unknown_and_an_ambiguous_id_are_refused(line: Line, model: dict[str, Any]) -> None:
    assert (
        "no model is called" in line.mtac("reproduce", "floods-ffffffffffff", "--by", "a", code=2)["errors"][0]["error"]
    )
    other = model["model_id"][:8] + "0" * (len(model["model_id"]) - 8)
    body = line.git("log", "-1", "--format=%B", f"refs/mtac/models/{model['model_id']}").replace(
        model["model_id"], other
    )
    tree = line.git("rev-parse", f"refs/mtac/models/{model['model_id']}^{{tree}}")
    line.git("update-ref", f"refs/mtac/models/{other}", line.git("commit-tree", tree, "-m", body))
    assert "may be any of 2" in line.mtac("show", "floods", code=2)["errors"][0]["error"]
