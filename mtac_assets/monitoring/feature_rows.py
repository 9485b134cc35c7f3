"""Feature rows of days by a model's own recipe, which may not be the recipe as it is today.

A partition that is kept under the very key is read; any other day is computed here and not kept: the kept ones are those of
the recipe's present words. What a day's features are is `data.features_day`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.data import features_plan as plan
from mtac_assets.data.features_view import FeatureError
from mtac_assets.provenance import keys as derived
from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    import pyarrow as pa

    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

SHOWN = 5
Inputs = dict[str, dict[str, str]]


def feature_inputs(
    project: Project, resolved: ResolvedRecipe, days: Sequence[str], data_dir: Path | None = None
) -> tuple[dict[str, str], Inputs]:
    """Day to feature key, and day to `<dataset>/<key>` to content digest of all it looks at. FeatureError names what is missing."""
    looked_at = derived.day_inputs(project, resolved, days, data_dir)
    missing = list(
        dict.fromkeys(name for each in looked_at.values() for name, digest in each.items() if digest is None)
    )
    if missing:
        shown = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else "")
        raise FeatureError(
            Finding(
                f"{len(missing)} partitions that these days look at are not there: {shown}",
                f"{resolved.name}: {', '.join(days[:SHOWN])}",
                "every day to be scored, and the history_days before it, as far as the datasets reach",
                "ingest them first",
            )
        )
    inputs = {day: {name: digest for name, digest in each.items() if digest} for day, each in looked_at.items()}
    return derived.feature_keys(project, resolved, days, data_dir), inputs


def feature_rows(
    project: Project,
    resolved: ResolvedRecipe,
    keys: Mapping[str, str],
    inputs: Inputs,
    data_dir: Path | None = None,
) -> Iterator[tuple[str, pa.Table]]:
    """Each day of `keys` (day to feature key) in ascending order, with its feature rows in the order of the dataset's key.

    Raises Unstamped for data that did not pass its contract, FeatureError where the view is at fault.
    """
    from mtac_assets.data.features import read_features, require_stamped
    from mtac_assets.data.features_day import FeatureRun
    from mtac_assets.data.features_view import load_definition
    from mtac_assets.data.partitions import read_table

    folder = data_dir or project.state.data
    kept = {day for day, key in keys.items() if _is_kept(project, resolved, day, key)}
    computed = [day for day in keys if day not in kept]
    run = None
    if computed:
        allowed = {name for day in computed for name in inputs[day]}
        require_stamped(project, folder, sorted(allowed))
        # What is not in a day's key cannot reach it.
        run = FeatureRun(
            load_definition(project, resolved),
            lambda dataset, key: read_table(folder, dataset, key) if f"{dataset}/{key}" in allowed else None,
        )
    for day in sorted(keys):
        if run is None or day in kept:
            yield day, read_features(project, resolved, day, keys[day])
        else:
            yield day, run.compute(day)


def _is_kept(project: Project, resolved: ResolvedRecipe, day: str, key: str) -> bool:
    manifest = plan.FeatureManifest.read(plan.manifest_path(project, resolved.name, day))
    return (
        manifest is not None
        and manifest.key == key
        and plan.intact(plan.feature_path(project, resolved.name, day), manifest)
    )
