"""Dagster on the environment's PostgreSQL: a real server with a password, a real run, tables made once by whoever comes first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest

from mtac_assets.orchestration import instance as homes
from mtac_assets.orchestration.postgres_check import problems_of
from mtac_assets.orchestration.prepare import migrate
from mtac_assets.services.database import DatabaseDown, SecretMissing, asked, connected, url
from mtac_assets.spec.project import Project
from mtac_assets_tests.postgres import PASSWORD, Postgres, postgres
from mtac_assets_tests.served import served as server_project

OPEN = """
from mtac_assets.orchestration import instance as homes
from mtac_assets.spec.project import find_project
with homes.instance(find_project()) as opened:
    opened.all_instigator_state()
    assert opened.get_runs_count() == 0
"""


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as made:
        yield made


@pytest.fixture
def served(project: Project, database: Postgres, tmp_path: Path) -> Project:
    """The small project in a server environment of its own."""
    for name in ("dagster", "mlflow"):
        database.ask(f"drop database if exists {name} with (force)")
        database.ask(f"create database {name}")
    return server_project(project, tmp_path, database.settings)


@dg.op
def nothing() -> None: ...


@dg.job
def short() -> None:
    nothing()


def test_a_run_is_kept_on_postgres_and_nothing_beside_it(served: Project, database: Postgres) -> None:
    with homes.instance(served) as opened:
        assert short.execute_in_process(instance=opened).success
        pools = {pool.name: pool.limit for pool in opened.event_log_storage.get_pool_limits()}
        assert pools == {"training": served.environment.limits.concurrent_trainings}
    assert database.ask("select status from runs", "dagster") == "SUCCESS"
    assert int(database.ask("select count(*) from event_logs", "dagster")) > 5
    home = served.state.dagster
    assert not list(home.rglob("*.db"))
    for path in home.rglob("*.yaml"):
        assert PASSWORD not in path.read_text()
    with dg.DagsterInstance.from_config(str(home)) as server:
        assert server.get_runs_count() == 1


def test_processes_that_make_the_tables_at_once_all_can(served: Project, database: Postgres) -> None:
    together = [
        subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning", "-c", OPEN], cwd=served.root, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in together:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert database.ask("select count(*) from alembic_version", "dagster") == "1"


@pytest.mark.slow
def test_tables_of_an_older_version_are_brought_up_to_date_and_lose_nothing(
    served: Project, database: Postgres
) -> None:
    with homes.instance(served) as opened:
        assert short.execute_in_process(instance=opened).success
    newest = database.ask("select version_num from alembic_version", "dagster")
    older(database)
    assert database.ask("select version_num from alembic_version", "dagster") != newest
    mlflow_older = database.ask("select version_num from alembic_version", "mlflow")

    (finding,) = problems_of(database.settings)
    assert "mtac service migrate" in finding.remedy
    assert len(list(migrate(served))) == 2
    assert problems_of(database.settings) == []
    assert database.ask("select version_num from alembic_version", "mlflow") != mlflow_older
    assert database.ask("select status from runs", "dagster") == "SUCCESS"
    with homes.instance(served) as opened:
        assert short.execute_in_process(instance=opened).success
    assert database.ask("select count(*) from runs", "dagster") == "2"


def older(database: Postgres) -> None:
    """Both databases as the versions before had them: their own migrations, undone and not gone through to the end."""
    import dagster_postgres.run_storage.run_storage as storage
    from alembic import command
    from dagster_postgres.utils import pg_alembic_config
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    config = pg_alembic_config(str(storage.__file__))
    engine = create_engine(address(database, "dagster"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    engine.dispose()
    engine = create_engine(address(database, "mlflow"))
    Base.metadata.create_all(engine)  # what MLflow's own migrations begin with
    engine.dispose()
    command.upgrade(_get_alembic_config(address(database, "mlflow")), "heads-1")


def address(database: Postgres, name: str) -> str:
    """The URL with the password in it, as a library wants it."""
    return url(database.settings, name).replace("@", f":{quote(PASSWORD, safe='')}@", 1)


def test_a_password_is_rotated_without_a_restart(served: Project, database: Postgres) -> None:
    secret = Path(database.settings.password_file)
    with homes.instance(served) as opened:
        try:
            database.ask("alter role mtac password 'another'")
            secret.write_text("another\n")
            assert opened.get_runs_count() == 0
        finally:
            with connected(database.settings, "postgres") as own:
                own.cursor().execute("alter role mtac password %s", (PASSWORD,))
            secret.write_text(PASSWORD + "\n")


@pytest.mark.parametrize(
    ("content", "error", "kind"),
    [
        (None, "No such file", SecretMissing),
        ("", "empty", SecretMissing),
        ("a\nb\n", "more than one line", SecretMissing),
        ("wrong\n", "password authentication failed", DatabaseDown),
    ],
)
def test_a_secret_that_is_not_right_is_named(
    served: Project, tmp_path: Path, content: str | None, error: str, kind: type[Exception]
) -> None:
    assert served.environment.server is not None
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_text(content)
    settings = served.environment.server.postgres.model_copy(update={"password_file": str(secret)})
    server = served.environment.server.model_copy(update={"postgres": settings})
    changed = replace(served, environment=served.environment.model_copy(update={"server": server}))
    with pytest.raises(kind, match=error) as caught, homes.instance(changed):
        pass
    assert PASSWORD not in str(caught.value)


def test_a_database_that_is_down_is_named_before_anything_is_done(served: Project, database: Postgres) -> None:
    database.kill()
    try:
        with pytest.raises(DatabaseDown, match="refused"), connected(database.settings, "dagster") as opened:
            asked(opened, "select 1")
        with pytest.raises(DatabaseDown), homes.instance(served):
            pass
    finally:
        database.start()
