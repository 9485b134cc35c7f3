"""Exact numbers of the language: ratios written as fractions or short decimals, never rounded on the way in."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

RATIO_PATTERN = r"^(0|[1-9][0-9]{0,8})(/[1-9][0-9]{0,8})?$"
MAX_DIGITS = 15  # of a decimal: up to so many, a binary64 gives back the very digits that were written

_FRACTION = re.compile(RATIO_PATTERN)


def exact(value: str) -> Fraction:
    """The number that a validated ratio stands for."""
    return Fraction(value)


def _canonical(value: Any) -> str:
    """`3/8`, `6/16` and 0.375 are one ratio, kept as "3/8": documents and fingerprints hold the value, not its spelling."""
    if isinstance(value, str) and _FRACTION.fullmatch(value):
        return str(Fraction(value))
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        written = repr(value)
        digits = re.sub(r"[eE].*|[-+.]", "", written).strip("0")
        fraction = Fraction(written)
        if len(digits) <= MAX_DIGITS and fraction.denominator < 10**9 and fraction.numerator < 10**9:
            return str(fraction)
    raise PydanticCustomError("ratio", 'not an exact ratio such as "3/8" or 0.375')


Ratio = Annotated[
    str,
    BeforeValidator(_canonical, json_schema_input_type=Annotated[str, Field(pattern=RATIO_PATTERN)] | float),
]
"""A number that is zero or above, exact: a fraction in quotes or not (3/8), or a decimal of up to 15 digits."""
