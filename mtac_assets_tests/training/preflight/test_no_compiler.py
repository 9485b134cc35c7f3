"""In processes of their own: what is loaded cannot be unloaded."""

from __future__ import annotations

import subprocess
import sys

BEFORE = """
import sys
from mtac_assets.training.preflight.no_compiler import keep_compiler_out
keep_compiler_out()
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
with FakeTensorMode():
    layer = torch.nn.Linear(8, 4)
    layer(torch.zeros(2, 8)).sum().backward()
assert layer.weight.grad.shape == (4, 8)
"""


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_fake_tensors_do_without_the_compiler() -> None:
    loaded = said(BEFORE + "print(*sorted(name for name in sys.modules if name.startswith('torch._dynamo')))")
    assert loaded.split() == ["torch._dynamo", "torch._dynamo.config"], "what is saved: this torch loads it another way"


def test_whoever_asks_for_more_gets_the_compiler_after_all() -> None:
    asked = "print(torch._dynamo.is_compiling(), 'torch._dynamo.symbolic_convert' in sys.modules)"
    assert said(BEFORE + asked) == "False True"


def test_where_the_compiler_is_loaded_nothing_is_put_in_its_place() -> None:
    code = "import sys, torch._dynamo; before = sys.modules['torch._dynamo']" + BEFORE
    assert said(code + "print(sys.modules['torch._dynamo'] is before is torch._dynamo)") == "True"
