"""The dataset: versioned input data cut into partitions, with a contract. Its structure, field by field."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal

from pydantic import Discriminator, Field, JsonValue, Tag

from mtac_assets.spec.fields import (
    Column,
    Count,
    Day,
    Function,
    Name,
    Owner,
    Share,
    Spec,
    Variable,
    Version,
    by_kind,
    by_shape,
)


class PackageSource(Spec):
    """A file inside an installed distribution."""

    kind: Literal["package"] = Field(description="A file inside an installed distribution.")
    distribution: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the distribution.")
    path: str = Field(description="Path of the file inside the distribution.")
    format: Literal["csv", "parquet"] = Field(description="How the file is written.")


class FilesSource(Spec):
    """A folder of files, one a day, on any file system that fsspec knows."""

    kind: Literal["files"] = Field(description="A folder of files.")
    url: str = Field(
        min_length=1, description="The folder: relative to the project, or a URL such as s3://bucket/path."
    )
    pattern: str = Field(
        min_length=1,
        description="File name in the folder, with {date} (YYYY-MM-DD) or, for another form, {date:%Y%m%d}.",
    )
    format: Literal["csv", "parquet"] = Field(description="How the files are written.")


class SqlSource(Spec):
    """A query, through SQLAlchemy."""

    kind: Literal["sql"] = Field(description="A query.")
    url_env: Variable = Field(description="Name of the environment variable that holds the database's URL.")
    query: str = Field(
        min_length=1, description="The query; with daily partitions bounded by :start and :end (excluded)."
    )


class DocumentsSource(Spec):
    """Texts that a function in the dataset's folder reads or makes."""

    kind: Literal["documents"] = Field(description="Texts that a function reads or makes.")
    function: Function = Field(
        description="module:function in the dataset's folder: called with the settings, yields (document, text) pairs."
    )
    settings: dict[str, JsonValue] = Field(default_factory=dict, description="Keyword arguments of the function.")
    max_bytes: Annotated[int, Field(ge=1, le=64 * 2**20)] = Field(
        default=4 * 2**20, description="A text of more bytes (UTF-8) is set aside."
    )


Source = Annotated[
    Annotated[PackageSource, Tag("<package>")]
    | Annotated[FilesSource, Tag("<files>")]
    | Annotated[SqlSource, Tag("<sql>")]
    | Annotated[DocumentsSource, Tag("<documents>")],
    Discriminator(by_kind),
]


class DateColumns(Spec):
    """A date in three columns."""

    year: Column = Field(description="Column of the year.")
    month: Column = Field(description="Column of the month, from 1.")
    day: Column = Field(description="Column of the day, from 1.")


class DailyPartitions(Spec):
    """One partition a day."""

    kind: Literal["daily"] = Field(description="One partition a day.")
    date: Annotated[
        Annotated[Column, Tag("<scalar>")] | Annotated[DateColumns, Tag("<map>")],
        Discriminator(by_shape),
    ] = Field(description="What tells a row's day: one date column, or three columns.")
    start: Day = Field(description="First day.")
    end: Day | None = Field(default=None, description="Last day; null while data keeps arriving.")


class NoPartitions(Spec):
    """One partition with the key `all`."""

    kind: Literal["none"] = Field(description="One partition with the key `all`.")


Partitions = Annotated[
    Annotated[DailyPartitions, Tag("<daily>")] | Annotated[NoPartitions, Tag("<none>")],
    Discriminator(by_kind),
]


class RowCount(Spec):
    """Bounds on the rows of one partition."""

    min: Annotated[int, Field(ge=1)] = Field(description="At least; zero rows is a failure.")
    max: Annotated[int, Field(ge=1)] = Field(description="At most.")


with warnings.catch_warnings():
    # pydantic still has a deprecated BaseModel.schema(); the language's word for a contract's schema is `schema`.
    warnings.filterwarnings("ignore", message='Field name "schema"', category=UserWarning)

    class Contract(Spec):
        """What a partition must be like; one that is not never reaches training."""

        schema: Function = Field(  # pyright: ignore[reportIncompatibleMethodOverride]
            description="module:function in the dataset's folder: returns the pandera schema of the rows."
        )
        max_quarantined: Share = Field(description="Share of failing rows that are set aside; above it, none is taken.")
        rows: RowCount = Field(description="Bounds on the rows of one partition.")
        null_rates: dict[Column, Share] = Field(
            default_factory=dict, description="Largest share of nulls a column; columns not named may hold none."
        )


class Arrival(Spec):
    """Files are brought in as they land. Says nothing about what a partition holds, so it is in no digest."""

    active: bool = Field(
        default=False, description="Switched on when Dagster first loads it; false: a person switches it on there."
    )
    every_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=3, description="How often to look; Dagster looks every five seconds at most."
    )
    settle_seconds: float = Field(
        default=2.0, ge=0, le=86_400, description="A file is whole when it did not change for so long."
    )
    attempts: Count = Field(
        default=3, description="How often to try one state of a file that is refused; then it must change."
    )
    backoff_minutes: float = Field(
        default=5.0, ge=0, le=1440, description="Wait before the second attempt; doubled before each further one."
    )


class Dataset(Spec):
    """One dataset, in full."""

    schema_version: Version = Field(description="Version of this language.")
    name: Name = Field(description="The dataset's name, and its folder's.")
    description: str = Field(default="", description="What a row is, in a sentence.")
    owner: Owner | None = Field(default=None, description="team:NAME or an e-mail address.")
    source: Source = Field(description="Where the data comes from.")
    partitions: Partitions = Field(description="How the data is cut.")
    key: tuple[Column, ...] = Field(
        min_length=1, description="Columns that together name a row; no two rows share them."
    )
    event_time: Column | None = Field(
        default=None,
        description="Column of the moment at which a row's question is asked, in UTC. Needed with daily partitions.",
    )
    outcome_columns: tuple[Column, ...] = Field(default=(), description="Columns known only after that moment.")
    contract: Contract = Field(description="What a partition must be like.")
    arrival: Arrival | None = Field(
        default=None, description="Bring files in as they land in the source's folder; null for never."
    )
