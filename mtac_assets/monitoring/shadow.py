"""May a challenger take the champion's place after its shadow period, and must a new champion go back? Decisions, nothing else.

Pure functions of what was compared (`live_comparison`), so that replays and tests decide as the running line does. Nothing is
moved here: whoever asks writes the ledger. A shadow is judged once, at its end; a rollback at a few looks that share its alpha
(Bonferroni; Dunn, JASA 56 (1961)): looking every day and stopping at the first bad one would take back good champions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mtac_assets.evaluation.compare import Comparison
    from mtac_assets.spec.recipe import Rollback, Shadow

Decision = Literal["wait", "promote", "refuse", "keep", "roll_back"]


@dataclass(frozen=True)
class Verdict:
    """`wait`: too early to say. Of a shadow: `promote` or `refuse`. Of a rollback: `keep` or `roll_back`; `final`: it will
    not be asked again."""

    decision: Decision
    reason: str
    final: bool
    evidence: dict[str, Any]

    def document(self) -> dict[str, Any]:
        return {"decision": self.decision, "reason": self.reason, "final": self.final, "evidence": self.evidence}


def shadow_days(labelled: Sequence[str], settings: Shadow) -> tuple[str, ...]:
    """The days that the shadow is judged on: the first ones with labels, however many have come since."""
    return tuple(sorted(labelled)[: settings.days])


def shadow_verdict(days: Sequence[str], comparison: Comparison | None, settings: Shadow) -> Verdict:
    """`comparison`: of the challenger with the champion on `days` (`shadow_days`); None while these are too few.

    Promoted where the challenger is better by more than `min_effect` at `alpha`; a comparison that cannot be made promotes
    nobody.
    """
    evidence = _evidence(days, comparison, settings.alpha)
    if len(days) < settings.days:
        return Verdict("wait", f"{len(days)} of {settings.days} days have labels", False, evidence)
    assert comparison is not None, "a shadow whose days are all there is judged on a comparison"
    _require_same(comparison, settings.metric, (settings.min_effect, settings.seed_deviation), days)
    better, reason = _is_better(comparison, settings.alpha, settings.min_rows, "the challenger", "the champion")
    return Verdict("promote" if better else "refuse", reason, True, evidence)


def rollback_days(labelled: Sequence[str], settings: Rollback) -> tuple[str, ...]:
    """The days that the next (or the last) look compares: all since the promotion, up to a full `window_days`; () before one."""
    looks = min(len(labelled) // settings.window_days, settings.looks)
    return tuple(sorted(labelled)[: looks * settings.window_days])


def rollback_verdict(labelled: Sequence[str], comparison: Comparison | None, settings: Rollback) -> Verdict:
    """`labelled`: all days with labels since the promotion; `comparison`: of the predecessor with the champion on
    `rollback_days`; None before the first look."""
    days = rollback_days(labelled, settings)
    look, level = len(days) // settings.window_days, settings.alpha / settings.looks
    evidence = _evidence(days, comparison, level) | {"look": look, "looks": settings.looks}
    if not days:
        return Verdict("wait", f"{len(labelled)} of {settings.window_days} days have labels", False, evidence)
    assert comparison is not None, "a look is a comparison"
    _require_same(comparison, settings.metric, (settings.min_effect, 0.0), days)
    better, reason = _is_better(comparison, level, settings.min_rows, "the predecessor", "the champion")
    final = better or look == settings.looks
    return Verdict("roll_back" if better else "keep", f"look {look} of {settings.looks}: {reason}", final, evidence)


def _is_better(comparison: Comparison, level: float, min_rows: int, a: str, b: str) -> tuple[bool, str]:
    if comparison.rows < min_rows:
        return False, f"{comparison.rows} labelled rows; {min_rows} are needed"
    if comparison.p_value is None:
        return False, f"the two cannot be told apart: {comparison.reason}"
    words = f"{a} is {comparison.effect:+.4g} in {comparison.metric} against {b}, p = {comparison.p_value:.3g}"
    if comparison.p_value <= level:
        return True, f"{words}, at most {level:.3g}"
    return False, f"{words}, above {level:.3g}"


def _require_same(comparison: Comparison, metric: str, margin: tuple[float, float], days: Sequence[str]) -> None:
    """`margin`: the minimum effect and the deviation of seeds that were to count."""
    assert comparison.metric == metric, f"compared by {comparison.metric}, to be judged by {metric}"
    counted = (comparison.min_effect, comparison.seed_deviation)
    assert counted == margin, "compared with another min_effect or seed_deviation"
    assert comparison.days == len(days), f"compared on {comparison.days} days, to be judged on {len(days)}"


def _evidence(days: Sequence[str], comparison: Comparison | None, level: float) -> dict[str, Any]:
    return {
        "days": list(days),
        "alpha": level,
        "comparison": None if comparison is None else comparison.document(),
    }
