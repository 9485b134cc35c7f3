"""A stamp vouches for one content under one contract; training refuses anything else, naming each partition."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mtac_assets.data.contract.source import contract_digest
from mtac_assets.data.contract.stamp import Unstamped, require_stamps
from mtac_assets.data.ingest import ingest
from mtac_assets.data.partitions import stamp_path

KEYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]


@pytest.fixture
def stamped(shop):
    for key in KEYS:
        shop.csv(key)
    ingest(shop.project, "orders", KEYS)
    return shop


def change(shop, key: str, **fields) -> None:
    path = stamp_path(shop.data, "orders", key)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_every_partition_without_a_valid_stamp_is_named(stamped) -> None:
    digest = contract_digest(stamped.dataset(), stamped.folder)
    require_stamps(stamped.data, "orders", KEYS, digest)
    stamp_path(stamped.data, "orders", KEYS[0]).unlink()
    change(stamped, KEYS[1], content_digest="0" * 64)
    change(stamped, KEYS[3], checks=[{"name": "rows", "passed": False, "evidence": {}}])
    with pytest.raises(Unstamped) as caught:
        require_stamps(stamped.data, "orders", [*KEYS, "2024-02-01"], digest)
    assert [(finding.where.split("/")[-1], finding.error) for finding in caught.value.findings] == [
        (KEYS[0], "the partition was never validated"),
        (KEYS[1], "it changed since it was validated"),
        (KEYS[3], "its stamp records a failed check"),
        ("2024-02-01.json", "orders has no partition 2024-02-01"),
    ]
    assert caught.value.exit_code == 1


def test_a_stamp_of_another_contract_or_partition_is_void(stamped) -> None:
    digest = contract_digest(stamped.dataset(), stamped.folder)
    with pytest.raises(Unstamped, match="another version of the contract"):
        require_stamps(stamped.data, "orders", KEYS[:1], "0" * 64)
    stamp_path(stamped.data, "orders", KEYS[0]).write_bytes(stamp_path(stamped.data, "orders", KEYS[1]).read_bytes())
    with pytest.raises(Unstamped, match="is that of orders/2024-01-02"):
        require_stamps(stamped.data, "orders", KEYS[:1], digest)
    stamp_path(stamped.data, "orders", KEYS[0]).write_text("{")
    with pytest.raises(Unstamped, match="cannot be read"):
        require_stamps(stamped.data, "orders", KEYS[:1], digest)


def test_training_insists_on_stamps_without_pandera(stamped) -> None:
    code = (
        "import sys; from pathlib import Path; from mtac_assets.data.contract.stamp import require_stamps;"
        "require_stamps(Path(sys.argv[1]), 'orders', sys.argv[3:], sys.argv[2]);"
        "print(sorted({'pandas', 'pandera', 'pyarrow'} & set(sys.modules)))"
    )
    digest = contract_digest(stamped.dataset(), stamped.folder)
    ran = subprocess.run(
        [sys.executable, "-c", code, stamped.data, digest, *KEYS], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
