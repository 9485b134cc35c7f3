"""The champion's gate: how often noise alone gets through, and how often a model that is better does.

Judged by the gate itself (`promotion.gates.champion`) on the paired comparison that a decision makes. Three worlds: networks that
differ by their seed alone; synthetic rows that do not depend on each other, where the truth is known; flights, where days depend.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from benchmarks.monitoring import interval
from mtac_assets.evaluation.compare import compare
from mtac_assets.evaluation.metrics import point
from mtac_assets.evaluation.scored_rows import scored_rows
from mtac_assets.promotion.gates import Evidence, champion
from mtac_assets.spec.environment import Promotion
from mtac_assets.spec.recipe import ChampionGate, Gates

ALPHA, DAYS, RESAMPLES = 0.05, 14, 1000
CHALLENGERS, SEED_ROWS, SEED_DAYS, TRUTH_ROWS = 200, 12_000, 60, 100_000
EPOCHS, BATCH = 5, 256
TRIALS, ROWS, GAIN, POWER = 200, 13_000, 0.01, 0.8
LUCK = 0.0016  # the standard deviation of ROC AUC over seeds, as `by_seed` finds it
RULES = Promotion(branches=("*",), require_clean=False, require_approval=False)
Rng = np.random.Generator


def measure() -> list[Figure]:
    return [*by_seed(), *by_information(), *by_noise(), *flights()]


def passes(
    labels: np.ndarray,
    days: np.ndarray,
    challenger: np.ndarray,
    present: np.ndarray,
    metric: Any,
    seed: int,
    luck: float = 0.0,
) -> bool:
    """Does a gate that knows the standard deviation `luck` of seeds promote the challenger on these scores [N]?"""
    rule = ChampionGate(metric=metric, alpha=ALPHA, seed_deviation=luck)
    found = compare(labels, days, challenger, present, metric, resamples=RESAMPLES, seed=seed, seed_deviation=luck)
    evidence = Evidence("challenger", {}, "champion", found.document(), None, (), (), False, "", (), "")
    (verdict,) = champion(evidence, Gates(champion=rule), RULES)
    return verdict.passed


def by_seed() -> Iterator[Figure]:
    """Each of 200 networks challenges another one, trained on the same rows by another seed, on 14 days of its own.

    Two such networks are not equally good: the luck of the seed is real, and more rows see it. `seed_deviation: 0` bounds the
    promotion of one that is no better (by 100,000 further rows one knows which those are); the standard deviation of the seeds, as
    in the shipped recipe, bounds the promotion of any.
    """
    import torch

    torch.set_num_threads(1)
    score = networks()
    numeric, labels, _ = rows_of(np.random.default_rng(9), 50, TRUTH_ROWS // 50)
    truth = [quality(labels, score(seed, numeric)) for seed in range(CHALLENGERS + 1)]
    spread = {metric: float(np.std([one[metric] for one in truth])) for metric in truth[0]}
    for day_rows, luck in itertools.product((120, ROWS // DAYS), (False, True)):
        hits = {metric: np.zeros(CHALLENGERS) for metric in truth[0]}
        for number in range(CHALLENGERS):
            numeric, labels, day = rows_of(np.random.default_rng([1, number]), DAYS, day_rows)
            scores = score(number + 1, numeric), score(number, numeric)
            for metric, promoted in hits.items():
                promoted[number] = passes(labels, day, *scores, metric, number, luck * spread[metric])
        for metric, promoted in hits.items():
            worse = np.diff([one[metric] for one in truth]) <= 0
            yield _seeds(metric, day_rows, promoted, worse, spread[metric], luck * spread[metric])


def _seeds(metric: str, day_rows: int, hits: np.ndarray, worse: np.ndarray, spread: float, luck: float) -> Figure:
    """Of all challengers; those that are no better by the truth are in the detail."""
    (low, high), (low_null, high_null) = interval(hits[:, None]), interval(hits[worse][:, None])
    return Figure(
        f"gate error by seed alone, {metric}, {day_rows * DAYS:,} rows"
        + (f", seed_deviation {luck:.4f}" if luck else "")
        + ": low end",
        float(max(low, 0)),
        "of challengers",
        at_most=ALPHA,
        detail=f"{hits.mean():.1%} of all {len(hits)} promoted (95 % interval {low:.1%} to {high:.1%}), {hits[worse].mean():.1%} "
        f"of the {worse.sum()} that are no better ({low_null:.1%} to {high_null:.1%}); α = {ALPHA:.0%}, {DAYS} test days of "
        f"{day_rows} rows, standard deviation of the seeds {spread:.4f}",
    )


def quality(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """How good scores are, more being better, by metric."""
    rows = scored_rows(labels, np.zeros(len(labels), dtype=int), scores)
    found = {metric: point(rows, metric) for metric in ("log_loss", "roc_auc")}
    assert None not in found.values()
    return {"log_loss": -float(found["log_loss"] or 0), "roc_auc": float(found["roc_auc"] or 0)}


def networks() -> Callable[[int, np.ndarray], np.ndarray]:
    """(seed, numeric [N, F]) to scores [N], by the shipped network, trained as the shipped recipe says: AdamW, a cosine, the
    moving average of the weights. Each seed is trained once; it decides initial weights, order of rows and dropout."""
    import torch
    from torch.nn import functional

    from mtac_assets.data.training_set_schema import FeatureSchema
    from mtac_assets.training.models import tabular_ensemble

    numeric, labels, _ = rows_of(np.random.default_rng(0), SEED_DAYS, SEED_ROWS // SEED_DAYS)
    schema = FeatureSchema(tuple(f"x{n}" for n in range(numeric.shape[1])), (), ())
    settings = {"members": 16, "width": 32, "bins": 16, "depth": 1, "dropout": 0.1}
    x, y = torch.from_numpy(numeric), torch.from_numpy(labels.astype(np.float32))

    def none(rows: int) -> torch.Tensor:
        return torch.zeros((rows, 0), dtype=torch.int32)

    @cache
    def trained(seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        model = tabular_ensemble.build(schema, settings)
        model.fit_constants(x, none(len(x)), y)
        average = torch.optim.swa_utils.AveragedModel(
            model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98)
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-4)
        steps = EPOCHS * len(x) // BATCH
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        order = torch.cat([torch.randperm(len(x)) for _ in range(EPOCHS)])
        for index in order[: steps * BATCH].split(BATCH):
            logits = model(x[index], none(len(index)))
            loss = functional.binary_cross_entropy_with_logits(logits, y[index][:, None].expand_as(logits))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
        return average.module.eval()

    def score(seed: int, values: np.ndarray) -> np.ndarray:
        model = trained(seed)
        with torch.inference_mode():
            parts = torch.from_numpy(values).split(4096)
            logits = torch.cat([model(part, none(len(part))) for part in parts])
        return torch.sigmoid(logits.double()).mean(dim=1).numpy()

    return score


def rows_of(rng: Rng, days: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numeric features [N, 6], labels and days [N]: a curved truth, and an effect of each day that no feature tells."""
    x = rng.normal(size=(days * rows, 6)).astype(np.float32)
    day = np.repeat(np.arange(days), rows)
    logit = -1.3 + 0.8 * x[:, 0] + 0.6 * np.sin(2 * x[:, 1]) + 0.5 * x[:, 2] * x[:, 3] + rng.normal(0, 0.4, days)[day]
    return x, rng.random(len(x)) < sigmoid(logit), day


