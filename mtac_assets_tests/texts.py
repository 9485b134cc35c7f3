"""A small project of a team's own with texts: three datasets made by functions, one recipe of a language model."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests.tides import DEFINITIONS, ENVIRONMENT, PYPROJECT

DATASET = """
schema_version: 1
name: {name}
source: {{kind: documents, function: source:documents, max_bytes: 20000}}
partitions: {{kind: none}}
key: [document]
contract:
  schema: contract:schema
  max_quarantined: 0.2
  rows: {{min: 1, max: 100000}}
"""

CONTRACT = """
import pandera.pandas as pa

schema = pa.DataFrameSchema(
    {
        "document": pa.Column("str"),
        "text": pa.Column("str", pa.Check.str_length(min_value=1)),
        "bytes": pa.Column("int64", pa.Check.ge(1)),
    },
    strict=True,
)
"""

SOURCE = {
    "prose": """
import random
WORDS = "the harbour of a small town and its tide that rises by the wall to a line in the stone".split()

def documents():
    for n in range(160):
        draw = random.Random(n)
        yield f"prose-{n:03d}", " ".join(draw.choice(WORDS) + str(draw.randrange(40)) for _ in range(60 + n % 90)) + "\\n"
""",
    "code": """
import random

def documents():
    for n in range(120):
        draw = random.Random(1000 + n)
        lines = [f"def f{draw.randrange(99)}(a, b={draw.randrange(9)}):\\n    return a * {draw.randrange(999)} + b\\n" for _ in range(8)]
        yield f"code-{n:03d}", "".join(lines)
    yield "code-copy", "".join(lines)
    yield "code-copy-2", "".join(lines) + "# one more\\n"
    yield "short", "x\\n"
""",
    "sums": """
def documents():
    for n in range(80):
        yield f"sums-{n:03d}", "".join(f"{n} + {m * 7 + n} = {n * 2 + m * 7}\\n" for m in range(25))
""",
}

RECIPE = """
schema_version: 1
name: small_lm
mix:
  tokens: 8000
  sequence_length: 16
  sources:
    prose: {dataset: prose, kind: real, ratio: 1/2, max_epochs: 2}
    code:
      dataset: code
      kind: real
      ratio: 3/8
      max_epochs: 2
      filters:
        - {score: length, op: ">=", threshold: 20}
        - {score: near_duplicates, op: "<=", threshold: 0}
    sums: {dataset: sums, kind: synthetic, ratio: 1/8}
  stages:
    - {from_step: 40, ratios: {prose: 1/4, code: 1/2, sums: 1/4}}
tokenizer: {kind: byte_bpe, vocabulary_size: 400, trained_on: [prose, code]}
split: {validate_share: 0.1, test_share: 0.1, seed: 3}
model: {kind: gpt, settings: {layers: 1, width: 16, heads: 1}}
training:
  seed: 7
  batch_size: 8
  micro_batch_size: 4
  optimizer: adamw
  learning_rate: 1e-3
  precision: float32
  device: cpu
  threads: 1
  checkpoint_every_steps: 20
"""


def make_texts(root: Path, recipe: str = RECIPE, **sources: str) -> Project:
    """A project at `root` (a Git repository) with the datasets prose, code and sums; `sources` replace their source.py."""
    package = f"texts_{secrets.token_hex(4)}"
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(PYPROJECT.format(package=package))
    folder = root / package
    files = {
        "__init__.py": "",
        "defs/__init__.py": "",
        "definitions.py": DEFINITIONS,
        "environments/local.yaml": ENVIRONMENT,
        "defs/small_lm/recipe.yaml": recipe,
        "defs/small_lm/defs.yaml": "type: mtac_assets.orchestration.TrainingRecipe\n",
    }
    for name, source in (SOURCE | sources).items():
        files[f"defs/{name}/dataset.yaml"] = DATASET.format(name=name)
        files[f"defs/{name}/contract.py"] = CONTRACT
        files[f"defs/{name}/source.py"] = source
        files[f"defs/{name}/defs.yaml"] = "type: mtac_assets.orchestration.VersionedDataset\n"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (root / ".gitignore").write_text(".mtac/\n__pycache__/\n")
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "begin"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return find_project(root)


def ingest_texts(project: Project) -> None:
    """Every dataset of the project, whole."""
    from mtac_assets.data.ingest import ingest

    for name in project.datasets():
        found = ingest(project, name, ["all"])
        assert not found.failed, found.findings


def train_texts(project: Project, *overrides: str) -> str:
    """A model of `small_lm` trained and recorded, without a report; its ID."""
    from mtac_assets.provenance.identity import declare
    from mtac_assets.provenance.record import record_model
    from mtac_assets.spec.load import load_recipe
    from mtac_assets.training.launch import train

    resolved = load_recipe(project, "small_lm", overrides)
    model_id = declare(project, resolved).model_id("small_lm")
    train(project, resolved, project.state.models / model_id, "run")
    record_model(project, resolved, project.state.models / model_id, None)
    return model_id
