"""Where two trainings of one model first differ: the step, the tensor, and by how much.

Training is a chain of segments with a digest at each end, and every step's loss is kept exactly. The first loss that
differs names the step (a changed weight shows in the loss of the next step), the first segment end that differs bounds
it, and the two checkpoints there are compared tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtac_assets.promotion.clean_room import CleanRoom
from mtac_assets.provenance.files import read_json

NAMED_TENSORS = 5


def locate(room: CleanRoom, recorded: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> dict[str, Any]:
    """The first difference between the recorded training and the whole one in `room.out`."""
    found: dict[str, Any] = {"step": first_step(_losses(room.model), _losses(room.out))}
    if recorded["initial_digest"] != rebuilt["initial_digest"]:
        return found | {"step": 0, "where": "before the first step: initialisation or preprocessing"}
    for number, (old, new) in enumerate(zip(recorded["segments"], rebuilt["segments"], strict=False)):
        if old["end_digest"] != new["end_digest"]:
            found |= {"segment": number, "after_step": old["start_step"], "until_step": old["end_step"]}
            break
    return found | {
        "tensors": _largest(room.bring("model.safetensors"), room.out / "model.safetensors", recorded, rebuilt)
    }


def locate_in_segment(
    room: CleanRoom,
    recorded: Mapping[str, Any],
    replayed: Mapping[int, Mapping[str, Any]],
    different: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The first replayed segment whose end differs, and the tensors of the state that do."""
    if not different:
        return {"where": "the last segment's state is equal, the model made of it is not"}
    first = different[0]
    answer = replayed[first["segment"]]
    kept = room.model / "checkpoints" / f"step-{first['end_step']:010d}.json"
    found: dict[str, Any] = {
        "segment": first["segment"],
        "after_step": first["start_step"],
        "until_step": first["end_step"],
    }
    if answer["end_step"] == recorded["segments"][-1]["end_step"]:
        names = [name for name, digest in recorded["tensors"].items() if answer["weights"].get(name) != digest]
        found["tensors"] = [{"tensor": name} for name in names[:NAMED_TENSORS]]
    elif kept.is_file():
        from mtac_assets.training.stored_tensors import stored_digests

        _, state = stored_digests(kept.with_suffix(".safetensors"))
        names = [name for name, digest in state.items() if answer["tensors"].get(name) != digest]
        found["tensors"] = [{"tensor": name} for name in names[:NAMED_TENSORS]]
    return found


def first_step(recorded: Sequence[float], rebuilt: Sequence[float]) -> int | None:
    """The first step (from 1) whose loss differs in any bit; None where all are equal."""
    for step, (old, new) in enumerate(zip(recorded, rebuilt, strict=False), start=1):
        if old != new:
            return step
    return None


def _losses(folder: Path) -> list[float]:
    path = folder / "losses.json"
    return read_json(path)["losses"] if path.is_file() else []


def _largest(old: Path, new: Path, recorded: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tensors of the finished models that differ, in the recorded order, with the size of the difference where both are there."""
    names = [name for name, digest in recorded["tensors"].items() if rebuilt["tensors"].get(name) != digest]
    if not (old.is_file() and new.is_file()):
        return [{"tensor": name} for name in names[:NAMED_TENSORS]]
    import numpy as np
    from safetensors.numpy import load_file

    before, after = load_file(old), load_file(new)
    found: list[dict[str, Any]] = []
    for name in names[:NAMED_TENSORS]:
        a, b = before.get(name), after.get(name)
        if a is None or b is None or a.shape != b.shape:
            found.append({"tensor": name, "shape": [_shape(a), _shape(b)]})
            continue
        difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
        place = np.unravel_index(int(difference.argmax()), difference.shape) if difference.size else ()
        found.append(
            {
                "tensor": name,
                "elements": int((a != b).sum()),
                "of": int(a.size),
                "largest": float(difference.max(initial=0.0)),
                "at": [int(index) for index in place],
            }
        )
    return found


def _shape(array: Any) -> list[int] | None:
    return None if array is None else list(array.shape)
