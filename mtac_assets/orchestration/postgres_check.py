"""Dagster's tables on PostgreSQL: are they there, of the schema that the installed Dagster writes, and quick to answer?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mtac_assets.services.database import asked, connected
from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    from mtac_assets.spec.environment import Postgres

SLOW_SECONDS = 1.0


def problems_of(postgres: Postgres) -> list[Finding]:
    """What is wrong with Dagster's database. Raises DatabaseDown, SecretMissing."""
    import dagster_postgres.run_storage.run_storage as storage
    from alembic.script import ScriptDirectory
    from dagster_postgres.utils import pg_alembic_config

    where = f"{postgres.host}:{postgres.port}/{postgres.dagster_database}"
    with connected(postgres, postgres.dagster_database) as opened:
        known = {name for (name,) in asked(opened, "select tablename from pg_tables where schemaname = 'public'")}
        if "alembic_version" not in known:
            return [Finding("Dagster's tables are not there", where, "tables", "run `mtac service prepare`")]
        has = [revision for (revision,) in asked(opened, "select version_num from alembic_version")]
    wants = ScriptDirectory.from_config(pg_alembic_config(str(storage.__file__))).get_current_head()
    if has == [wants]:
        return []
    expected = f"{wants}, which the installed Dagster writes"
    remedy = "stop all services, `mtac backup`, then `mtac service migrate`"
    return [Finding(f"the database's schema is {', '.join(has) or 'unknown'}", where, expected, remedy)]


def seconds_to_answer(postgres: Postgres, database: str) -> float:
    """How long one connection with one question takes. Raises DatabaseDown, SecretMissing."""
    began = time.monotonic()
    with connected(postgres, database) as opened:
        asked(opened, "select 1")
    return time.monotonic() - began
