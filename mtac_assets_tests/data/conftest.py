"""A team's own project with one dataset of daily files, in a temporary folder; and the shipped datasets with their own state."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from mtac_assets.spec.load import load_dataset
from mtac_assets.spec.project import Project, find_project

PROJECT = """
[tool.dg.project]
root_module = "shop"
"""
ENVIRONMENT = """
schema_version: 1
name: local
state: .mtac
limits: {run_seconds: 60}
promotion: {branches: ["*"], require_clean: false, require_approval: false}
"""
DATASET = """
schema_version: 1
name: orders
source: {source}
partitions: {partitions}
key: [at, shop]
event_time: at
outcome_columns: [returned]
contract:
  schema: contract:schema
  max_quarantined: 0.1
  rows: {{min: 5, max: 100}}
  null_rates: {{returned: 0.5}}
"""
CONTRACT = """
import pandera.pandas as pa

schema = pa.DataFrameSchema(
    {
        "day": pa.Column("str"),
        "at": pa.Column("datetime64[us, UTC]"),
        "shop": pa.Column("category", pa.Check.isin(["north", "south"])),
        "price": pa.Column("float64", pa.Check.in_range(0, 100)),
        "items": pa.Column("int16", [pa.Check.ge(1), pa.Check(lambda n: n < 50, name="few", error="fewer than 50")]),
        "returned": pa.Column("Int16", pa.Check.isin([0, 1]), nullable=True),
    },
    strict=True,
)
"""
CSV_SOURCE = '{kind: files, url: in, pattern: "orders-{date}.csv", format: csv}'
PARQUET_SOURCE = '{kind: files, url: in, pattern: "orders-{date:%Y%m%d}.parquet", format: parquet}'
DAILY = "{kind: daily, date: day, start: 2024-01-01, end: 2024-12-31}"
TYPES = pa.schema(
    {
        "day": pa.string(),
        "at": pa.timestamp("us", tz="UTC"),
        "shop": pa.string(),
        "price": pa.float64(),
        "items": pa.int64(),
        "returned": pa.int64(),
    }
)


def days(count: int, first: str = "2024-01-01") -> list[str]:
    return [(date.fromisoformat(first) + timedelta(days=i)).isoformat() for i in range(count)]


def orders(day: str, rows: int = 20, **columns: Sequence[object]) -> pa.Table:
    """A good day of orders, with `columns` put in the place of its own."""
    start = int((date.fromisoformat(day) - date(1970, 1, 1)).days) * 86_400_000_000
    table = {
        "day": [day] * rows,
        "at": [start + i * 1_000_000 for i in range(rows)],
        "shop": ["north", "south"] * (rows // 2) + ["north"] * (rows % 2),
        "price": [1.5 + i for i in range(rows)],
        "items": [1 + i % 7 for i in range(rows)],
        "returned": [None if i % 5 == 0 else i % 2 for i in range(rows)],
    } | columns
    return pa.table({name: pa.array(values, TYPES.field(name).type) for name, values in table.items()})


@dataclass(frozen=True)
class Shop:
    """The project, and how to deliver files to it."""

    project: Project
    days = staticmethod(days)
    orders = staticmethod(orders)

    @property
    def inbox(self) -> Path:
        return self.project.root / "in"

    @property
    def data(self) -> Path:
        return self.project.state.data

    @property
    def folder(self) -> Path:
        return self.project.defs / "orders"

    def csv(self, day: str, table: pa.Table | None = None) -> Path:
        path = self.inbox / f"orders-{day}.csv"
        path.parent.mkdir(exist_ok=True)
        pacsv.write_csv(orders(day) if table is None else table, path, pacsv.WriteOptions(quoting_style="needed"))
        return path

    def parquet(self, day: str, table: pa.Table | None = None) -> Path:
        path = self.inbox / f"orders-{day.replace('-', '')}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(orders(day) if table is None else table, path)
        return path

    def rewrite(self, *, source: str = CSV_SOURCE, partitions: str = DAILY, contract: str = CONTRACT) -> None:
        (self.folder / "dataset.yaml").write_text(DATASET.format(source=source, partitions=partitions))
        (self.folder / "contract.py").write_text(contract)

    def dataset(self):
        return load_dataset(self.project, "orders")


@pytest.fixture
def make_shop(tmp_path: Path) -> Callable[..., Shop]:
    """Make the project: CSV files by default."""

    def make(root: Path | None = None, **dataset: str) -> Shop:
        root = root or tmp_path / "project"
        package = root / "shop"
        for folder in (package / "environments", package / "defs" / "orders", root / "in"):
            folder.mkdir(parents=True)
        (root / "pyproject.toml").write_text(textwrap.dedent(PROJECT))
        (package / "environments" / "local.yaml").write_text(ENVIRONMENT)
        shop = Shop(find_project(root, "local"))
        shop.rewrite(**dataset)
        return shop

    return make


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    return make_shop()


@pytest.fixture
def parquet_shop(make_shop: Callable[..., Shop]) -> Shop:
    return make_shop(source=PARQUET_SOURCE)


@pytest.fixture(scope="session")
def flights_project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """This repository's own project, with its state in a temporary folder."""
    project = find_project(root, "local")
    state = tmp_path_factory.mktemp("flights") / "state"
    return replace(project, environment=project.environment.model_copy(update={"state": str(state)}))
