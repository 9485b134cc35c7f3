"""How models look, the same in every chart and on every page: a colour that colour-blind people tell apart, a shape, a dash.

Colours after Okabe and Ito, "Color Universal Design" (2008); the pages' CSS has their lighter versions for dark mode.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """`css`: class on a page; `colour`, `dash`, `marker`: for matplotlib."""

    title: str
    css: str
    shape: str
    colour: str
    dash: str
    marker: str


MODEL = Look("this model", "model", "circle", "#0072B2", "-", "o")
CHAMPION = Look("champion", "champion", "diamond", "#D55E00", "--", "D")
BASELINE_LOOKS = {
    "hist_gradient_boosting": Look("gradient boosting", "boosting", "square", "#009E73", "-.", "s"),
    "logistic_regression": Look("logistic regression", "logistic", "triangle", "#B5568B", ":", "^"),
    "base_rate": Look("base rate", "rate", "bar", "#7A7A7A", ":", "|"),
}
A = Look("A", "model", "circle", "#0072B2", "-", "o")
B = Look("B", "champion", "diamond", "#D55E00", "--", "D")
OTHER = Look("other", "rate", "bar", "#7A7A7A", ":", "|")

POLICY_LOOKS = (
    Look("first", "rate", "bar", "#7A7A7A", ":", "|"),
    Look("second", "model", "circle", "#0072B2", "-", "o"),
    Look("third", "champion", "diamond", "#D55E00", "--", "D"),
    Look("fourth", "boosting", "square", "#009E73", "-.", "s"),
    Look("fifth", "logistic", "triangle", "#B5568B", ":", "^"),
)


_LOOKS = {"model": MODEL, "champion": CHAMPION, "a": A, "b": B, **BASELINE_LOOKS}


def look_of(name: str) -> Look:
    """The look of a model by its name in a report: `model`, `champion`, a baseline; `a` and `b` where two are compared."""
    return _LOOKS.get(name, OTHER)
