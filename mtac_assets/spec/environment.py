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
    deliver: bool = Field(
        default=True,
        description="Bring recordings and decisions to MLflow; false: recordings wait in the outbox until it is true, and aliases stay as they are.",
    )


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
    sharded: bool = Field(
        default=False,
        description="No worker holds all weights, for networks that do not fit one device; changes no bit.",
    )
    gpu: str | None = Field(
        default=None,
        description="The GPU that trains recipes of `device: cuda`, as the preflight knows it: h200, h100, a100, ...",
    )


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


class Signing(Spec):
    """Signatures of decisions and of models, by Git with SSH keys."""

    required: bool = Field(
        default=False, description="Refuse unsigned entries of the ledger, and models whose commit is unsigned."
    )
    allowed_signers: str | None = Field(
        default=None,
        description="List of keys as ssh-keygen(1) reads it (`NAME KEY` a line): relative to the project folder, or absolute.",
    )
    from_entry: Count = Field(
        default=1, description="First entry of the ledger that must be signed: those before it were made without."
    )


class Promotion(Spec):
    """What a promotion needs beyond the recipe's gates."""

    branches: tuple[str, ...] = Field(min_length=1, description="Branches (patterns with *) a model may come from.")
    require_clean: bool = Field(
        description="Refuse models of a working tree with uncommitted changes; false in `local` alone."
    )
    require_approval: bool = Field(description="Wait for a named person.")
    approvers: tuple[str, ...] = Field(default=(), description="Who may approve; empty: any named person.")
    approvals_end: dict[str, Day] = Field(
        default_factory=dict[str, Day],
        description="The last day (UTC) on which an approver may approve; not named: for ever.",
    )
    reproduction: ReproductionRule = Field(
        default_factory=ReproductionRule, description="What a reproduction must be like."
    )
    signing: Signing = Field(default_factory=Signing, description="Signatures of decisions and of models.")
    moved_alias: Literal["restore", "freeze"] = Field(
        default="restore",
        description="What happens when an alias was moved by hand: put it back, or stop promotions until a person did.",
    )


Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", max_length=253)]
AbsolutePath = Annotated[str, Field(pattern=r"^/\S*$")]
DatabaseName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]


class Address(Spec):
    """Where one service is found by the others."""

    host: Host = Field(description="Name or address in the deployment's own network.")
    port: Port = Field(description="The port it listens on.")


class Postgres(Spec):
    """The databases. The password is never here: it is read from its file at every new connection."""

    host: Host = Field(description="PostgreSQL's host.")
    port: Port = Field(default=5432, description="Its port.")
    user: DatabaseName = Field(description="Role that owns both databases.")
    password_file: AbsolutePath = Field(description="File that holds the role's password and nothing else.")
    dagster_database: DatabaseName = Field(default="dagster", description="Database of Dagster.")
    mlflow_database: DatabaseName = Field(default="mlflow", description="Database of MLflow.")


class Addresses(Spec):
    """Where the services find one another; only the proxy is reached from outside."""

    code: Address = Field(description="Code server: loads the definitions.")
    webserver: Address = Field(description="Dagster's pages.")
    viewer: Address = Field(description="The same, read-only, below /view.")
    mlflow: Address = Field(description="MLflow, pages below /mlflow.")


class Server(Spec):
    """A deployment whose services run apart (`mtac service NAME`): on one machine or on several."""

    page: Annotated[str, Field(pattern=r"^https://[^\s/?#@]+$")] = Field(
        description="Where people come in: https, the proxy's name as browsers know it, no path."
    )
    postgres: Postgres = Field(description="Databases of Dagster and MLflow.")
    repository: AbsolutePath = Field(description="Bare Git repository that the deployment owns: code, models, ledger.")
    artifacts: str = Field(min_length=1, description="Files of MLflow: an absolute folder, or a URL that fsspec knows.")
    listen: Host = Field(default="0.0.0.0", description="Interface that the services listen on.")
    addresses: Addresses = Field(description="Where the services find one another.")


Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti)?$")]


class Size(Spec):
    """What a training of one class asks of Kubernetes. It is given what it asks for, and no more memory."""

    cpu: Quantity = Field(description="Processors, such as `2` or `500m`.")
    memory: Quantity = Field(description="Memory, such as `8Gi`.")
    gpus: Annotated[int, Field(ge=0)] = Field(default=0, description="Graphics processors.")
    gpu_resource: str = Field(default="nvidia.com/gpu", description="What the cluster calls them.")
    spot: bool = Field(
        default=False,
        description="May be moved off its machine, or lose it; another run goes on from the checkpoint.",
    )
    node_labels: dict[str, str] = Field(default_factory=dict, description="Labels of the machines it may run on.")
    tolerations: tuple[str, ...] = Field(
        default=(),
        description="Keys of taints that it tolerates; with `spot` also those that clouds put on their spot machines.",
    )
    deadline_seconds: Count | None = Field(
        default=None,
        description="A pod that takes longer is ended by the cluster; null: limits.run_seconds and a quarter of an hour.",
    )


WebhookUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+[^\s]*$")]


class WebhookFile(Spec):
    """An address that is a secret, such as one with a token in it."""

    url_file: AbsolutePath = Field(description="File that holds the address and nothing else; read at every alarm.")


Webhook = Annotated[
    Annotated[WebhookUrl, Tag("<address>")] | Annotated[WebhookFile, Tag("<file>")],
    Discriminator(lambda value: "<address>" if isinstance(value, str) else "<file>"),
]


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
    sizes: dict[Name, Size] = Field(
        default_factory=dict, description="Resources by a recipe's `size`, on Kubernetes; empty: the launcher's own."
    )
    accounting: Accounting = Field(default_factory=Accounting, description="What time and money are estimated from.")
    retention: Retention = Field(default_factory=Retention, description="How long what runs leave behind is kept.")
    promotion: Promotion = Field(description="What a promotion needs beyond the recipe's gates.")
    server: Server | None = Field(
        default=None,
        description="Services that run apart, on PostgreSQL; null: all on this machine (`mtac up`), embedded.",
    )
    webhooks: tuple[Webhook, ...] = Field(
        default=(),
        description="Addresses, or files that hold one, that every alarm is posted to as JSON; their failures never stop a line.",
    )
