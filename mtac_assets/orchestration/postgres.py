"""Dagster's storages on PostgreSQL, with the password in a file: dagster-postgres's own, told where to read it.

Named by the `dagster.yaml` of a server environment. The file is read at every new connection, so a password is rotated
without a restart, and none stands in a configuration, a command line or an environment variable that trainings inherit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from dagster import StringSource
from dagster._config.config_schema import UserConfigSchema
from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.auth import PgTokenProvider

from mtac_assets.services.database import password

FIELDS: dict[str, Any] = {"address": StringSource, "password_file": StringSource}


class PasswordFile(PgTokenProvider):
    """The password as the file has it at this moment."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def _fetch_token(self) -> tuple[str, float]:
        return password(self._path), 0.0  # expired at once: asked for at every connection


class _WithPasswordFile:
    """What the three storages below have in common: an address, and where the password is read."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return FIELDS

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        provider = PasswordFile(config_value["password_file"])
        arguments = {"postgres_url": config_value["address"], "inst_data": inst_data, "token_provider": provider}
        return cls(**arguments)


class Runs(_WithPasswordFile, PostgresRunStorage):
    """`PostgresRunStorage` with a password file."""


class EventLog(_WithPasswordFile, PostgresEventLogStorage):
    """`PostgresEventLogStorage` with a password file."""


class Schedules(_WithPasswordFile, PostgresScheduleStorage):
    """`PostgresScheduleStorage` with a password file."""
