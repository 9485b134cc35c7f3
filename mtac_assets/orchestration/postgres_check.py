"""Tables on PostgreSQL: are Dagster's and MLflow's of the schema that the installed versions write, and quick to answer?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.services.database import asked, connected
from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    from mtac_assets.spec.environment import Postgres

SLOW_SECONDS = 1.0


def problems_of(postgres: Postgres) -> list[Finding]:
    """What is wrong with the tables of Dagster, and with MLflow's where it has made them. Raises DatabaseDown, SecretMissing."""
    import dagster_postgres.run_storage.run_storage as storage
    from alembic.script import ScriptDirectory
    from dagster_postgres.utils import pg_alembic_config

    wants = ScriptDirectory.from_config(pg_alembic_config(str(storage.__file__))).get_current_head()
    found = _schema(postgres, postgres.dagster_database, "Dagster", wants)
    if found is None:
        where = f"{postgres.host}:{postgres.port}/{postgres.dagster_database}"
        return [Finding("Dagster's tables are not there", where, "tables", "run `mtac service prepare`")]
    return found + (_schema(postgres, postgres.mlflow_database, "MLflow", _mlflow_head()) or [])


def _schema(postgres: Postgres, database: str, whose: str, wants: str | None) -> list[Finding] | None:
    """What is wrong with a database's revision; None where it has none: no tables yet."""
    where = f"{postgres.host}:{postgres.port}/{database}"
    with connected(postgres, database) as opened:
        known = {name for (name,) in asked(opened, "select tablename from pg_tables where schemaname = 'public'")}
        if "alembic_version" not in known:
            return None
        has = [revision for (revision,) in asked(opened, "select version_num from alembic_version")]
    if has == [wants]:
        return []
    expected = f"{wants}, which the installed {whose} writes"
    remedy = "stop all services, `mtac backup`, then `mtac service migrate`"
    return [Finding(f"the database's schema is {', '.join(has) or 'unknown'}", where, expected, remedy)]


def _mlflow_head() -> str | None:
    """The revision that the installed MLflow writes, from its migrations; MLflow itself is not imported."""
    from importlib.util import find_spec

    from alembic.script import ScriptDirectory

    found = find_spec("mlflow")
    assert found is not None
    assert found.submodule_search_locations is not None
    return ScriptDirectory(
        str(Path(found.submodule_search_locations[0]) / "store" / "db_migrations")
    ).get_current_head()


def seconds_to_answer(postgres: Postgres, database: str) -> float:
    """How long one connection with one question takes. Raises DatabaseDown, SecretMissing."""
    began = time.monotonic()
    with connected(postgres, database) as opened:
        asked(opened, "select 1")
    return time.monotonic() - began
