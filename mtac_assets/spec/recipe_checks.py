"""Rules between fields of a recipe."""

from __future__ import annotations

from collections.abc import Iterator

from mtac_assets.spec.checks import Check, Problem, repeated, rule, unknown
from mtac_assets.spec.cron import cron_problems
from mtac_assets.spec.recipe import (
    BUILT_IN_MODELS,
    DRIFT_WINDOWS,
    Data,
    Evaluation,
    Features,
    Gates,
    Model,
    Split,
    Training,
    Triggers,
    Window,
)
from mtac_assets.spec.spelling import closest

SHARED: list[Check] = []
"""Rules of both shapes of a recipe, those of rows and those of texts."""
CHECKS: list[Check] = []
"""Rules of a recipe of rows, the shared ones included (see the end of this file)."""

MIN_REFERENCE_DAYS = 3  # below this the error of a mean over days cannot be known (evaluation.bootstrap.MIN_DAYS)


@rule(CHECKS, "data")
def _lookups(data: Data) -> Iterator[Problem]:
    yield from repeated(("data", "lookups"), data.lookups)
    if data.rows in data.lookups:
        path = ("data", "lookups", data.lookups.index(data.rows))
        error = f"`{data.rows}` is looked up in itself"
        yield Problem(path, error, "lookups other than data.rows", "remove it; features look back on the rows anyway")


@rule(CHECKS, "window")
def _validation_fits(window: Window | None) -> Iterator[Problem]:
    if window and window.validate_days >= window.train_days:
        error = f"validate_days {window.validate_days} leaves nothing of train_days {window.train_days} to learn from"
        expected = f"at most {window.train_days - 1}" if window.train_days > 1 else "train_days of 2 or more"
        yield Problem(("window", "validate_days"), error, expected, "lower validate_days or raise train_days")


@rule(CHECKS, "window", "split")
def _window_or_split(window: Window | None, split: Split | None) -> Iterator[Problem]:
    if window and split:
        error = "`split` parts rows without time, but the recipe has a `window`"
        yield Problem(("split",), error, "either `window` or `split`", "remove one of them")
    if not window and not split:
        error = "neither `window` nor `split`: nothing says which rows to train, validate and test on"
        yield Problem((), error, "either `window` or `split`", "add `window:` (data with days) or `split:` (without)")


@rule(CHECKS, "split")
def _split_leaves_rows(split: Split | None) -> Iterator[Problem]:
    if split is None:
        return
    yield from repeated(("split", "by"), split.by)
    if split.validate_share + split.test_share >= 1:
        error = (
            f"validate_share {split.validate_share:g} and test_share {split.test_share:g} leave nothing to learn from"
        )
        yield Problem(("split", "test_share"), error, "shares that add up to less than 1", "lower one of them")


@rule(CHECKS, "features")
def _feature_columns(features: Features) -> Iterator[Problem]:
    for field in ("numeric", "categorical", "slices"):
        yield from repeated(("features", field), getattr(features, field))
    for position, name in enumerate(features.categorical):
        if name in features.numeric:
            error = f"`{name}` is both numeric and categorical"
            yield Problem(("features", "categorical", position), error, "one of the two", "remove it from one list")
    if not features.numeric and not features.categorical:
        error = "the model sees no column"
        yield Problem(("features",), error, "at least one of numeric, categorical", "name a column of the view")


@rule(CHECKS, "model")
def _model_known(model: Model) -> Iterator[Problem]:
    """Which settings a model takes is for the model to say (`training`)."""
    if ":" not in model.kind and model.kind not in BUILT_IN_MODELS:
        guess = closest(model.kind, BUILT_IN_MODELS)
        expected = f"one of: {', '.join(BUILT_IN_MODELS)}; or module:function in the recipe's folder"
        remedy = f"write `{guess}`" if guess else "write one of them"
        yield Problem(("model", "kind"), f"no model is called `{model.kind}`", expected, remedy)


@rule(SHARED, "training")
def _micro_batches(training: Training) -> Iterator[Problem]:
    batch, micro = training.batch_size, training.micro_batch_size
    if batch % micro:
        divisors = [size for size in range(1, min(batch, 65536) + 1) if batch % size == 0]
        near = sorted(sorted(divisors, key=lambda size: abs(size - micro))[:3])
        error = f"micro_batch_size {micro} does not divide batch_size {batch}"
        expected = "a divisor of batch_size, such as " + ", ".join(map(str, near))
        yield Problem(
            ("training", "micro_batch_size"), error, expected, f"write {min(near, key=lambda n: abs(n - micro))}"
        )


@rule(SHARED, "training")
def _decay(training: Training) -> Iterator[Problem]:
    schedule = training.schedule
    path = ("training", "schedule", "decay_share")
    if schedule.kind == "wsd" and schedule.decay_share is None:
        error = "`wsd` falls over the last steps, and nothing says how many"
        yield Problem(path, error, "a share of the steps, such as 0.2", "add `decay_share: 0.2`")
    elif schedule.kind != "wsd" and schedule.decay_share is not None:
        error = f"`decay_share` belongs to `wsd`, and the schedule is `{schedule.kind}`"
        yield Problem(path, error, "`kind: wsd`, or no decay_share", "remove it, or write `kind: wsd`")
    elif schedule.decay_share is not None and schedule.decay_share + schedule.warmup_share > 1:
        error = f"warm-up {schedule.warmup_share:g} and decay {schedule.decay_share:g} overlap"
        yield Problem(path, error, "shares that add up to at most 1", f"write {1 - schedule.warmup_share:g} or less")


