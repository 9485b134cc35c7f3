"""Measuring and adding up what work has used, and its price."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.provenance import refs
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.provenance.usage import Usage, model_cost, price, total
from mtac_assets.spec.environment import Accounting

PRICED = Accounting(price_per_cpu_hour=0.05, price_per_gpu_hour=3.6, price_per_gb_month=0.02)
FREE = Accounting()
usages = st.builds(
    Usage,
    st.integers(0, 10**6).map(float),
    st.integers(0, 10**6).map(float),
    st.integers(0, 10**6).map(float),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
)
BUSY = """
import os, resource, subprocess, sys, time
from mtac_assets.provenance.usage import Usage
before = Usage.so_far(0.0)
if len(sys.argv) > 1:
    subprocess.run([sys.executable, "-c", "import time\\nuntil = time.process_time() + 0.4\\nwhile time.process_time() < until: pass"])
    with open(sys.argv[1], "wb") as stream:
        stream.write(bytes(range(256)) * 40_000)
        stream.flush()
        os.fsync(stream.fileno())
used = Usage.so_far(1.0, gpus=2).since(before)
print(used.cpu_seconds, used.gpu_seconds, used.peak_memory_bytes, used.bytes_written)
"""


def test_cpu_of_children_and_bytes_that_reach_the_disk_are_counted(tmp_path: Path) -> None:
    def measured(*arguments: str) -> list[float]:
        done = subprocess.run([sys.executable, "-c", BUSY, *arguments], capture_output=True, text=True, check=True)
        return [float(word) for word in done.stdout.split()]

    idle, busy = measured(), measured(str(tmp_path / "file"))
    assert idle[0] < 0.1 < 0.4 <= busy[0] < 5.0
    assert busy[1] == 2.0
    assert 5_000_000 < busy[2] < 1_000_000_000
    assert idle[3] < 1_000_000
    assert busy[3] >= 10_240_000


def test_memory_of_the_process_that_started_it_is_not_its_own() -> None:
    large = "held = bytes(range(256)) * 2_000_000\n"  # 512 MB
    fork = "subprocess.run([sys.executable, '-c', sys.argv[1]], preexec_fn=lambda: None)"  # with it Python forks, and does not spawn
    command = [sys.executable, "-c", f"import subprocess, sys\n{large}{fork}", BUSY]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[2]) < 300_000_000


@given(usages, usages, usages)
def test_adding_up_has_an_order_of_no_account(a: Usage, b: Usage, c: Usage) -> None:
    for add in (Usage.then, Usage.beside):
        assert add(a, b) == add(b, a)
        assert add(add(a, b), c) == add(a, add(b, c))
        assert add(a, Usage()) == a
    assert a.then(b).seconds == a.seconds + b.seconds
    assert a.beside(b).seconds == max(a.seconds, b.seconds)


@given(usages)
def test_what_is_stored_is_read_back(used: Usage) -> None:
    assert Usage.read(used.document()) == used


def test_a_gpu_is_priced_with_its_machine_and_a_price_that_is_not_told_is_no_price() -> None:
    assert price(Usage(cpu_seconds=7200.0), PRICED) == pytest.approx(0.1)
    assert price(Usage(cpu_seconds=7200.0, gpu_seconds=1000.0), PRICED) == pytest.approx(1.0)
    assert price(Usage(cpu_seconds=1.0), FREE) is None
    assert price(Usage(gpu_seconds=1.0), Accounting(price_per_cpu_hour=1.0)) is None


def test_a_sum_says_how_many_it_could_not_count() -> None:
    one = model_cost({"training": Usage(10.0, 3600.0), "evaluation": Usage(1.0, 360.0)}, 10**9, PRICED)
    assert (one["estimate"], one["storage_per_month"]) == (0.055, 0.02)
    unpriced = model_cost({"training": Usage(10.0, 3600.0), "evaluation": None}, 10**9, FREE)
    assert (unpriced["estimate"], unpriced["storage_per_month"]) == (None, None)
    summed = total([one, unpriced, {}])
    assert [summed[name] for name in ("models", "measured", "priced")] == [3, 2, 1]
    assert summed["cpu_seconds"] == 3600.0 * 2 + 360.0
    assert summed["estimate"] == 0.055
    assert total([{}])["estimate"] is None


def test_a_model_is_recorded_with_its_cost_which_names_no_other_model(stocked: Any) -> None:
    resolved = stocked.resolve()
    stocked.edit("shop/environments/local.yaml", "promotion:", "accounting: {price_per_cpu_hour: 36.0}\npromotion:")
    used = Usage(20.0, 100.0, 0.0, 1 << 20, 4096)
    pack = stocked.pack(resolved)
    write_json(pack / "training.json", {"schema_version": 1, "usage": used.document()})
    seal = read_json(pack / "pack.json")
    from mtac_assets_tests.provenance.conftest import _listed

    write_json(pack / "pack.json", seal | {"files": _listed(pack, "pack.json")})
    from mtac_assets.provenance.record import record_model

    record_model(stocked.project, resolved, pack, None, trigger="test", actor="ada")
    (summary,) = refs.list_models(stocked.project)
    assert Usage.read(summary.cost["training"]) == used
    assert summary.cost["estimate"] == 1.0
    assert summary.cost["stored_bytes"] == sum(path.stat().st_size for path in pack.rglob("*") if path.is_file())
    assert "evaluation" not in summary.cost
    assert summary.model_id == pack.name, "prices and what was used are of no account to the fingerprint"
