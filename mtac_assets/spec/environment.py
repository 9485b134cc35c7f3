"""The environment: paths, engines, launcher, limits, approvals. Never anything that changes a weight."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from mtac_assets.spec.fields import Count, Day, Name, Spec, Version

Port = Annotated[int, Field(ge=1, le=65535)]


class DataStore(Spec):
    """Where versioned data is kept."""

    remote: str | None = Field(
        default=None, description="DVC remote, any URL that DVC knows; null: a folder in the state."
    )


class Mlflow(Spec):
    """Where trainings are recorded."""

    tracking_uri: str | None = Field(default=None, description="MLflow server; null: SQLite and folders in the state.")


class Dagster(Spec):
    """How Dagster runs steps."""

    executor: Literal["in_process", "multiprocess"] = Field(default="in_process", description="Executor of the jobs.")


class Ports(Spec):
    """Ports on loopback."""

    webserver: Port = Field(default=3000, description="Dagster's web server.")
    mlflow: Port = Field(default=5000, description="MLflow.")


class Launcher(Spec):
    """Where training runs."""

    kind: Literal["process", "torchrun", "ray"] = Field(
        default="process",
        description="`process`: processes on this machine; `torchrun`; `ray`: a Ray cluster (needs the extra `ray`).",
    )
    workers: Count = Field(default=1, description="Workers, a power of two; their number changes no bit.")


class Limits(Spec):
    """What keeps one run from harming the others."""

    run_seconds: Count = Field(description="A run that takes longer is ended.")
    worker_seconds: Count = Field(
        default=600, description="A worker that does not answer the others for so long ends the training."
    )
    preemption_seconds: Count | None = Field(
        default=None, description="Notice before a machine is taken away; null where none is."
    )
    concurrent_trainings: Count = Field(default=1, description="Trainings at a time.")


class Accounting(Spec):
    """What time and money are estimated from: before a training, and of what was used after it."""

    utilisation: float = Field(
        default=0.4, gt=0, le=1, description="Share of a device's peak speed that a training is expected to reach."
    )
    price_per_cpu_hour: float | None = Field(
        default=None, ge=0, description="Price of one core for an hour, in any currency; null: no cost is told."
    )
    price_per_gpu_hour: float | None = Field(
        default=None, ge=0, description="Price of one GPU for an hour, with its machine; null: no cost is told."
    )
    price_per_gb_month: float | None = Field(
        default=None, ge=0, description="Price of 1,000,000,000 bytes kept for a month; null: no cost is told."
    )


class Retention(Spec):
    """How long what runs leave behind is kept. Models, their data and the ledger stay whatever this says."""

    finished_days: Count | None = Field(
        default=None,
        description="Runs that succeeded, with events, logs and folders, go after so many days; null: never.",
    )
    failed_days: Count | None = Field(
        default=None, description="Runs that failed or were cancelled go after so many days; null: never."
    )


class ReproductionRule(Spec):
    """What a reproduction must be like to count for promotion."""

    segments: Annotated[
        Annotated[Literal["all"], Tag("<word>")] | Annotated[int, Field(ge=1), Tag("<number>")],
        Discriminator(lambda value: "<word>" if isinstance(value, str) else "<number>"),
    ] = Field(default="all", description="Segments to replay: `all`, or how many at random.")
    environment: Literal["match", "any"] = Field(
        default="match",
        description="`match`: the reproducing environment equals the model's; `any`: a difference is recorded.",
    )


class Promotion(Spec):
    """What a promotion needs beyond the recipe's gates."""

    branches: tuple[str, ...] = Field(min_length=1, description="Branches (patterns with *) a model may come from.")
    require_clean: bool = Field(description="Refuse models of a working tree with uncommitted changes.")
    require_approval: bool = Field(description="Wait for a named person.")
    approvers: tuple[str, ...] = Field(default=(), description="Who may approve; empty: any named person.")
    approvals_end: dict[str, Day] = Field(
        default_factory=dict[str, Day],
        description="The last day (UTC) on which an approver may approve; not named: for ever.",
    )
    reproduction: ReproductionRule = Field(
        default_factory=ReproductionRule, description="What a reproduction must be like."
    )
    moved_alias: Literal["restore", "freeze"] = Field(
        default="restore",
        description="What happens when an alias was moved by hand: put it back, or stop promotions until a person did.",
    )


Webhook = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+[^\s]*$")]


class Environment(Spec):
    """One environment, in full. `APP_ENV` selects it."""

    schema_version: Version = Field(description="Version of this language.")
    name: Name = Field(description="The environment's name, and its file's.")
    state: str = Field(min_length=1, description="Folder of all state: relative to the project folder, or absolute.")
    data: DataStore = Field(default_factory=DataStore, description="Where versioned data is kept.")
    mlflow: Mlflow = Field(default_factory=Mlflow, description="Where trainings are recorded.")
    dagster: Dagster = Field(default_factory=Dagster, description="How Dagster runs steps.")
    ports: Ports = Field(default_factory=Ports, description="Ports on loopback.")
    launcher: Launcher = Field(default_factory=Launcher, description="Where training runs.")
    limits: Limits = Field(description="What keeps one run from harming the others.")
    accounting: Accounting = Field(default_factory=Accounting, description="What time and money are estimated from.")
    retention: Retention = Field(default_factory=Retention, description="How long what runs leave behind is kept.")
    promotion: Promotion = Field(description="What a promotion needs beyond the recipe's gates.")
    webhooks: tuple[Webhook, ...] = Field(
        default=(), description="Addresses that every alarm is posted to as JSON; their failures never stop a line."
    )
