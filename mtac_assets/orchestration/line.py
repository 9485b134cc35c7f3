"""The line from the command line: the Dagster runs, in this process, that bring one model up to date.

What is stale is the plan's to say. Each run is a job that the UI knows, so that it looks there like one started there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.orchestration.triggers.tags import AS_OF_TAG, PERSON, TRIGGER_TAG
from mtac_assets.provenance import plan as planning

if TYPE_CHECKING:
    import dagster as dg

    from mtac_assets.orchestration.execute import Done
    from mtac_assets.provenance.plan import Plan
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

Echo = Callable[[str], None]


@dataclass(frozen=True)
class LineResult:
    """What a line made. `mlflow_url` is None while MLflow has not seen the recording."""

    model_id: str
    weights_digest: str
    fingerprint: str
    report: Path
    mlflow_url: str | None
    dagster_run_ids: tuple[str, ...]


def run_line(
    project: Project,
    resolved: ResolvedRecipe,
    *,
    echo: Echo | None = None,
    force: bool = False,
    workers: int = 0,
    trigger: str = PERSON,
    tags: Mapping[str, str] | None = None,
    ingest: Mapping[str, Sequence[str]] | None = None,
) -> LineResult:
    """Run what the plan names, in its order: missing days, stale features, then training set, model and report.

    `tags` go on every run beside the trigger (its evidence, say); `ingest` names days to bring in first, by dataset, beyond
    those that the plan finds missing. `workers`: of the training; 0: as many as the environment says. With `force` the model is trained and judged again even if all is there. Raises MtacError with the finding that stopped it.
    """
    first = planning.plan(project, resolved)
    _load_ahead(project, resolved, first, force)
    with _Line(project, resolved.overrides, echo, trigger, tags or {}) as line:
        for dataset, keys in (ingest or {}).items():
            for keys_of_one_run in unbroken(keys):
                line.ingest(dataset, keys_of_one_run)
        for step in _dataset_steps(project, planning.plan(project, resolved) if ingest else first):
            line.ingest(step.asset, step.partitions)
        # Which features are stale is known only now that the data is there.
        wanted = planning.plan(project, resolved)
        stale = {step.asset: step for step in wanted.steps}
        features = stale.get(f"{resolved.name}/features")
        if features is not None:
            line.features(resolved, features.partitions)
        from mtac_assets.orchestration.jobs import trained_assets

        last = [name for name in trained_assets(resolved.is_language) if force or f"{resolved.name}/{name}" in stale]
        shown = line.train(resolved, last, force=force, workers=workers) if last else {}
        if isinstance(waiting := shown.get("mlflow_run"), str) and not _is_page(waiting):
            line.say(f"warning: MLflow was not told yet ({waiting}); the next mtac command tries again")
        return _result(project, resolved, shown, line.run_ids)


def ingest_days(project: Project, dataset: str, keys: Sequence[str], *, echo: Echo | None = None) -> tuple[str, ...]:
    """Ingest days of one dataset, a run for each unbroken range; returns the ids of the Dagster runs."""
    with _Line(project, (), echo, PERSON, {}) as line:
        for keys_of_one_run in unbroken(keys):
            line.ingest(dataset, keys_of_one_run)
        return tuple(line.run_ids)


def unbroken(keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Days, in order, parted wherever one is missing; keys that are no days stand alone."""
    groups: list[list[str]] = []
    for key in sorted(set(keys)):
        if groups and _next_day(groups[-1][-1]) == key:
            groups[-1].append(key)
        else:
            groups.append([key])
    return [tuple(group) for group in groups]


