"""The recipe: one YAML file that decides every weight of one model. Its structure, field by field.

Rules that need more than one field are in `checks`; reading, overrides and windows in `load` and `resolved`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, JsonValue, Tag

from mtac_assets.spec.fields import (
    MAX_DAYS,
    MODEL_PATTERN,
    Column,
    Count,
    Days,
    Function,
    Name,
    Owner,
    Seed,
    Spec,
    Version,
    by_switch,
)

BUILT_IN_MODELS = ("tabular_ensemble",)

Metric = Literal["roc_auc", "pr_auc", "log_loss", "brier", "calibration_error"]
Baseline = Literal["base_rate", "logistic_regression", "hist_gradient_boosting"]

HIGHER_IS_BETTER: dict[str, bool] = {
    "roc_auc": True,
    "pr_auc": True,
    "log_loss": False,
    "brier": False,
    "calibration_error": False,
}


class Data(Spec):
    """Which datasets the model learns from."""

    rows: Name = Field(description="The dataset of which each row is one example.")
    lookups: tuple[Name, ...] = Field(default=(), description="Datasets joined to the rows, point-in-time.")


class Window(Spec):
    """Days counted from the as-of date."""

    train_days: Days = Field(
        description="Days before the as-of date that the model may learn from, validation included."
    )
    validate_days: Days = Field(description="The last of the train_days, kept to validate on.")
    test_days: Days = Field(description="Days from the as-of date on, to evaluate on.")
    history_days: int = Field(
        ge=0, le=MAX_DAYS, description="Days before the first training day that features may look back on."
    )


class Split(Spec):
    """How the rows of a recipe without time are parted. A row's part depends on its key and the seed, not on the others."""

    validate_share: float = Field(gt=0, lt=1, description="Share of the rows to validate on.")
    test_share: float = Field(gt=0, lt=1, description="Share of the rows to evaluate on.")
    by: tuple[Column, ...] = Field(
        description="Columns that decide a row's part: rows with equal values stay together. Empty: the whole row decides."
    )
    seed: Seed = Field(description="Another seed parts the rows another way.")


class Features(Spec):
    """What the model sees of a row. The same function computes it for training, evaluation, monitoring and serving."""

    view: Function = Field(description="module:function in the recipe's folder: dataset rows to feature rows.")
    label: Function = Field(description="module:function in the recipe's folder: dataset rows to 0, 1 or unknown.")
    numeric: tuple[Column, ...] = Field(default=(), description="Number columns of the view that the model sees.")
    categorical: tuple[Column, ...] = Field(default=(), description="Category columns of the view that the model sees.")
    slices: tuple[Column, ...] = Field(
        default=(), description="Columns of the view by whose values the evaluation is cut."
    )


class Model(Spec):
    """The network."""

    kind: str = Field(
        pattern=MODEL_PATTERN,
        description=f"Built in ({', '.join(BUILT_IN_MODELS)}), or module:function in the recipe's folder.",
    )
    settings: dict[str, JsonValue] = Field(default_factory=dict, description="What this kind of model takes.")


class LearningRateSchedule(Spec):
    """How the learning rate moves over the steps."""

    kind: Literal["constant", "linear", "cosine", "wsd"] = Field(
        default="constant",
        description="The shape after the warm-up; to zero. `wsd`: stable until the last `decay_share` of the steps.",
    )
    warmup_share: float = Field(
        default=0.0, ge=0, lt=1, description="Share of the steps over which the rate rises from zero."
    )
    decay_share: float | None = Field(
        default=None, gt=0, le=1, description="Share of the steps over which `wsd` falls to zero; null for other kinds."
    )


class Training(Spec):
    """The loop. Everything here moves the weights' bits, hence the fingerprint."""

    seed: Seed = Field(description="Start of every random stream.")
    epochs: Count = Field(description="Passes over the training rows.")
    batch_size: Count = Field(description="Rows a step.")
    micro_batch_size: Count = Field(description="Rows a forward pass; divides batch_size.")
    optimizer: Literal["adamw", "adam", "sgd", "muon"] = Field(
        description="The optimizer. `muon` moves a gpt's hidden matrices, and AdamW the rest."
    )
    learning_rate: float = Field(gt=0, description="Peak learning rate.")
    weight_decay: float = Field(default=0.0, ge=0, description="Weight decay.")
    gradient_clip: float | None = Field(
        default=None, gt=0, description="Largest norm of the gradient; null for no limit."
    )
    schedule: LearningRateSchedule = Field(
        default_factory=LearningRateSchedule, description="How the learning rate moves."
    )
    ema_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Decay of the moving average of the weights that becomes the model; null for none.",
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=0.5, description="Share by which labels are moved towards one half."
    )
    precision: Literal["float32", "bfloat16"] = Field(description="Number format of the forward and backward pass.")
    device: Literal["cpu", "cuda"] = Field(description="Kind of device.")
    compile: bool = Field(
        default=False, description="Compile the network (torch.compile): other kernels, hence other bits."
    )
    threads: Annotated[int, Field(ge=1, le=1024)] = Field(description="Threads within an operation.")
    instruction_set: Literal["avx2", "default", "avx512"] = Field(
        default="avx2",
        description="Newest CPU instructions used; `default` is whatever the machine has, hence not portable.",
    )
    checkpoint_every_steps: Count = Field(description="Steps a segment; the state is kept at the end of each.")


