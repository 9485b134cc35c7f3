"""Loss and bits per byte with intervals over documents, of all sources together and of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mtac_assets.evaluation.bootstrap import MIN_DAYS, interval, resample_days
from mtac_assets.evaluation.language.losses import DocumentLosses, bits_per_byte
from mtac_assets.spec.language import DocumentBootstrap

TITLES = {"loss": "Loss (nats a token)", "bits_per_byte": "Bits per byte"}
Metrics = dict[str, dict[str, Any]]


def measure(by_source: Mapping[str, DocumentLosses], settings: DocumentBootstrap) -> Metrics:
    """`loss` and `bits_per_byte`, then `loss/<source>` and so on: value, low, high; null with a `reason` where undefined."""
    filled = {name: losses for name, losses in by_source.items() if len(losses)}
    found = _of(DocumentLosses.together(list(filled.values())), settings) if filled else _undefined()
    for name, losses in by_source.items():
        of_source = _of(losses, settings) if len(losses) else _undefined()
        found |= {f"{metric}/{name}": value for metric, value in of_source.items()}
    return found


def _of(losses: DocumentLosses, settings: DocumentBootstrap) -> Metrics:
    values = {
        "loss": float(losses.nats.sum() / losses.tokens.sum()),
        "bits_per_byte": float(bits_per_byte(losses.nats.sum(), losses.bytes.sum())),
    }
    if len(losses) < MIN_DAYS:
        reason = f"{len(losses)} documents are too few for an interval"
        return {name: {"value": value, "low": None, "high": None, "reason": reason} for name, value in values.items()}
    drawn_RD = resample_days(
        len(losses), resamples=settings.resamples, seed=settings.seed, confidence=settings.confidence
    ).counts
    nats_R = drawn_RD @ losses.nats
    resampled = {
        "loss": nats_R / (drawn_RD @ losses.tokens),
        "bits_per_byte": np.asarray(bits_per_byte(nats_R, drawn_RD @ losses.bytes)),
    }
    found: Metrics = {}
    for name, value in values.items():
        low, high = interval(resampled[name], len(losses), settings.confidence)
        found[name] = {"value": value, "low": low, "high": high}
    return found


def _undefined() -> Metrics:
    reason = "there is no held-out document"
    return {name: {"value": None, "low": None, "high": None, "reason": reason} for name in TITLES}
