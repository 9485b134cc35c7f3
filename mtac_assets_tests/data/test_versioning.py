"""Versions in DVC: what plain DVC understands, verified both ways, all inside the project's folder. Fault 9."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from mtac_assets.data.ingest import ingest
from mtac_assets.data.partitions import PartitionError, manifest_path, partition_path, pointer_path, read_table
from mtac_assets.data.versioning import VersioningError, pull, verify_remote, version
from mtac_assets.provenance.store import Pointer

KEYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


@pytest.fixture
def versioned(shop):
    for key in KEYS:
        shop.csv(key)
    ingest(shop.project, "orders", KEYS)
    assert version(shop.project, "orders", KEYS).pushed == tuple(KEYS)
    return shop


def remote_object(shop, key: str) -> Path:
    pointer = Pointer.parse(pointer_path(shop.data, "orders", key).read_bytes(), "")
    return shop.project.state.remote / "files" / "md5" / pointer.md5[:2] / pointer.md5[2:]


def cached(shop) -> set[str]:
    return {
        path.parent.name + path.name
        for path in (shop.project.state.root / ".dvc" / "cache").rglob("*")
        if path.is_file()
    }


@pytest.fixture
def elsewhere(versioned, tmp_path: Path) -> tuple[Path, list[Path]]:
    """Another data folder with pointers and manifests alone, and an empty cache."""
    folder = tmp_path / "checkout" / "orders"
    folder.mkdir(parents=True)
    for key in KEYS:
        shutil.copy(manifest_path(versioned.data, "orders", key), folder)
        shutil.copy(pointer_path(versioned.data, "orders", key), folder)
    shutil.rmtree(versioned.project.state.root / ".dvc" / "cache")
    return folder.parent, [folder / f"{key}.parquet.dvc" for key in KEYS]


def dvc(shop, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=shop.project.state.root,
        env={**os.environ, "HOME": str(shop.project.root)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def test_plain_dvc_takes_it_for_its_own(versioned) -> None:
    """What is written here is what `dvc add` writes, and plain `dvc status` and `dvc pull` work on it."""
    pointer = pointer_path(versioned.data, "orders", KEYS[0])
    written = pointer.read_bytes()
    assert "up to date" in dvc(versioned, "status")
    pointer.unlink()
    dvc(versioned, "add", "-q", f"data/orders/{KEYS[0]}.parquet")
    assert pointer.read_bytes() == written
    whole = partition_path(versioned.data, "orders", KEYS[1]).read_bytes()
    shutil.rmtree(versioned.project.state.root / ".dvc" / "cache")
    partition_path(versioned.data, "orders", KEYS[1]).unlink()
    dvc(versioned, "pull", "-q", f"data/orders/{KEYS[1]}.parquet")
    assert partition_path(versioned.data, "orders", KEYS[1]).read_bytes() == whole


def test_a_remote_that_is_a_folder_needs_no_dvc_and_a_second_time_nothing_is_done(shop) -> None:
    for key in KEYS:
        shop.csv(key)
    ingest(shop.project, "orders", KEYS)
    code = (
        "import sys; from pathlib import Path; from mtac_assets.spec.project import find_project;"
        "from mtac_assets.data.versioning import verify_remote, version;"
        "p = find_project(Path(sys.argv[1]), 'local'); r = version(p, 'orders', sys.argv[2:]);"
        "print(len(r.unchanged), len(r.pushed), verify_remote(p, 'orders', sys.argv[2:]), 'dvc' in sys.modules)"
    )
    for told in ("0 3 () False\n", "3 0 () False\n"):
        ran = subprocess.run(
            [sys.executable, "-c", code, shop.project.root, *KEYS], capture_output=True, text=True, check=True
        )
        assert ran.stdout == told
    assert remote_object(shop, KEYS[0]).stat().st_mode & 0o777 == 0o444, "as DVC protects it"


class Shelf(BaseHTTPRequestHandler):
    """A remote elsewhere: what is posted can be had again."""

    objects: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        content = b"".join(self._chunks()) if chunked else self.rfile.read(int(self.headers["Content-Length"]))
        self.objects[self.path] = content
        self._answer(200, b"")

    def do_GET(self) -> None:
        found = self.objects.get(self.path)
        self._answer(404 if found is None else 200, found or b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def test_a_remote_elsewhere_is_pushed_to_by_dvc_and_read_back(shop) -> None:
    for key in KEYS:
        shop.csv(key)
    ingest(shop.project, "orders", KEYS)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/data"
    remote = shop.project.environment.data.model_copy(update={"remote": url})
    project = replace(shop.project, environment=shop.project.environment.model_copy(update={"data": remote}))
    try:
        assert version(project, "orders", KEYS).pushed == tuple(KEYS)
        assert len(Shelf.objects) == 3
        assert verify_remote(project, "orders", KEYS) == ()
        bad = next(iter(Shelf.objects))
        Shelf.objects[bad] = Shelf.objects[bad][:-1] + b"?"
        (problem,) = verify_remote(project, "orders", KEYS)
        assert "it is damaged" in problem.error
    finally:
        server.shutdown()
        server.server_close()


def test_a_corrected_day_is_a_new_version_beside_the_old(versioned) -> None:
    old = remote_object(versioned, KEYS[0])
    versioned.csv(KEYS[0], versioned.orders(KEYS[0], price=[9.0] * 20))
    ingest(versioned.project, "orders", KEYS)
    result = version(versioned.project, "orders", KEYS)
    assert (result.pushed, result.unchanged) == ((KEYS[0],), tuple(KEYS[1:]))
    assert remote_object(versioned, KEYS[0]) != old
    assert old.exists()


def test_a_damaged_partition_is_not_versioned(versioned) -> None:
    path = partition_path(versioned.data, "orders", KEYS[0])
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    before = cached(versioned)
    with pytest.raises(PartitionError, match="SHA-256"):
        version(versioned.project, "orders", KEYS)
    assert cached(versioned) == before


def test_pull_brings_all_verified(elsewhere, versioned) -> None:
    data_dir, pointers = elsewhere
    assert len(pull(versioned.project, data_dir, pointers)) == 3
    for key in KEYS:
        assert read_table(data_dir, "orders", key, verify_bytes=True).num_rows == 20
    assert pull(versioned.project, data_dir, pointers) == ()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("harm", "error"),
    [(flip, "is damaged"), (cut, "is damaged"), (Path.unlink, "is missing")],
    ids=["corrupted", "half pushed", "missing"],
)
def test_a_bad_object_is_refused_by_name(elsewhere, versioned, harm, error: str) -> None:
    data_dir, pointers = elsewhere
    bad = remote_object(versioned, KEYS[1])
    whole = bad.read_bytes()
    harm(bad)
    left = bad.read_bytes() if bad.exists() else None
    with pytest.raises(VersioningError) as caught:
        pull(versioned.project, data_dir, pointers)
    (finding,) = caught.value.findings
    assert f"orders/{KEYS[1]}.parquet cannot be pulled: its object on the remote {error}" in finding.error.replace(
        "its object is missing on the remote", "its object on the remote is missing"
    )
    # Nothing partial appeared, the cache holds no bad object, and the remote was only read.
    assert not list(data_dir.rglob("*.parquet"))
    assert not [path for path in data_dir.rglob("*") if path.name.startswith(".tmp-")]
    assert bad.parent.name + bad.name not in cached(versioned)
    assert (bad.read_bytes() if bad.exists() else None) == left
    (problem,) = verify_remote(versioned.project, "orders", KEYS)
    assert KEYS[1] in problem.error
    # Whole again, it works.
    bad.parent.mkdir(exist_ok=True)
    bad.write_bytes(whole)
    assert len(pull(versioned.project, data_dir, pointers)) == 3
    assert verify_remote(versioned.project, "orders", KEYS) == ()


def test_an_object_that_fooled_md5_is_caught_by_the_manifest(elsewhere, versioned) -> None:
    """The pointer names another whole object: MD5 agrees, the manifest does not."""
    data_dir, pointers = elsewhere
    pointers[0].write_bytes(pointers[1].read_bytes().replace(KEYS[1].encode(), KEYS[0].encode()))
    with pytest.raises(VersioningError, match=f"orders/{KEYS[0]}.parquet cannot be pulled"):
        pull(versioned.project, data_dir, pointers)
    assert not list(data_dir.rglob("*.parquet"))


def test_a_poisoned_cache_heals(elsewhere, versioned) -> None:
    data_dir, pointers = elsewhere
    pull(versioned.project, data_dir, pointers)
    for path in (versioned.project.state.root / ".dvc" / "cache").rglob("*"):
        if path.is_file():
            flip(path)
    shutil.rmtree(data_dir / "orders" / "x", ignore_errors=True)
    for path in data_dir.rglob("*.parquet"):
        path.unlink()
    assert len(pull(versioned.project, data_dir, pointers)) == 3


def test_an_object_lost_on_the_remote_is_pushed_again(versioned) -> None:
    remote_object(versioned, KEYS[2]).unlink()
    assert version(versioned.project, "orders", KEYS).pushed == (KEYS[2],)
    assert verify_remote(versioned.project, "orders", KEYS) == ()


def test_a_damaged_object_on_the_remote_is_not_taken_for_pushed(versioned) -> None:
    """DVC trusts an object that is read-only and skips it; the manifest does not."""
    bad = remote_object(versioned, KEYS[0])
    flip(bad)
    bad.chmod(0o444)
    seen = versioned.project.state.cache / "pushed-orders.json"
    seen.unlink()
    with pytest.raises(VersioningError, match=f"{KEYS[0]}.parquet is not on the remote: it is damaged"):
        version(versioned.project, "orders", KEYS)
    assert not seen.exists()
    bad.unlink()  # the remedy that the error names
    assert version(versioned.project, "orders", KEYS).pushed == tuple(KEYS)
    assert verify_remote(versioned.project, "orders", KEYS) == ()


def test_a_remote_that_cannot_be_written_is_named(shop) -> None:
    shop.csv(KEYS[0])
    ingest(shop.project, "orders", KEYS[:1])
    shop.project.state.remote.write_text("a file in the way")
    with pytest.raises(VersioningError, match="remote"):
        version(shop.project, "orders", KEYS[:1])
    assert read_table(shop.data, "orders", KEYS[0], verify_bytes=True).num_rows == 20


def test_pull_from_another_remote(elsewhere, versioned, tmp_path: Path) -> None:
    data_dir, pointers = elsewhere
    moved = tmp_path / "moved"
    shutil.move(versioned.project.state.remote, moved)
    with pytest.raises(VersioningError, match="missing on the remote"):
        pull(versioned.project, data_dir, pointers)
    assert len(pull(versioned.project, data_dir, pointers, remote=str(moved))) == 3


def test_pointers_without_manifest_are_refused(elsewhere, versioned) -> None:
    data_dir, pointers = elsewhere
    manifest_path(data_dir, "orders", KEYS[0]).unlink()
    pointers[1].write_text("outs: []\n")
    with pytest.raises(VersioningError) as caught:
        pull(versioned.project, data_dir, [*pointers, data_dir / "orders" / "gone.parquet.dvc"])
    assert len(caught.value.findings) == 3


def test_nothing_outside_the_project_is_touched(shop, tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    shop.csv(KEYS[0])
    code = (
        "import sys; from pathlib import Path; from mtac_assets.spec.project import find_project;"
        "from mtac_assets.data.ingest import ingest; from mtac_assets.data.versioning import pull, verify_remote, version;"
        "p = find_project(Path(sys.argv[1]), 'local'); ingest(p, 'orders', sys.argv[2:]); version(p, 'orders', sys.argv[2:]);"
        "verify_remote(p, 'orders', sys.argv[2:]); f = p.state.data / 'orders' / (sys.argv[2] + '.parquet'); f.unlink();"
        "pull(p, p.state.data, [f.with_name(f.name + '.dvc')])"
    )
    system_wide = Path("/var/tmp/dvc")
    before = sorted(system_wide.rglob("*")) if system_wide.exists() else None
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "DVC_"))}
    environment = {**keep, "HOME": str(home), "TMPDIR": str(temporary)}
    subprocess.run(
        [sys.executable, "-c", code, shop.project.root, KEYS[0]],
        env=environment,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert list(home.rglob("*")) == []
    assert list(temporary.rglob("*")) == []
    assert (sorted(system_wide.rglob("*")) if system_wide.exists() else None) == before
    top = {path.name for path in shop.project.root.iterdir()}
    assert top == {"pyproject.toml", "shop", "in", ".mtac"}


def test_credentials_of_a_remote_are_not_written(shop) -> None:
    from mtac_assets.data.versioning_project import open_project

    remote = shop.project.environment.data.model_copy(update={"remote": "webdavs://team:s3cret@host/data"})
    project = replace(shop.project, environment=shop.project.environment.model_copy(update={"data": remote}))
    with open_project(project) as repository:
        assert "s3cret" in repository.config["remote"]["default"]["url"]
    for path in (project.state.root / ".dvc").rglob("config*"):
        assert "s3cret" not in path.read_text()