@dataclass
class _Line:
    """Dagster opened once for all runs of a line."""

    project: Project
    overrides: tuple[str, ...]
    echo: Echo | None
    trigger: str
    tags: Mapping[str, str]
    run_ids: list[str] = field(default_factory=list)

    def __enter__(self) -> _Line:
        from mtac_assets.orchestration.dead_runs import close_dead_runs
        from mtac_assets.orchestration.instance import instance
        from mtac_assets.orchestration.repository import load_repository
        from mtac_assets.promotion.decide import settle_all
        from mtac_assets.tracking.record import at_start

        self._stack = ExitStack()
        self._repository = load_repository(self.project)
        self._instance: dg.DagsterInstance = self._stack.enter_context(instance(self.project))
        for run_id in close_dead_runs(self.project, self._instance):
            self.say(f"Dagster run {run_id} was left open by a process that is gone; it is failed now")
        for warning in at_start(self.project).warnings:
            self.say(f"warning: {warning.error}; {warning.remedy}")
        for words in settle_all(self.project):
            self.say(f"warning: {words}")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ingest(self, dataset: str, keys: Sequence[str]) -> None:
        from mtac_assets.orchestration.jobs import ingest_name

        self.say(f"{dataset}: {len(keys)} partitions to ingest and validate")
        self._run(ingest_name(dataset), keys, {"mtac/dataset": dataset}, ranged=True)

    def features(self, resolved: ResolvedRecipe, keys: Sequence[str]) -> None:
        from mtac_assets.orchestration.jobs import features_name

        self.say(f"{resolved.name}/features: {len(keys)} partitions to compute")
        self._run(features_name(resolved.name), keys, _tags(resolved), ranged=True)

    def train(self, resolved: ResolvedRecipe, assets: Sequence[str], *, force: bool, workers: int) -> dict[str, Any]:
        import dagster as dg

        from mtac_assets.orchestration.jobs import train_name, trained_assets

        as_of = (resolved.as_of.isoformat(),) if resolved.as_of is not None else ()
        self.say(f"{resolved.name}: {', '.join(assets).replace('_', ' ')}" + (f" as of {as_of[0]}" if as_of else ""))
        # All of a job's assets are the job itself: only then does the UI know the run's graph as the job's.
        every = trained_assets(resolved.is_language)
        keys = None if set(assets) == set(every) else [dg.AssetKey([resolved.name, each]) for each in assets]
        done = self._run(
            train_name(resolved.name), as_of, _tags(resolved), ranged=False, assets=keys, force=force, workers=workers
        )
        return {name: value for values in done.metadata.values() for name, value in values.items()}

    def _run(
        self,
        job: str,
        keys: Sequence[str],
        tags: dict[str, str],
        *,
        ranged: bool,
        assets: Sequence[dg.AssetKey] | None = None,
        force: bool = False,
        workers: int = 0,
    ) -> Done:
        from mtac_assets.orchestration.execute import execute, partition_tags
        from mtac_assets.orchestration.settings import run_config

        definition = self._repository.get_job(job)
        partitioned = definition.partitions_def is not None
        done = execute(
            self.project,
            self._instance,
            definition,
            tags={
                **tags,
                **self.tags,
                TRIGGER_TAG: self.trigger,
                **(partition_tags(keys, ranged=ranged) if partitioned else {}),
            },
            run_config=run_config(self.overrides, force=force, workers=workers),
            assets=assets,
        )
        self.run_ids.append(done.run_id)
        return done

    def say(self, what: str) -> None:
        if self.echo is not None:
            self.echo(what)


def _load_ahead(project: Project, resolved: ResolvedRecipe, wanted: Plan, force: bool) -> None:
    """Trainer and evaluation load their libraries while Dagster is loaded, and data and features are made, on the core that has
    nothing to do.

    Not while the training runs: what loads beside it takes more from it than it saves.
    """
    from mtac_assets.evaluation import launch as evaluation
    from mtac_assets.training import launch as training

    stale = {step.asset for step in wanted.steps}
    if force or f"{resolved.name}/model" in stale:
        # A first training is probed, unless the environment shards the weights; a later one of other code starts its probe itself.
        first = not planning.known_models(project, resolved.name)
        training.prepare(project, resolved, probe=first and not project.environment.launcher.sharded)
    if force or f"{resolved.name}/report" in stale:
        evaluation.prepare(project, resolved)


def _tags(resolved: ResolvedRecipe) -> dict[str, str]:
    tags = {"mtac/recipe": resolved.name}
    if resolved.as_of is not None:
        tags[AS_OF_TAG] = resolved.as_of.isoformat()
    return tags | ({"mtac/overrides": " ".join(resolved.overrides)} if resolved.overrides else {})


def _dataset_steps(project: Project, wanted: Plan) -> list[planning.Step]:
    datasets = project.datasets()
    return [step for step in wanted.steps if step.asset in datasets]


def _next_day(key: str) -> str | None:
    try:
        return (date.fromisoformat(key) + timedelta(days=1)).isoformat()
    except ValueError:
        return None


def _is_page(shown: str) -> bool:
    return shown.startswith(("http://", "https://"))


def _result(project: Project, resolved: ResolvedRecipe, shown: dict[str, Any], run_ids: list[str]) -> LineResult:
    from mtac_assets.provenance.files import read_json
    from mtac_assets.provenance.identity import declare

    # What was made is asked first: code that was edited meanwhile would declare another model.
    model_id = shown.get("Model ID") or declare(project, resolved).model_id(resolved.name)
    pack = project.state.models / model_id
    url = shown.get("mlflow_run")
    return LineResult(
        model_id=model_id,
        weights_digest=read_json(pack / "digests.json")["weights_digest"],
        fingerprint=read_json(pack / "declaration.json")["fingerprint"],
        report=project.state.reports / model_id / "report.html",
        mlflow_url=url if isinstance(url, str) and _is_page(url) else None,
        dagster_run_ids=tuple(run_ids),
    )
