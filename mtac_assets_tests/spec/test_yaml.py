"""Strict YAML: what is accepted means one thing, what is refused is refused at once, with its line."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.spec import yaml
from mtac_assets.spec.errors import Finding, SpecError


def refusal(text: str | bytes) -> Finding:
    with pytest.raises(SpecError) as caught:
        yaml.parse(text, "file.yaml")
    (finding,) = caught.value.findings
    return finding


def findings_of(text: str | bytes) -> tuple[Finding, ...]:
    """What is wrong with the text, nothing where it is data; any other error fails the test."""
    try:
        yaml.parse(text, "file.yaml")
    except SpecError as error:
        return error.findings
    return ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("2E+2", 200.0),
        (".5", 0.5),
        ("-3", -3),
        ("0", 0),
        ("0.0", 0.0),
        ("no", "no"),
        ("off", "off"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2013-01-01", "2013-01-01"),
        ("'012'", "012"),
        ('"null"', "null"),
        ("nan", "nan"),
        ("[1, two, 3.0]", [1, "two", 3.0]),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object):
    parsed = yaml.parse(f"field: {text}", "file.yaml").data["field"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: 1\nb: &anchor 2", 2, "anchors"),
        ("a: 1\nb: *alias", 2, "aliases"),
        ("a: !!python/object:os.system x", 1, "tags"),
        ("a: !custom x", 1, "tags"),
        ("a: 1\n\na: 2", 3, "second time (first on line 1)"),
        ("a: {b: 1,\n  b: 2}", 2, "second time"),
        ("a:\n  <<: {b: 1}", 2, "merge keys"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("%YAML 1.1\n---\na: 1", 1, "directives"),
        ("a: .nan", 1, "not a finite number"),
        ("a: -.inf", 1, "not a finite number"),
        ("a: 1e999", 1, "not a finite number"),
        ("a: 012", 1, "reads differently"),
        ("a: 0x1F", 1, "reads differently"),
        ("a: " + "9" * 5000, 1, "too large"),
        ("a: 1\n1: 2", 2, "not text"),
        ("a: 1\n? [b]\n: 2", 2, "as a key"),
        ("a: 1\n\tb: 2", 2, "cannot start any token"),
        ("a: [1, 2", 1, "not YAML"),
        ('a: "\\ud800"', 1, "surrogate"),
        ('a: "\\U00110000"', 1, "not YAML"),
        ('a: "\\UFFFFFFFF"', 1, "not YAML"),
        ("a: 1\nb: \x07", 2, "U+0007"),
        (b"a: 1\nb: \xff", 2, "UTF-8"),
    ],
)
def test_refusals_name_the_line(text: str | bytes, line: int, word: str):
    finding = refusal(text)
    assert finding.where == f"file.yaml:{line}"
    assert word in finding.error
    assert finding.expected
    assert finding.remedy


def test_every_value_has_its_place():
    document = yaml.parse("a: 1\nb:\n  - c: 2\n    d: 3\n", "file.yaml")
    assert document.where(("b", 0, "d")) == "file.yaml:4 (b.0.d)"
    assert document.where(("b", 0, "missing")) == "file.yaml:3 (b.0.missing)"
    assert document.where(()) == "file.yaml:1"


def test_a_missing_file_is_a_finding(tmp_path: Path):
    with pytest.raises(SpecError, match="No such file"):
        yaml.read(tmp_path / "absent.yaml")


BILLION = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])
POISON = {
    "alias bomb": BILLION,
    "tag": "a: !!python/object/apply:os.system [true]",
    "duplicate key": "a: 1\na: 2",
    "not a number": "a: .nan",
    "nested lists": "[" * 60_000,
    "nested maps": "{a: " * 15_000,
    "nested sequences": "- " * 30_000,
    "indented maps": "\n".join(" " * n + "a:" for n in range(340)),
    "ten megabytes": "a: " + "x" * 10_000_000,
}


@pytest.mark.parametrize("name", POISON)
def test_poison_is_refused_quickly(name: str):
    begin = time.process_time()
    refusal(POISON[name])
    assert time.process_time() - begin < 0.1


def test_poison_is_refused_in_little_memory(tmp_path: Path, root: Path):
    """In a process of its own, because a process's peak never falls: the peak grows by under 50 MB over all of them."""
    for name, text in POISON.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    script = (
        "import resource, sys, pathlib\n"
        "from mtac_assets.spec import yaml\n"
        "from mtac_assets.spec.errors import SpecError\n"
        "yaml.parse('a: 1', 'warm')\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before, refused = peak(), 0\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.yaml'):\n"
        "    try:\n"
        "        yaml.read(path)\n"
        "    except SpecError:\n"
        "        refused += 1\n"
        "print(refused, (peak() - before) // 1024)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    refused, megabytes = map(int, done.stdout.split())
    assert refused == len(POISON)
    assert megabytes < 50


@given(st.text(max_size=200))
def test_any_text_is_data_or_a_finding(text: str):
    assert all(finding.where.startswith("file.yaml:") for finding in findings_of(text))


@given(st.binary(max_size=100))
def test_any_bytes_are_data_or_a_finding(content: bytes):
    assert all(finding.where.startswith("file.yaml:") for finding in findings_of(content))


@given(st.lists(st.sampled_from(list("[]{}:,-&*!|>'\"%@`#? \n\ta1.~<=")), max_size=60).map("".join))
def test_any_punctuation_is_data_or_a_finding(text: str):
    assert all(finding.where.startswith("file.yaml:") for finding in findings_of(text))
