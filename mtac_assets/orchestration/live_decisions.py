"""What live rows decide, as a run: the end of a shadow period, a look at a champion on probation. A job, for it makes nothing new."""

from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration.dead_runs import sign
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.jobs import MAX_RUNTIME_TAG, RECIPE_TAG, executor, live_decisions_name

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.promotion.transition import Decision


def live_decisions_job(place: "RecipePlace") -> dg.JobDefinition:
    """Decide all that is due. A run that finds nothing due, because another decided it, succeeds and changes nothing."""
    project, name = place.project, live_decisions_name(place.name)

    @dg.op(name=f"{name}_decide")
    def decide(context: dg.OpExecutionContext) -> None:
        from mtac_assets.monitoring.webhook import notify
        from mtac_assets.promotion.decide import settle_all
        from mtac_assets.promotion.live import decide_due

        sign(context)
        with as_failure():
            for words in settle_all(project):
                context.log.warning(words)
            decisions = decide_due(project, place.name, context.log.info)
        for decision in decisions:
            context.log.info(says(decision))
            for warning in decision.warnings:
                context.log.warning(warning)
            event = {"recipe": place.name, "model_id": decision.model_id, "decision": decision.entry.kind}
            for finding in notify(project, "decision", {**event, "says": says(decision)}):
                context.log.warning(str(finding))
        if not decisions:
            context.log.info("nothing is due: it was decided meanwhile, or labels are missing")

    @dg.job(
        name=name,
        description=f"Decide on live rows: shadows of `{place.name}` that have ended, and whether its new champion stays.",
        tags={RECIPE_TAG: place.name},
        run_tags={RECIPE_TAG: place.name, MAX_RUNTIME_TAG: str(project.environment.limits.run_seconds)},
        executor_def=executor(project),
    )
    def live_decisions() -> None:
        decide()

    return live_decisions


def says(decision: "Decision") -> str:
    """A decision in a sentence, as people read it in a log and a chat."""
    failed = [f"{one.gate}: {one.reason}" for one in decision.verdicts if not one.passed]
    what = {
        "promote": "is the champion",
        "rollback": f"is the champion again, instead of {decision.previous}",
        "keep": "stays the champion",
        "refuse": f"is refused ({'; '.join(failed)})",
    }[decision.entry.kind]
    return f"{decision.model_id} {what}; {decision.entry.reason}"