@rule(CHECKS, "evaluation", "window")
def _bootstrap_unit(evaluation: Evaluation, window: Window | None) -> Iterator[Problem]:
    yield from repeated(("evaluation", "baselines"), evaluation.baselines)
    if window is None and evaluation.bootstrap.unit == "day":
        error = "the bootstrap draws days (its default), but the recipe has none"
        yield Problem(("evaluation", "bootstrap", "unit"), error, "row", "write `evaluation: {bootstrap: {unit: row}}`")


@rule(CHECKS, "gates")
def _bounds(gates: Gates) -> Iterator[Problem]:
    listed = [(("gates", "thresholds", n), gate) for n, gate in enumerate(gates.thresholds)]
    listed += [(("gates", "slices", n), gate) for n, gate in enumerate(gates.slices)]
    for path, gate in listed:
        if gate.min is None and gate.max is None:
            yield Problem(path, "a gate without a bound passes everything", "`min`, `max` or both", "add one of them")
        elif gate.min is not None and gate.max is not None and gate.min > gate.max:
            error = f"min {gate.min:g} is above max {gate.max:g}: nothing can pass"
            yield Problem((*path, "min"), error, "min at most max", "swap or correct them")
    seen: set[tuple[str, ...]] = set()
    for path, gate in listed:
        name = (str(path[1]), getattr(gate, "column", ""), gate.metric)
        if name in seen:
            error = f"a second gate on {' '.join(part for part in name[1:] if part)}"
            yield Problem(path, error, "one gate for each metric (and column), with min and max", "merge the two")
        seen.add(name)


@rule(CHECKS, "gates", "features")
def _gated_slices(gates: Gates, features: Features) -> Iterator[Problem]:
    for position, gate in enumerate(gates.slices):
        if gate.column not in features.slices:
            yield unknown(("gates", "slices", position, "column"), gate.column, features.slices, "features.slices")


@rule(CHECKS, "gates", "evaluation")
def _gated_baseline(gates: Gates, evaluation: Evaluation) -> Iterator[Problem]:
    if gates.baseline and gates.baseline.name not in evaluation.baselines:
        path = ("gates", "baseline", "name")
        yield unknown(path, gates.baseline.name, evaluation.baselines, "evaluation.baselines")


@rule(SHARED, "triggers")
def _schedule(triggers: Triggers) -> Iterator[Problem]:
    if triggers.schedule is None:
        return
    yield from cron_problems(triggers.schedule.cron)
    yield from _zone(triggers.schedule.timezone)


@rule(CHECKS, "triggers", "window")
def _live_labels_need_days(triggers: Triggers, window: Window | None) -> Iterator[Problem]:
    for name in ("performance", "shadow", "rollback"):
        if window is None and getattr(triggers, name) is not None:
            error = f"`{name}` counts days, but the recipe has no window"
            yield Problem(("triggers", name), error, "a recipe with a `window`", f"remove triggers.{name}")
    if window and triggers.performance is not None and window.test_days < MIN_REFERENCE_DAYS:
        error = f"performance is judged against the test days, and test_days {window.test_days} are too few to tell"
        expected = f"window.test_days of {MIN_REFERENCE_DAYS} or more"
        yield Problem(("triggers", "performance"), error, expected, "raise test_days, or remove triggers.performance")


@rule(CHECKS, "triggers", "window")
def _drift(triggers: Triggers, window: Window | None) -> Iterator[Problem]:
    drift = triggers.drift
    if drift is None:
        return
    path = ("triggers", "drift")
    if window is None:
        error = "drift is watched from day to day, but the recipe has no time"
        yield Problem(path, error, "no drift trigger in a recipe with `split`", "remove it")
        return
    history = window.train_days
    if history < DRIFT_WINDOWS * drift.window_days:
        error = f"train_days {history} hold fewer than {DRIFT_WINDOWS} windows of {drift.window_days}"
        expected = f"at most {history // DRIFT_WINDOWS}" if history >= DRIFT_WINDOWS else "a longer window.train_days"
        yield Problem(
            (*path, "window_days"), error, expected, "shorten window_days: every window would be INSUFFICIENT"
        )
    fewest = round(3 / drift.false_alarms)
    if drift.resamples < fewest:
        error = f"{drift.resamples} resamples do not show what happens {drift.false_alarms:g} of the time"
        yield Problem((*path, "resamples"), error, f"at least {fewest}", f"write {fewest} or more")


@rule(CHECKS, "triggers", "data")
def _upstream(triggers: Triggers, data: Data) -> Iterator[Problem]:
    if isinstance(triggers.upstream, bool):
        return
    path = ("triggers", "upstream")
    if not triggers.upstream:
        yield Problem(path, "an empty list watches nothing", "names of datasets, true or false", "write false")
    yield from repeated(path, triggers.upstream)
    used = (data.rows, *data.lookups)
    for position, name in enumerate(triggers.upstream):
        if name not in used:
            yield unknown((*path, position), name, used, "data")


def _zone(name: str) -> Iterator[Problem]:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        guess = closest(name, sorted(available_timezones()))
        remedy = f"write {guess}" if guess else "look it up in the IANA list of time zones"
        path = ("triggers", "schedule", "timezone")
        yield Problem(path, f"no time zone is called `{name}`", "a name such as America/New_York, or UTC", remedy)


CHECKS.extend(SHARED)
