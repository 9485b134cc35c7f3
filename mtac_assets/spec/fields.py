"""The kinds of value that fields of the language have: names, references to functions, shares, dates.

What belongs to one document only (recipe, dataset, environment) stands with that document.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
COLUMN_PATTERN = r"^[^\x00-\x1f\x7f`]{1,128}$"
FUNCTION_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
MODEL_PATTERN = rf"^[a-z][a-z0-9_]*$|{FUNCTION_PATTERN}"
TASK_PATTERN = r"^[a-z][a-z0-9_]*$|^[A-Za-z_][A-Za-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*$"
OWNER_PATTERN = r"^(team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
SCHEMA_VERSION = 1

FIRST_YEAR, LAST_YEAR = 1900, 2200
MAX_DAYS = 36_500  # a century

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Spec(BaseModel):
    """Base of every section: frozen, no unknown keys, no coercion (a whole number may stand for a float), finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


def _iso_date(value: Any) -> date:
    if isinstance(value, date):
        return value
    if isinstance(value, str) and _ISO_DATE.fullmatch(value):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
        if day is not None and in_range(day):
            return day
    raise PydanticCustomError("iso_date", "not a date written as YYYY-MM-DD")


def in_range(day: date) -> bool:
    """Is `day` one that windows can be counted from without leaving the calendar?"""
    return FIRST_YEAR <= day.year <= LAST_YEAR


Version = Annotated[int, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION, json_schema_extra={"const": SCHEMA_VERSION})]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Column = Annotated[str, Field(pattern=COLUMN_PATTERN)]
Function = Annotated[str, Field(pattern=FUNCTION_PATTERN)]
Owner = Annotated[str, Field(pattern=OWNER_PATTERN)]
Variable = Annotated[str, Field(pattern=VARIABLE_PATTERN)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=2**53 - 1)]
Count = Annotated[int, Field(ge=1)]
Days = Annotated[int, Field(ge=1, le=MAX_DAYS)]
Day = Annotated[date, BeforeValidator(_iso_date)]


def by_kind(value: Any) -> str | None:
    """Tag of a section that its `kind` decides. In brackets, which no field name has, so that paths can drop it."""
    kind = cast("dict[Any, Any]", value).get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"<{kind}>" if isinstance(kind, str) else None


def by_switch(value: Any) -> str:
    """Tag of a value that may be true, false or a list of names."""
    return "<list>" if isinstance(value, list | tuple) else "<switch>"


def by_shape(value: Any) -> str:
    """Tag of a value that may be a scalar or a section."""
    return "<map>" if isinstance(value, dict | BaseModel) else "<scalar>"