def by_information() -> Iterator[Figure]:
    """The challenger knows of one cause more than the champion: the difference between real models of one question."""

    def draw(rng: Rng, rows: int, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known, further = rng.normal(size=(2, rows))
        labels = rng.random(rows) < sigmoid(-1.4 + 0.85 * known + size * further)
        return labels, sigmoid(-1.4 + 0.85 * known + size * further), sigmoid(-1.4 + 0.85 * known)

    yield from _synthetic("it knows one cause more", draw, (0.0, 1.0))


def by_noise() -> Iterator[Figure]:
    """Both err by themselves, the champion more: scores that share less, so that chance has more to say."""

    def draw(rng: Rng, rows: int, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logit = -1.4 + 0.95 * rng.normal(size=rows)
        labels = rng.random(rows) < sigmoid(logit)
        a, b = logit + rng.normal(0, 0.3, rows), logit + rng.normal(0, 0.3 + size, rows)
        return labels, sigmoid(a), sigmoid(b)

    yield from _synthetic("both err by themselves, it less", draw, (0.0, 1.0))


def _synthetic(
    name: str, draw: Callable[[Rng, int, float], tuple[np.ndarray, np.ndarray, np.ndarray]], span: tuple[float, float]
) -> Iterator[Figure]:
    """The share of trials in which a challenger better by exactly 0.01 ROC AUC passes, on 13,000 independent rows.

    By a gate that knows nothing of seeds, and by one that knows `LUCK`.
    """

    def gain(size: float) -> float:
        labels, a, b = draw(np.random.default_rng(0), 2_000_000, size)
        return auc(labels, a) - auc(labels, b)

    low, high = span
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) < GAIN else (low, middle)
    correlations, days = [], np.repeat(np.arange(DAYS), -(-ROWS // DAYS))[:ROWS]
    hits: dict[float, np.ndarray] = {0.0: np.zeros(TRIALS), LUCK: np.zeros(TRIALS)}
    for trial in range(TRIALS):
        labels, a, b = draw(np.random.default_rng([2, trial]), ROWS, low)
        for luck, promoted in hits.items():
            promoted[trial] = passes(labels, days, a, b, "roc_auc", trial, luck)
        correlations.append(np.corrcoef(a, b)[0, 1])
    for luck, promoted in hits.items():
        bottom, top = interval(promoted[:, None])
        yield Figure(
            f"power on independent rows, 0.01 ROC AUC better: {name}"
            + (f", seed_deviation {luck:.4f}" if luck else ""),
            float(promoted.mean()),
            "of trials",
            at_least=POWER,
            detail=f"{TRIALS} trials of {ROWS:,} rows in {DAYS} days, 95 % interval {bottom:.0%} to {top:.0%}; "
            f"true gain {gain(low):.4f}, correlation of the two models' scores {np.mean(correlations):.2f}",
        )


def flights() -> Iterator[Figure]:
    """Fourteen days drawn from all test days of the stored reports of the shipped recipe, with the differences that they have."""
    labels, days, scores = stored_rows()
    if not len(labels):
        yield Figure(
            "power on flights", float("nan"), "of trials", detail="no stored reports: `benchmarks quality` makes them"
        )
        return
    of_day = [np.flatnonzero(days == day) for day in np.unique(days)]
    pairs = [("model", other) for other in ("hist_gradient_boosting", "logistic_regression")]
    for ours, other in pairs:
        for metric in ("roc_auc", "log_loss"):
            yield _drawn(of_day, labels, scores[ours], scores[other], metric, f"{ours} against {other}")
    # A challenger with exactly the gain asked for: the model, and as champion itself with noise that costs it just that.
    yield _drawn(
        of_day, labels, scores["model"], weakened(labels, scores["model"]), "roc_auc", "a weakened model, 0.01 below"
    )


def weakened(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The scores with noise on their logits, just enough to cost 0.01 ROC AUC over all rows."""
    noise = np.random.default_rng(3).normal(size=len(scores))
    low, high = 0.0, 2.0
    for _ in range(14):
        middle = (low + high) / 2
        lost = auc(labels, scores) - auc(labels, sigmoid(logit_of(scores) + middle * noise))
        low, high = (middle, high) if lost < GAIN else (low, middle)
    return sigmoid(logit_of(scores) + low * noise)


def _drawn(
    of_day: list[np.ndarray], labels: np.ndarray, a: np.ndarray, b: np.ndarray, metric: str, name: str
) -> Figure:
    hits = np.zeros(TRIALS)
    for trial in range(TRIALS):
        rng = np.random.default_rng([4, trial])
        drawn = [of_day[n] for n in rng.choice(len(of_day), DAYS, replace=False)]
        rows, day = np.concatenate(drawn), np.repeat(np.arange(DAYS), [len(one) for one in drawn])
        hits[trial] = passes(labels[rows], day, a[rows], b[rows], metric, trial)
    low, high = interval(hits[:, None])
    whole = compare(
        labels, np.repeat(np.arange(len(of_day)), [len(one) for one in of_day]), a, b, metric, resamples=100, seed=0
    )
    return Figure(
        f"power on flights, {metric}: {name}",
        float(hits.mean()),
        "of trials",
        detail=f"{TRIALS} draws of {DAYS} of {len(of_day)} test days, 95 % interval {low:.0%} to {high:.0%}; "
        f"over all days better by {whole.effect:+.4f}",
    )


def stored_rows() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Labels and days [N] and scores by column, of all reports of the shipped recipe in the state; days of several reports count once."""
    from mtac_assets.evaluation.report import open_report
    from mtac_assets.spec.project import find_project

    parts: dict[str, list[np.ndarray]] = {}
    seen: set[str] = set()
    for folder in sorted(find_project().state.reports.glob("flight_delays-*")):
        report = open_report(folder)
        table = report.scores()
        day = np.array(report.document["test"]["days"])[table["unit"].to_numpy()]
        new = ~np.isin(day, list(seen))
        seen |= set(day[new])
        for name in ("label", "model", "base_rate", "logistic_regression", "hist_gradient_boosting"):
            parts.setdefault(name, []).append(table[name].to_numpy()[new])
        parts.setdefault("day", []).append(day[new])
    whole = {name: np.concatenate(values) for name, values in parts.items()}
    if not whole:
        return np.array([]), np.array([]), {}
    order = np.argsort(whole["day"], kind="stable")
    return whole["label"][order], whole["day"][order], {name: values[order] for name, values in whole.items()}


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    return quality(labels, scores)["roc_auc"]


def sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def logit_of(score: np.ndarray) -> np.ndarray:
    return np.log(score) - np.log1p(-score)
