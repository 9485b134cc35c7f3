"""How models look, the same in every chart and on every page: a colour that colour-blind people tell apart, a shape, a dash.

Colours after Okabe and Ito, "Color Universal Design" (2008), two of them darker for thin lines on white; the pages' CSS has
their lighter versions for dark mode.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """`css`: class in a chart; `shape`: of its marks (svg.mark); `colour`: on white paper."""

    title: str
    css: str
    shape: str
    colour: str


MODEL = Look("this model", "model", "circle", "#0072B2")
CHAMPION = Look("champion", "champion", "diamond", "#D55E00")
BASELINE_LOOKS = {
    "hist_gradient_boosting": Look("gradient boosting", "boosting", "square", "#00805c"),
    "logistic_regression": Look("logistic regression", "logistic", "triangle", "#a9467f"),
    "base_rate": Look("base rate", "rate", "bar", "#7a7a7a"),
}
A = Look("A", "model", "circle", "#0072B2")
B = Look("B", "champion", "diamond", "#D55E00")
OTHER = Look("other", "rate", "bar", "#7a7a7a")

POLICY_LOOKS = (
    Look("first", "rate", "bar", "#7a7a7a"),
    Look("second", "model", "circle", "#0072B2"),
    Look("third", "champion", "diamond", "#D55E00"),
    Look("fourth", "boosting", "square", "#00805c"),
    Look("fifth", "logistic", "triangle", "#a9467f"),
)

LIGHT = {
    "paper": "#fff",
    "ink": "#1a232e",
    "soft": "#5b6672",
    "faint": "#77828e",
    "grid": "#e9edf1",
    "diagonal": "#a4adb8",
    "bar": "#ccd6e1",
}
"""What charts are drawn with besides, on white paper: as a page's CSS has it for printing."""

_LOOKS = {"model": MODEL, "champion": CHAMPION, "a": A, "b": B, **BASELINE_LOOKS}


def look_of(name: str) -> Look:
    """The look of a model by its name in a report: `model`, `champion`, a baseline; `a` and `b` where two are compared."""
    return _LOOKS.get(name, OTHER)
