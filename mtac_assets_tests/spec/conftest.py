"""A small project of a team's own, as files: one windowed recipe on two daily datasets."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from mtac_assets.spec.project import Project, find_project

FILES = {
    "pyproject.toml": """
        [tool.dg.project]
        root_module = "team"
        """,
    "team/environments/local.yaml": """
        schema_version: 1
        name: local
        state: .mtac
        limits: {run_seconds: 60}
        promotion: {branches: ["*"], require_clean: false, require_approval: false}
        """,
    "team/defs/visits/dataset.yaml": """
        schema_version: 1
        name: visits
        source: {kind: files, url: data/visits, pattern: "visits-{date}.csv", format: csv}
        partitions: {kind: daily, date: day, start: 2024-01-01, end: 2024-03-31}
        key: [visit]
        event_time: at
        contract: {schema: contract:schema, max_quarantined: 0.1, rows: {min: 1, max: 100}}
        """,
    "team/defs/visits/contract.py": "def schema(): ...\n",
    "team/defs/rain/dataset.yaml": """
        schema_version: 1
        name: rain
        source: {kind: sql, url_env: RAIN_URL, query: "select * from rain where at >= :start and at < :end"}
        partitions: {kind: daily, date: {year: y, month: m, day: d}, start: 2024-01-05}
        key: [at]
        event_time: at
        contract: {schema: contract:schema, max_quarantined: 0, rows: {min: 1, max: 24}, null_rates: {mm: 0.5}}
        """,
    "team/defs/rain/contract.py": "schema = object\n",
    "team/defs/returns/recipe.yaml": """
        schema_version: 1
        name: returns
        description: Will the visitor come back?
        owner: team:shop
        data:
          rows: visits
          lookups: [rain]
        window: {train_days: 10, validate_days: 2, test_days: 3, history_days: 5}
        features:
          view: features:view
          label: features:label
          numeric: [pages]
          categorical: [country]
          slices: [country]
        model:
          kind: tabular_ensemble
          settings: {width: 8, blocks: [1, 2], name: small, dropout: 0.1, bias: true, extra: null}
        training:
          seed: 1
          epochs: 1
          batch_size: 64
          micro_batch_size: 32
          optimizer: adamw
          learning_rate: 1e-3
          precision: float32
          device: cpu
          threads: 1
          checkpoint_every_steps: 10
        gates:
          thresholds:
            - {metric: roc_auc, min: 0.6}
            - {metric: log_loss, max: 0.7}
          slices:
            - {column: country, metric: roc_auc, min: 0.5}
          baseline: {name: base_rate, metric: log_loss}
          champion: {metric: log_loss}
        triggers:
          schedule: {cron: "0 3 * * mon-fri", timezone: Europe/Berlin}
        """,
    "team/defs/returns/features.py": "def view(rows): ...\n\n\ndef label(rows): ...\n",
}

RECIPE = "team/defs/returns/recipe.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content).lstrip())
    return find_project(tmp_path)


@pytest.fixture
def edit(project: Project) -> Callable[..., int]:
    """Replace text in a file of the project, once; returns the line on which it stands."""

    def replace(old: str, new: str, name: str = RECIPE) -> int:
        path = project.root / name
        content = path.read_text()
        assert content.count(old) == 1, f"{old!r} stands {content.count(old)} times in {name}"
        path.write_text(content.replace(old, new))
        return content[: content.index(old)].count("\n") + 1

    return replace
