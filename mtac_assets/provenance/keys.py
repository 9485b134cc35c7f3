"""Keys of what is derived on the way to a model: feature partitions, training sets, reports. Same key, same content.

Belongs here: what a derived partition depends on, as one digest, so that the floor that computes it and the plan that asks
whether it is stale agree. The key of the model itself is its fingerprint (`identity`).
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance import closure, distributions, environment, partitions
from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.memory import Memory

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

SCHEMA_VERSION = 1
REMEMBERED = 10_000  # days: a sensor asks about all of them again and again
FEATURE_MODULES = ("mtac_assets.data.features",)
TRAINING_SET_MODULES = ("mtac_assets.data.training_set",)
SCORE_MODULES = ("mtac_assets.data.mix.score_table",)
TOKENIZER_MODULES = ("mtac_assets.data.mix.trained",)
TOKENS_MODULES = ("mtac_assets.data.mix.build",)
REPORT_MODULES = ("mtac_assets.evaluation.__main__",)


@dataclass(frozen=True)
class DerivedKeys:
    """`features`: day to key, for the days whose data is there. `training_set`: None while any of its days is missing."""

    features: Mapping[str, str]
    training_set: str | None


def derived_keys(project: Project, resolved: ResolvedRecipe, data_dir: Path | None = None) -> DerivedKeys:
    """Keys under which the features and the training set of `resolved` belong, for code and data as they are now."""
    if resolved.is_language:
        return DerivedKeys({}, language_keys(project, resolved, data_dir).training_set)
    windows = resolved.windows()
    features = feature_keys(project, resolved, windows.features, data_dir)
    return DerivedKeys(features, training_set_key(project, resolved, features))


def feature_keys(
    project: Project, resolved: ResolvedRecipe, days: Iterable[str], data_dir: Path | None = None
) -> dict[str, str]:
    """Day to key, for those of `days` whose data is all there, whatever the as-of date of `resolved`.

    A feature partition of day D depends on the view's code with what it imports, on the recipe's `data` and `features`, and
    on the content of the rows and lookups of D and of the `history_days` before it, as far back as all datasets reach.
    """
    return feature_keys_of(features_digest(project, resolved), day_inputs(project, resolved, days, data_dir))


def features_digest(project: Project, resolved: ResolvedRecipe) -> str:
    """What decides features beside the data of their days: the view's code with what it imports, the recipe's `data` and `features`."""
    identity = resolved.identity_document()
    return digest_json(
        {
            "schema_version": SCHEMA_VERSION,
            "data": identity["data"],
            "features": identity["features"],
            "code": _code(project, resolved, FEATURE_MODULES),
        }
    )


def feature_keys_of(common: str, looked_at: Mapping[str, Mapping[str, str | None]]) -> dict[str, str]:
    """As `feature_keys`, of what is known already: the `features_digest`, and `day_inputs`."""
    return {
        day: _feature_key(common, day, tuple(inputs.items()))
        for day, inputs in looked_at.items()
        if all(inputs.values())
    }


@lru_cache(maxsize=REMEMBERED)
def _feature_key(common: str, day: str, inputs: tuple[tuple[str, str | None], ...]) -> str:
    return digest_json([common, day, dict(inputs)])


def day_inputs(
    project: Project, resolved: ResolvedRecipe, days: Iterable[str], data_dir: Path | None = None
) -> dict[str, dict[str, str | None]]:
    """Day to `<dataset>/<key>` of every partition that its features look at, with its content digest; None where it is missing."""
    looking_back = Lookback.of(project, resolved)
    looked_at = {day: looking_back.partitions(day) for day in days}
    wanted: dict[str, dict[str, None]] = {}
    for name in dict.fromkeys(chain.from_iterable(looked_at.values())):
        dataset, _, key = name.partition("/")
        wanted.setdefault(dataset, {})[key] = None
    digests = partitions.content_digests(
        data_dir or project.state.data, wanted, None if data_dir else project.state.cache
    )
    return {day: {name: digests.get(name) for name in names} for day, names in looked_at.items()}


@dataclass(frozen=True)
class Lookback:
    """How far back features look: `history` days before their own, but not before `begins`, the first day all datasets have."""

    spans: Mapping[str, partitions.Span]
    begins: str
    history: int

    @classmethod
    def of(cls, project: Project, resolved: ResolvedRecipe) -> Lookback:
        window = resolved.identity_document()["window"]
        begins = max((first for first in partitions.first_days(project, resolved) if first), default="")
        return cls(partitions.spans_of(project, resolved), begins, window["history_days"] if window is not None else 0)

    def partitions(self, day: str) -> tuple[str, ...]:
        """`<dataset>/<key>` of every partition that the features of `day` may look at."""
        return _looked_at(tuple(self.spans.items()), self.begins, self.history, day)


@lru_cache(maxsize=REMEMBERED)
def _looked_at(spans: tuple[tuple[str, partitions.Span], ...], begins: str, history: int, day: str) -> tuple[str, ...]:
    if day == partitions.ALL:
        reach = [day]
    else:
        end = date.fromisoformat(day)
        days = ((end - timedelta(days=n)).isoformat() for n in range(history, -1, -1))
        reach = [key for key in days if key >= begins]
    return tuple(f"{name}/{key}" for name, span in spans for key in span.within(reach))


def training_set_key(project: Project, resolved: ResolvedRecipe, features: Mapping[str, str]) -> str | None:
    """Key of the training set made from these feature partitions; None while one that it needs is not among them."""
    windows = resolved.windows()
    if any(day not in features for day in (*windows.train, *windows.validate)):
        return None
    return digest_json(
        {
            "schema_version": SCHEMA_VERSION,
            "code": _code(project, resolved, TRAINING_SET_MODULES),
            "split": resolved.identity_document().get("split"),
            "train": {day: features[day] for day in windows.train},
            "validate": {day: features[day] for day in windows.validate},
        }
    )


@dataclass(frozen=True)
class LanguageKeys:
    """`data`: `<dataset>/all` to content digest, of those that are there. `scores`: dataset to key, for these datasets.
    `tokenizer` and `training_set`: None while a dataset that they need is missing."""

    data: Mapping[str, str]
    scores: Mapping[str, str]
    tokenizer: str | None
    training_set: str | None


def language_keys(project: Project, resolved: ResolvedRecipe, data_dir: Path | None = None) -> LanguageKeys:
    """Keys of what is derived on the way to a language model, for code and data as they are now.

    Scores belong to a dataset, whichever recipes use it; the tokeniser depends on the sources that it is trained on with
    their filters; the training set on all of the mix, so a change of ratios packs anew.
    """
    identity = resolved.identity_document()
    needed = partitions.needed(project, resolved).training
    cache = None if data_dir else project.state.cache
    digests = partitions.content_digests(data_dir or project.state.data, needed, cache)
    data = {name: digests.get(f"{name}/{partitions.ALL}") for name in needed}
    scorer = _code_alone(project, SCORE_MODULES)
    scores = {
        name: digest_json({"schema_version": SCHEMA_VERSION, "code": scorer, "data": digest})
        for name, digest in data.items()
        if digest is not None
    }
    sources: Mapping[str, Any] = identity["mix"]["sources"]
    learnt = {
        name: [data[sources[name]["dataset"]], sources[name]["filters"]] for name in identity["tokenizer"]["trained_on"]
    }
    tokenizer = training_set = None
    if all(digest is not None for digest, _ in learnt.values()):
        decides = {"tokenizer": identity["tokenizer"], "split": identity["split"], "sources": learnt}
        code = [scorer, _code_alone(project, TOKENIZER_MODULES)]
        tokenizer = digest_json({"schema_version": SCHEMA_VERSION, "code": code, **decides})
    if tokenizer is not None and all(data.values()):
        training_set = digest_json(
            {
                "schema_version": SCHEMA_VERSION,
                "code": _code_alone(project, TOKENS_MODULES),
                "tokenizer": tokenizer,
                "mix": identity["mix"],
                "split": identity["split"],
                "batch_size": identity["training"]["batch_size"],
                "data": data,
            }
        )
    return LanguageKeys(dict(digests), scores, tokenizer, training_set)


def report_key(project: Project, resolved: ResolvedRecipe, model_id: str) -> str:
    """Key of the report of one model: the model, the test days' feature partitions, the recipe's `evaluation`, and the code
    that judges. The champion that it was compared with is no part: a new champion makes no report stale."""
    if resolved.is_language:
        features: Mapping[str, Any] = {"training_set": language_keys(project, resolved).training_set}
    else:
        features = feature_keys(project, resolved, resolved.windows().test)
    return digest_json(
        {
            "schema_version": SCHEMA_VERSION,
            "model_id": model_id,
            "features": features,
            "evaluation": resolved.identity_document()["evaluation"],
            "code": _code(project, resolved, REPORT_MODULES),
        }
    )


def _code_alone(project: Project, modules: tuple[str, ...]) -> dict[str, Any]:
    """The engine's own code with what it imports, without the recipe's folder: what several recipes share."""
    memory = Memory(project.state.cache / "closure.json")
    found = closure.closure_of(modules, project.root, project.package, memory=memory)
    installed = distributions.versions(
        found.external, project.state.cache / "distributions.json", exclude=[project.package]
    )
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    return {"leaves": dict(found.leaves), "distributions": installed, "python": interpreter}


def _code(project: Project, resolved: ResolvedRecipe, modules: tuple[str, ...]) -> dict[str, Any]:
    found = closure.closure_of_recipe(project, resolved, modules)
    installed = distributions.versions(
        found.external, project.state.cache / "distributions.json", exclude=[project.package]
    )
    return {"leaves": dict(found.leaves), "environment": environment.declared(project, resolved, installed)}
