"""`mtac run --audit-cache N`: stored results made again."""

from __future__ import annotations

import json

from mtac_assets_tests.promotion.conftest import AS_OF, Line


def test_stored_results_made_again_are_the_same_and_a_forged_one_is_found(line: Line) -> None:
    run = ("run", "floods", "--as-of", AS_OF)
    many = len(list((line.project.state.features / "floods").glob("*.json")))
    first = line.mtac(*run, "--audit-cache", "3", "--audit-seed", "1")
    assert first["status"] == "unchanged"
    assert first["audit"]["seed"] == 1
    assert len(first["audit"]["audited"]) == 3
    hits = first["audit"]["hits"]
    assert 3 < hits <= many + 2

    forged = line.project.state.features / "floods" / "2024-01-05.json"
    document = json.loads(forged.read_text())
    forged.write_text(json.dumps({**document, "content_digest": "0" * 64}))
    found = line.mtac(*run, "--audit-cache", str(hits), code=1)["audit"]["audited"]
    assert {one["asset"] for one in found} == {"floods/features", "floods/training_set", "floods/model"}
    assert [one["partition"] for one in found if not one["same"]] == [forged.stem]

    refused = line.mtac(*run, "--audit-cache", str(hits + 1), code=2)
    assert f"at most {hits}" in refused["errors"][0]["expected"]