class Bootstrap(Spec):
    """How the intervals of the metrics are drawn."""

    unit: Literal["day", "row"] = Field(default="day", description="What is independent: rows of one day are not.")
    resamples: Annotated[int, Field(ge=100, le=100_000)] = Field(default=1000, description="Resamples.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Coverage of the interval.")
    seed: Seed = Field(default=0, description="Seed of the resampling.")


class Evaluation(Spec):
    """How the model is judged on the test rows."""

    bootstrap: Bootstrap = Field(default_factory=Bootstrap, description="How the intervals are drawn.")
    baselines: tuple[Baseline, ...] = Field(
        default=("base_rate", "logistic_regression", "hist_gradient_boosting"),
        description="Plain models trained on the same rows.",
    )
    min_slice_rows: Count = Field(default=200, description="A slice with fewer rows is marked as small.")


class Threshold(Spec):
    """A bound on a metric of all test rows."""

    metric: Metric = Field(description="The metric.")
    min: float | None = Field(default=None, description="At least; null for no lower bound.")
    max: float | None = Field(default=None, description="At most; null for no upper bound.")


class SliceFloor(Spec):
    """A bound on a metric of each slice of a column that is not small."""

    column: Column = Field(description="One of features.slices.")
    metric: Metric = Field(description="The metric.")
    min: float | None = Field(default=None, description="At least; null for no lower bound.")
    max: float | None = Field(default=None, description="At most; null for no upper bound.")


class BaselineGate(Spec):
    """The model must beat a baseline."""

    name: Baseline = Field(description="One of evaluation.baselines.")
    metric: Metric = Field(description="The metric.")
    min_improvement: float = Field(
        default=0.0, ge=0, description="By at least this much, in the metric's better direction."
    )


class Better(Spec):
    """What it takes to count as better than another model on the same rows."""

    metric: Metric = Field(description="The metric.")
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="Largest chance of promoting a model that is no better."
    )
    min_effect: float = Field(default=0.0, ge=0, description="By at least this much, in the metric's better direction.")
    seed_deviation: float = Field(
        default=0.0,
        ge=0,
        description="Standard deviation of the metric over trainings that differ by their seed alone (`mtac seeds` "
        "measures it): that much of a difference is chance, as the choice of test days is.",
    )


class ChampionGate(Better):
    """The model must beat the champion on the same rows, and not by noise."""


class Gates(Spec):
    """Rules a model must pass before it is promoted. Stamps, leakage and reproduction are always among them."""

    thresholds: tuple[Threshold, ...] = Field(default=(), description="Bounds on metrics of all test rows.")
    slices: tuple[SliceFloor, ...] = Field(default=(), description="Bounds on metrics of each slice.")
    baseline: BaselineGate | None = Field(default=None, description="Comparison with a baseline; null for none.")
    champion: ChampionGate | None = Field(default=None, description="Comparison with the champion; null for none.")


class CronSchedule(Spec):
    """A time of day, week or month."""

    cron: str = Field(description="Five fields: minute, hour, day of month, month, day of week.")
    timezone: str = Field(default="UTC", description="Name of a time zone, such as America/New_York.")


class PerformanceTrigger(Spec):
    """When the champion's log loss on live labels is worse than on its own test rows."""

    window_days: Annotated[int, Field(ge=3, le=366)] = Field(
        default=7, description="Days judged together; windows follow one another and do not overlap."
    )
    min_rows: Count = Field(default=500, description="A window with fewer labelled rows is not judged.")
    alpha: float = Field(
        default=0.01, gt=0, lt=0.5, description="Largest chance that a window counts as worse although it is not."
    )
    min_effect: float = Field(default=0.0, ge=0, description="Worse by no more than this is not worth an alarm.")
    persistence: Annotated[int, Field(ge=1, le=52)] = Field(
        default=2, description="An alarm needs this many worse windows in a row."
    )


class Shadow(Better):
    """A period in which a challenger is scored beside the champion, and judged once at its end, on live labels."""

    days: Annotated[int, Field(ge=5, le=366)] = Field(description="Days with labels that the two are compared on.")
    min_rows: Count = Field(default=500, description="With fewer labelled rows the challenger is refused.")
    metric: Metric = Field(default="log_loss", description="The metric.")


class Rollback(Spec):
    """When a new champion goes back to its predecessor: where it is worse on the same live rows."""

    window_days: Annotated[int, Field(ge=5, le=366)] = Field(
        default=7, description="The two are compared each time that this many more days have labels."
    )
    looks: Annotated[int, Field(ge=1, le=52)] = Field(
        default=4,
        description="Comparisons after a promotion; they share `alpha`. After the last one the champion stands.",
    )
    min_rows: Count = Field(default=500, description="With fewer labelled rows a comparison is not made.")
    metric: Metric = Field(default="log_loss", description="The metric.")
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="Largest chance, over all looks, of taking back one that is no worse."
    )
    min_effect: float = Field(default=0.0, ge=0, description="Worse by no more than this is no reason.")


