from __future__ import annotations

import json

import pytest

from mtac_assets.cli import output


@pytest.mark.parametrize("rows", [0, 1, output.LONG - 1, output.LONG, 1000])
def test_a_document_is_the_same_however_long_its_array_is(rows: int, capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "schema_version": 1,
        "models": [{"model_id": f"a-{n}", "metrics": {"roc_auc": {"value": 0.5}}, "text": 'ä"\n'} for n in range(rows)],
        "nested": {"a": [1, {"b": None}]},
        "none": [],
    }
    output.emit(document)
    text = capsys.readouterr().out
    assert json.loads(text) == document
    assert list(json.loads(text)) == list(document)
    assert text.endswith("}\n")
    if rows >= output.LONG:
        assert text.count("\n") < rows + 20


def test_nan_is_no_json_in_a_long_array_either() -> None:
    with pytest.raises(ValueError, match="JSON"):
        output.emit({"rows": [float("nan")] * output.LONG})
