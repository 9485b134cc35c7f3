"""Where two trainings of one model first differ: the step, the tensor, and by how much.

Training is a chain of segments with a digest at each end, and every step's loss is kept exactly. The first segment end that differs
bounds the step, and the two states there are compared tensor by tensor: behind it a difference has spread, and names nothing. A
changed weight shows in the loss of the next step, so the losses say within the segment which step it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.promotion.clean_room import CleanRoom
from mtac_assets.promotion.errors import PromotionError
from mtac_assets.provenance.files import read_json

if TYPE_CHECKING:
    import numpy as np

NAMED_TENSORS = 5
_WEIGHTS = "model.safetensors"
_PARTS = ("model/", "average/", "optimizer/")  # of a state, in the order in which they are named


def locate(room: CleanRoom, recorded: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> dict[str, Any]:
    """The first difference between the recorded training and the whole one in `room.out`."""
    if recorded["initial_digest"] != rebuilt["initial_digest"]:
        return {"step": 0, "where": "before the first step: initialisation or preprocessing"}
    pairs = enumerate(zip(recorded["segments"], rebuilt["segments"], strict=False))
    first = next((number for number, (old, new) in pairs if old["end_digest"] != new["end_digest"]), None)
    if first is None:
        return {
            "step": None,
            "where": "the last segment's state is equal, the model made of it is not",
            "tensors": differences(_load(room.bring(_WEIGHTS)), _load(room.out / _WEIGHTS)),
        }
    segment = recorded["segments"][first]
    if first == len(recorded["segments"]) - 1:  # the last state is not kept: its weights are the model
        tensors = differences(_load(room.bring(_WEIGHTS)), _load(room.out / _WEIGHTS))
    else:
        name = f"checkpoints/{_checkpoint(segment['end_step'])}"
        tensors = differences(_load(room.bring(name)), _load(room.out / name))
    return _in_segment(first, segment, _losses(room.model), _losses(room.out)) | {"tensors": tensors}


def locate_in_segment(
    room: CleanRoom,
    recorded: Mapping[str, Any],
    replayed: Mapping[int, Mapping[str, Any]],
    different: Sequence[Mapping[str, Any]],
    replay_and_keep: Callable[[int, Path], None],
) -> dict[str, Any]:
    """The first replayed segment that differs. It is replayed once more, with its state kept, to be compared with the recorded one."""
    if not different:
        return {"where": "the last segment's state is equal, the model made of it is not"}
    number = different[0]["segment"]
    segment = recorded["segments"][number]
    if replayed[number]["start_digest"] != segment["start_digest"]:
        where = (
            "before the first step: initialisation or preprocessing" if number == 0 else "the checkpoint at its start"
        )
        return _in_segment(number, segment, (), ()) | {"step": segment["start_step"], "where": where}
    kept = room.out / "kept"
    try:
        replay_and_keep(number, kept)
    except PromotionError as error:  # a trainer of before it could keep a state
        why = error.findings[0].error
        return _in_segment(number, segment, (), ()) | {"where": f"its state could not be kept to be compared: {why}"}
    state = _load(kept / _checkpoint(segment["end_step"]))
    if number == len(recorded["segments"]) - 1:
        tensors = differences(_load(room.bring(_WEIGHTS)), _weights_of(state))
    else:
        tensors = differences(_load(room.bring(f"checkpoints/{_checkpoint(segment['end_step'])}")), state)
    losses = read_json((kept / _checkpoint(segment["end_step"])).with_suffix(".json"))["losses"]
    found = _in_segment(number, segment, _losses(room.model), losses) | {"tensors": tensors}
    return (
        found if tensors else found | {"where": "replayed once more it came out as recorded: not even that is steady"}
    )


def differences(old: Mapping[str, np.ndarray], new: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The first tensors that differ in any bit, a model's own before its optimiser's, with the size of the difference."""
    import numpy as np

    found: list[dict[str, Any]] = []
    for name in sorted(old.keys() | new.keys(), key=_rank):
        a, b = old.get(name), new.get(name)
        if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
            found.append({"tensor": name, "shape": [_shape(a), _shape(b)]})
        elif a.tobytes() != b.tobytes():
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
    return found[:NAMED_TENSORS]


def first_step(recorded: Sequence[float], rebuilt: Sequence[float]) -> int | None:
    """The first step (from 1) whose loss differs in any bit; None where all are equal."""
    for step, (old, new) in enumerate(zip(recorded, rebuilt, strict=False), start=1):
        if old != new:
            return step
    return None


def _in_segment(
    number: int, segment: Mapping[str, Any], recorded: Sequence[float], rebuilt: Sequence[float]
) -> dict[str, Any]:
    """`step`: the first one that shows a difference, in its loss or, where that comes later, in the state after the segment."""
    seen = first_step(recorded, rebuilt)
    return {
        "step": min(seen, segment["end_step"]) if seen is not None else segment["end_step"],
        "segment": number,
        "after_step": segment["start_step"],
        "until_step": segment["end_step"],
    }


def _checkpoint(step: int) -> str:
    return f"step-{step:010d}.safetensors"


def _load(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


def _weights_of(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What of a state becomes the model: the average where there is one, and the model's own tensors."""
    found = {name.removeprefix("model/"): array for name, array in state.items() if name.startswith("model/")}
    return found | {name.removeprefix("average/"): a for name, a in state.items() if name.startswith("average/")}


def _rank(name: str) -> tuple[int, str]:
    return next((rank for rank, part in enumerate(_PARTS) if name.startswith(part)), len(_PARTS)), name


def _losses(folder: Path) -> list[float]:
    return read_json(folder / "losses.json")["losses"]


def _shape(array: np.ndarray | None) -> list[int] | None:
    return None if array is None else list(array.shape)