DRIFT_WINDOWS = 20
"""Windows that the history of a drift reference must hold: with fewer, a rate of false alarms would be a guess."""


class DriftFloor(Spec):
    """How far a column must move to matter, however certain it is that it moved."""

    shift: float = Field(
        default=0.1, ge=0, description="Wasserstein distance of a numeric column, in its standard deviations."
    )
    spread: float = Field(
        default=0.05, ge=0, le=1, description="Change of the mean distance of a value's rank from the middle (0 to 1)."
    )
    share: float = Field(
        default=0.005, ge=0, le=1, description="Change of a share: nulls, tails, categories, new categories."
    )
    correlation: float = Field(default=0.1, ge=0, le=2, description="Change of the rank correlation of two columns.")


class DriftTrigger(Spec):
    """The model's inputs and raw nulls, watched against the days it learned from; its scores, against those and its test days."""

    window_days: Annotated[int, Field(ge=1, le=366)] = Field(default=1, description="Days judged together.")
    false_alarms: float = Field(
        default=0.01, ge=1e-4, le=0.2, description="False alarms a window, over all columns together."
    )
    persistence: Annotated[int, Field(ge=1, le=30)] = Field(
        default=2, description="Windows in a row that must drift for an ALARM; before that, WATCH."
    )
    min_rows: Count = Field(default=50, description="A window with fewer rows is INSUFFICIENT.")
    min_effect: DriftFloor = Field(default_factory=DriftFloor, description="How far a column must move to matter.")
    resamples: Annotated[int, Field(ge=300, le=100_000)] = Field(
        default=2000, description="Windows without drift that the threshold is drawn from."
    )
    seed: Seed = Field(default=0, description="Seed of the resampling.")


class Backoff(Spec):
    """What follows on a failure."""

    attempts: Count = Field(
        default=3, description="Trainings of one fingerprint that may fail; then it must change, or a person asks."
    )
    first_minutes: float = Field(
        default=30.0,
        ge=0,
        le=1440,
        description="Wait after a failure; doubled with each further one in a row, up to twelve hours.",
    )


class Triggers(Spec):
    """What starts a line, and what is watched on live labels."""

    active: bool = Field(
        default=False, description="Switched on when Dagster first loads them; false: a person switches each on there."
    )
    schedule: CronSchedule | None = Field(default=None, description="Start at these times; null for never.")
    performance: PerformanceTrigger | None = Field(
        default=None, description="Start when the champion does worse on live labels; null for never."
    )
    shadow: Shadow | None = Field(
        default=None, description="Judge a challenger on live labels before it is promoted; null: by the gates alone."
    )
    rollback: Rollback | None = Field(
        default=None, description="Take back a champion that does worse than its predecessor; null for never."
    )
    drift: DriftTrigger | None = Field(
        default=None, description="Start a challenger when the inputs drift; null for never."
    )
    upstream: Annotated[
        Annotated[bool, Tag("<switch>")] | Annotated[tuple[Name, ...], Tag("<list>")], Discriminator(by_switch)
    ] = Field(
        default=False, description="Start on new or corrected data: true for all of the recipe's datasets, or a list."
    )
    cooldown_hours: float = Field(
        default=12.0,
        ge=0,
        le=8760,
        description="Least time between two trainings that triggers start. A schedule keeps its own times.",
    )
    daily_budget: Count = Field(default=4, description="Trainings a day (UTC) that triggers may start, all together.")
    backoff: Backoff = Field(default_factory=Backoff, description="What follows on a failure.")


class Recipe(Spec):
    """One model, in full."""

    schema_version: Version = Field(description="Version of this language.")
    name: Name = Field(description="The recipe's name, and its folder's.")
    description: str = Field(default="", description="What the model answers, in a sentence.")
    owner: Owner | None = Field(default=None, description="team:NAME or an e-mail address.")
    size: Name = Field(
        default="standard",
        description="Class of the resources its training asks for, as the environment's `sizes` say; changes no bit.",
    )
    data: Data = Field(description="Which datasets the model learns from.")
    window: Window | None = Field(
        default=None, description="Days to train, validate and test on; null for a recipe without time."
    )
    split: Split | None = Field(default=None, description="How rows are parted; only in a recipe without time.")
    features: Features = Field(description="What the model sees of a row.")
    model: Model = Field(description="The network.")
    training: Training = Field(description="The loop.")
    evaluation: Evaluation = Field(default_factory=Evaluation, description="How the model is judged.")
    gates: Gates = Field(default_factory=Gates, description="Rules a model must pass before it is promoted.")
    triggers: Triggers = Field(default_factory=Triggers, description="What starts a line.")
