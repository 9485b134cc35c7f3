"""Rules between fields of one document, each small and pure. Rules that look at other files are in `references`.

Every rule names the top-level sections that it reads and yields what is wrong at the field best changed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from mtac_assets.spec.dataset import Contract, DailyPartitions, FilesSource, PackageSource, SqlSource
from mtac_assets.spec.environment import Launcher, Promotion
from mtac_assets.spec.recipe import (
    BUILT_IN_MODELS,
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
from mtac_assets.spec.validate import Check, Problem, closest
from mtac_assets.spec.yaml import FieldPath, dotted

Rule = Callable[..., Iterator[Problem]]

RECIPE: list[Check] = []
DATASET: list[Check] = []
ENVIRONMENT: list[Check] = []


def _rule(registry: list[Check], *sections: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        registry.append(Check(sections, rule))
        return rule

    return register


def _repeated(path: FieldPath, names: Sequence[str]) -> Iterator[Problem]:
    """Names that stand in a list more than once."""
    counts = Counter(names)
    for position, name in enumerate(names):
        if counts[name] > 1 and name in names[:position]:
            error = f"`{name}` stands in `{dotted(path)}` more than once"
            yield Problem((*path, position), error, "each name once", "remove one of the two")


def _unknown(path: FieldPath, name: str, known: Sequence[str], source: str) -> Problem:
    guess = closest(name, known)
    expected = f"one of {source}: {', '.join(known) or 'none'}"
    return Problem(
        path, f"`{name}` is not in {source}", expected, f"write `{guess}`" if guess else f"add it to {source}"
    )


@_rule(RECIPE, "data")
def _lookups(data: Data) -> Iterator[Problem]:
    yield from _repeated(("data", "lookups"), data.lookups)
    if data.rows in data.lookups:
        path = ("data", "lookups", data.lookups.index(data.rows))
        error = f"`{data.rows}` is looked up in itself"
        yield Problem(path, error, "lookups other than data.rows", "remove it; features look back on the rows anyway")


@_rule(RECIPE, "window")
def _validation_fits(window: Window | None) -> Iterator[Problem]:
    if window and window.validate_days >= window.train_days:
        error = f"validate_days {window.validate_days} leaves nothing of train_days {window.train_days} to learn from"
        expected = f"at most {window.train_days - 1}" if window.train_days > 1 else "train_days of 2 or more"
        yield Problem(("window", "validate_days"), error, expected, "lower validate_days or raise train_days")


@_rule(RECIPE, "window", "split")
def _window_or_split(window: Window | None, split: Split | None) -> Iterator[Problem]:
    if window and split:
        error = "`split` parts rows without time, but the recipe has a `window`"
        yield Problem(("split",), error, "either `window` or `split`", "remove one of them")
    if not window and not split:
        error = "neither `window` nor `split`: nothing says which rows to train, validate and test on"
        yield Problem((), error, "either `window` or `split`", "add `window:` (data with days) or `split:` (without)")


@_rule(RECIPE, "split")
def _split_leaves_rows(split: Split | None) -> Iterator[Problem]:
    if split is None:
        return
    yield from _repeated(("split", "by"), split.by)
    if split.validate_share + split.test_share >= 1:
        error = (
            f"validate_share {split.validate_share:g} and test_share {split.test_share:g} leave nothing to learn from"
        )
        yield Problem(("split", "test_share"), error, "shares that add up to less than 1", "lower one of them")


@_rule(RECIPE, "features")
def _feature_columns(features: Features) -> Iterator[Problem]:
    for field in ("numeric", "categorical", "slices"):
        yield from _repeated(("features", field), getattr(features, field))
    for position, name in enumerate(features.categorical):
        if name in features.numeric:
            error = f"`{name}` is both numeric and categorical"
            yield Problem(("features", "categorical", position), error, "one of the two", "remove it from one list")
    if not features.numeric and not features.categorical:
        error = "the model sees no column"
        yield Problem(("features",), error, "at least one of numeric, categorical", "name a column of the view")


@_rule(RECIPE, "model")
def _model_known(model: Model) -> Iterator[Problem]:
    """Which settings a model takes is for the model to say (`training`)."""
    if ":" not in model.kind and model.kind not in BUILT_IN_MODELS:
        guess = closest(model.kind, BUILT_IN_MODELS)
        expected = f"one of: {', '.join(BUILT_IN_MODELS)}; or module:function in the recipe's folder"
        remedy = f"write `{guess}`" if guess else "write one of them"
        yield Problem(("model", "kind"), f"no model is called `{model.kind}`", expected, remedy)


@_rule(RECIPE, "training")
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


@_rule(RECIPE, "evaluation", "window")
def _bootstrap_unit(evaluation: Evaluation, window: Window | None) -> Iterator[Problem]:
    yield from _repeated(("evaluation", "baselines"), evaluation.baselines)
    if window is None and evaluation.bootstrap.unit == "day":
        error = "the bootstrap draws days (its default), but the recipe has none"
        yield Problem(("evaluation", "bootstrap", "unit"), error, "row", "write `evaluation: {bootstrap: {unit: row}}`")


@_rule(RECIPE, "gates")
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


@_rule(RECIPE, "gates", "features")
def _gated_slices(gates: Gates, features: Features) -> Iterator[Problem]:
    for position, gate in enumerate(gates.slices):
        if gate.column not in features.slices:
            yield _unknown(("gates", "slices", position, "column"), gate.column, features.slices, "features.slices")


@_rule(RECIPE, "gates", "evaluation")
def _gated_baseline(gates: Gates, evaluation: Evaluation) -> Iterator[Problem]:
    if gates.baseline and gates.baseline.name not in evaluation.baselines:
        path = ("gates", "baseline", "name")
        yield _unknown(path, gates.baseline.name, evaluation.baselines, "evaluation.baselines")


@_rule(RECIPE, "triggers")
def _schedule(triggers: Triggers) -> Iterator[Problem]:
    if triggers.schedule is None:
        return
    yield from _cron(triggers.schedule.cron)
    yield from _zone(triggers.schedule.timezone)


_CRON_RANGES = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_CRON_NAMES: tuple[dict[str, int], ...] = (
    {},
    {},
    {},
    {
        name: n
        for n, name in enumerate(
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
        )
    },
    {name: n for n, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])},
)
_CRON_ITEM = re.compile(r"(\*|(\w+)(-(\w+))?)(/(\d+))?")


def _cron(text: str) -> Iterator[Problem]:
    """POSIX crontab(5): five fields of lists of numbers, names, ranges and steps."""
    path = ("triggers", "schedule", "cron")
    parts = text.split()
    expected = "five fields: minute, hour, day of month, month, day of week"
    if len(parts) != 5:
        yield Problem(path, f"`{text}` has {len(parts)} fields", expected, 'write for example "0 3 * * *" (daily at 3)')
        return
    for part, (name, low, high), names in zip(parts, _CRON_RANGES, _CRON_NAMES, strict=True):
        if not all(_cron_item(item, low, high, names) for item in part.split(",")):
            yield Problem(
                path, f"`{part}` is no {name}", f"{name}: {low} to {high}, *, ranges a-b, steps /n", "correct it"
            )


def _cron_item(item: str, low: int, high: int, names: dict[str, int]) -> bool:
    match = _CRON_ITEM.fullmatch(item.lower())
    if not match:
        return False
    first, last, step = match[2], match[4], match[6]
    bounds = [names.get(text, int(text) if text.isdecimal() else -1) for text in (first, last) if text is not None]
    return all(low <= n <= high for n in bounds) and bounds == sorted(bounds) and (step is None or int(step) > 0)


def _zone(name: str) -> Iterator[Problem]:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        guess = closest(name, sorted(available_timezones()))
        remedy = f"write {guess}" if guess else "look it up in the IANA list of time zones"
        path = ("triggers", "schedule", "timezone")
        yield Problem(path, f"no time zone is called `{name}`", "a name such as America/New_York, or UTC", remedy)


@_rule(DATASET, "partitions")
def _day_range(partitions: Any) -> Iterator[Problem]:
    if isinstance(partitions, DailyPartitions) and partitions.end and partitions.end < partitions.start:
        error = f"end {partitions.end} is before start {partitions.start}"
        yield Problem(("partitions", "end"), error, "a day on or after start", "swap or correct them")


@_rule(DATASET, "partitions", "event_time")
def _event_time(partitions: Any, event_time: str | None) -> Iterator[Problem]:
    if isinstance(partitions, DailyPartitions) and event_time is None:
        error = "daily partitions without `event_time`: nothing says what was known when"
        yield Problem(("event_time",), error, "the column of a row's moment", "add `event_time: COLUMN`")


@_rule(DATASET, "key", "event_time", "outcome_columns")
def _columns(key: tuple[str, ...], event_time: str | None, outcome_columns: tuple[str, ...]) -> Iterator[Problem]:
    yield from _repeated(("key",), key)
    yield from _repeated(("outcome_columns",), outcome_columns)
    for position, name in enumerate(outcome_columns):
        if name in key or name == event_time:
            role = "key" if name in key else "event_time"
            error = f"`{name}` is known only afterwards, but part of `{role}`"
            yield Problem(
                ("outcome_columns", position), error, "columns that are neither key nor event_time", "remove it"
            )


@_rule(DATASET, "key", "contract")
def _contract(key: tuple[str, ...], contract: Contract) -> Iterator[Problem]:
    rows = contract.rows
    if rows.min > rows.max:
        error = f"min {rows.min} is above max {rows.max}: no partition can pass"
        yield Problem(("contract", "rows", "min"), error, "min at most max", "swap or correct them")
    for name, rate in contract.null_rates.items():
        if name in key and rate > 0:
            error = f"`{name}` is part of the key and may not be null"
            yield Problem(("contract", "null_rates", name), error, "no null rate for key columns", "remove the line")


@_rule(DATASET, "source", "partitions")
def _source(source: Any, partitions: Any) -> Iterator[Problem]:
    daily = isinstance(partitions, DailyPartitions)
    if isinstance(source, PackageSource):
        yield from _inside(("source", "path"), source.path, "the distribution")
    elif isinstance(source, FilesSource):
        yield from _inside(("source", "pattern"), source.pattern, "the folder")
        yield from _url(source.url)
        yield from _pattern(source.pattern, daily)
    elif isinstance(source, SqlSource):
        yield from _query(source.query, daily)


def _inside(path: FieldPath, text: str, container: str) -> Iterator[Problem]:
    if PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts or "\\" in text:
        yield Problem(
            path, f"`{text}` leaves {container}", f"a relative path inside {container}", "remove / or .. or \\"
        )


def _url(url: str) -> Iterator[Problem]:
    path = ("source", "url")
    try:
        parts = urlsplit(url)
        secret = parts.password is not None
    except ValueError as error:
        yield Problem(path, f"`{url}` is no URL: {error}", "a folder or a URL", "correct it")
        return
    if secret:
        remedy = "remove it; credentials come from environment variables and are never recorded"
        yield Problem(path, "the URL holds a password", "a URL without credentials", remedy)
    if "::" not in url and not parts.scheme:
        folder = PurePosixPath(url)
        if folder.is_absolute() or ".." in folder.parts:
            expected = "a folder in the project, or a URL with its scheme"
            yield Problem(
                path, f"`{url}` leaves the project", expected, "for a folder elsewhere write file:///its/path"
            )


_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DATE_FORMAT = re.compile(r"date(:[^{}]+)?")


def _pattern(pattern: str, daily: bool) -> Iterator[Problem]:
    path = ("source", "pattern")
    found = _PLACEHOLDER.findall(pattern)
    expected = "a file name with {date} or {date:%Y%m%d}" if daily else "a file name without {date}"
    if not daily and found:
        yield Problem(path, f"`{pattern}` names a day, but the partitions are not daily", expected, "remove {...}")
    elif daily and not found:
        yield Problem(path, f"`{pattern}` is the same file for every day", expected, "put {date} where the day stands")
    elif re.sub(_PLACEHOLDER, "", pattern).count("{") or re.sub(_PLACEHOLDER, "", pattern).count("}"):
        yield Problem(path, f"`{pattern}` has a brace without its pair", expected, "pair or remove it")
    else:
        for name in found:
            directives = set(re.findall(r"%(.)", name))
            whole = ":" not in name or {"Y", "m", "d"} <= directives or {"Y", "j"} <= directives
            if not _DATE_FORMAT.fullmatch(name) or not directives <= {"Y", "m", "d", "j"}:
                yield Problem(path, f"`{{{name}}}` is not known", expected, "use {date} with %Y, %m, %d, %j only")
            elif not whole and len(found) == 1:
                yield Problem(path, f"`{{{name}}}` does not tell every day apart", expected, "name year, month and day")


def _query(query: str, daily: bool) -> Iterator[Problem]:
    path = ("source", "query")
    names = set(re.findall(r"(?<![:\w]):([A-Za-z_]\w*)", query))
    wanted = {"start", "end"} if daily else set[str]()
    expected = "the parameters :start and :end (excluded)" if daily else "no parameters: the partitions are not daily"
    for name in sorted(wanted - names):
        yield Problem(path, f"the query does not use :{name}", expected, f"bound the query by :{name}")
    for name in sorted(names - wanted):
        yield Problem(path, f"the query uses :{name}, which has no value", expected, f"remove :{name}")


@_rule(ENVIRONMENT, "state")
def _state(state: str) -> Iterator[Problem]:
    if ".." in PurePosixPath(state).parts:
        expected = "a folder in the project, or an absolute path"
        yield Problem(("state",), f"`{state}` leaves the project by ..", expected, "write an absolute path")
    elif PurePosixPath(state) == PurePosixPath("."):
        yield Problem(("state",), "the state would lie among the project's own files", "a folder", "write .mtac")


@_rule(ENVIRONMENT, "launcher")
def _workers(launcher: Launcher) -> Iterator[Problem]:
    if launcher.kind == "process" and launcher.workers > 1:
        error = f"launcher `process` runs one worker, not {launcher.workers}"
        yield Problem(("launcher", "workers"), error, "1", "write 1")


@_rule(ENVIRONMENT, "promotion")
def _promotion(promotion: Promotion) -> Iterator[Problem]:
    yield from _repeated(("promotion", "branches"), promotion.branches)
    yield from _repeated(("promotion", "approvers"), promotion.approvers)
    if promotion.approvers and not promotion.require_approval:
        error = "approvers are named, but no approval is required"
        yield Problem(("promotion", "approvers"), error, "both or none", "write require_approval: true, or remove them")
