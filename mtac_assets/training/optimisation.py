"""The optimiser as the recipe asks for it: which rule moves which piece of the parameters, and what it remembers.

Each worker holds the state of the pieces that it owns, and moves only those. Where everything lies is `placement`'s matter, the
arithmetic `update_rules`', the order of sums `reduction`'s. The moving average of the weights stands here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtac_assets.spec.errors import Finding
from mtac_assets.spec.recipe import Training
from mtac_assets.training import update_rules
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.pieces import Piece, cut
from mtac_assets.training.placement import Replicated, Sharded
from mtac_assets.training.update_rules import COUNTED, FIELDS
from mtac_assets.training.workers import ALONE, Workers

BESIDE_MUON = "adamw"
"""The rule of everything that Muon is not for: scales, embeddings, the head."""


@dataclass(frozen=True)
class Group:
    """This worker's pieces under one rule and weight decay: their places, themselves (as views), and their state by field."""

    rule: str
    weight_decay: float
    places: list[int]
    targets: list[Tensor]
    state: dict[str, list[Tensor]]


class Optimizer:
    """AdamW (Loshchilov and Hutter, 2019), Adam (decay added to the gradient), SGD with momentum 0.9, or Muon for hidden matrices."""

    def __init__(
        self, model: nn.Module, training: Training, workers: Workers = ALONE, *, sharded: bool = False
    ) -> None:
        """Weight decay reaches matrices only: what scales, shifts or embeds a member or a feature is not pulled to zero.

        A model may name its matrices itself (`decayed_parameters() -> list[Parameter]`); otherwise those of two dimensions or more.
        TrainingRefused where Muon is asked for and the model names no hidden matrices (`hidden_matrices() -> list[Parameter]`).
        `sharded`: no worker holds all weights (`placement`).
        """
        self.kind, self.workers, self._precision = training.optimizer, workers, training.precision
        self.pieces: list[Piece] = []
        self._rules: list[tuple[str, float]] = []  # of each piece: rule and weight decay
        for rule, decay, named in _parts(model, training):
            for name, parameter in named.items():
                found = cut(name, parameter, divisible=rule != "muon")
                self.pieces += found
                self._rules += [(rule, decay)] * len(found)
        self.placement = Sharded(model, self.pieces, workers) if sharded else Replicated(self.pieces, workers)
        self.owned = self.placement.owned_by(workers.rank)
        self._steps = torch.zeros((), device=self.pieces[0].parameter.device)
        self.groups = [self._group(rule, decay) for rule, decay in dict.fromkeys(self._rules)]

    def _group(self, rule: str, decay: float) -> Group:
        places = [place for place in self.owned if self._rules[place] == (rule, decay)]
        targets = [self.placement.weight(place) for place in places]
        return Group(
            rule, decay, places, targets, {field: [torch.zeros_like(one) for one in targets] for field in FIELDS[rule]}
        )

    def everyones(self, own: Sequence[Tensor], losses: Sequence[float]) -> tuple[Tensor, list[float]]:
        """One number for each of the pieces, from its owner, in the pieces' order; and everyone's losses, in the micro-batches'."""
        if self.workers.count == 1:
            return torch.stack(list(own)), list(losses)
        owners = [self.placement.owned_by(rank) for rank in range(self.workers.count)]
        widest = max(map(len, owners))
        padded = [*(torch.stack(list(own)).tolist() if own else ()), *[0.0] * (widest - len(own))]
        width = widest + len(losses)
        each = self.workers.numbers([*padded, *losses])
        by_place = {
            place: each[rank * width + index]
            for rank, places in enumerate(owners)
            for index, place in enumerate(places)
        }
        ordered = torch.tensor([by_place[place] for place in range(len(self.pieces))], device=self._steps.device)
        by_worker = [each[start : start + len(losses)] for start in range(widest, len(each), width)]
        return ordered, self.placement.in_order(by_worker)

    def step(self, rate: float, gradients: list[Tensor]) -> None:
        """One step with learning rate `rate`, by the gradients of the owned pieces, as `placement.summed` gives them."""
        by_place = dict(zip(self.owned, gradients, strict=True))
        with torch.no_grad():
            self._steps.add_(1)
            for group in self.groups:
                if not group.places:
                    continue
                own = [by_place[place] for place in group.places]
                if group.rule == "sgd":
                    update_rules.sgd(group.targets, own, group.state, rate, group.weight_decay)
                elif group.rule == "muon":
                    update_rules.muon(group.targets, own, group.state, rate, group.weight_decay, self._precision)
                else:
                    update_rules.adam(
                        group.rule, group.targets, own, group.state, self._steps, rate, group.weight_decay
                    )
            self.placement.updated()

    def tensors(self) -> dict[str, Tensor]:
        """`<parameter>/<field>` to its state, whole. All workers ask at the same time, and all get all of it."""
        found: dict[str, Tensor] = {}
        for field in sorted({field for rule, _ in self._rules for field in FIELDS[rule]}):
            held = {
                place: tensor
                for group in self.groups
                if field in group.state
                for place, tensor in zip(group.places, group.state[field], strict=True)
            }
            whole = self.placement.whole(held)
            having = [place for place, (rule, _) in enumerate(self._rules) if field in FIELDS[rule]]
            for name, parts in _by_parameter(self.pieces, having, whole).items():
                found[f"{name}/{field}"] = parts
        counted = {self.pieces[place].name for place, (rule, _) in enumerate(self._rules) if rule in COUNTED}
        return found | {f"{name}/step": self._steps for name in counted}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Back to what `tensors()` gave; each worker takes its own. KeyError where one is missing."""
        for group in self.groups:
            for field, held in group.state.items():
                for place, tensor in zip(group.places, held, strict=True):
                    piece = self.pieces[place]
                    tensor.copy_(piece.of(tensors[f"{piece.name}/{field}"]))
        for place, (rule, _) in enumerate(self._rules):
            if rule in COUNTED:
                self._steps.copy_(tensors[f"{self.pieces[place].name}/step"])


def _parts(model: nn.Module, training: Training) -> list[tuple[str, float, dict[str, nn.Parameter]]]:
    """Rule, weight decay and parameters by name, each parameter once."""
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    chosen = getattr(model, "decayed_parameters", None)
    decayed = {id(p) for p in (chosen() if chosen else [p for p in named.values() if p.ndim >= 2])}
    hidden = _hidden(model) if training.optimizer == "muon" else set[int]()
    rule = BESIDE_MUON if training.optimizer == "muon" else training.optimizer
    parts = (
        ("muon", training.weight_decay, {n: p for n, p in named.items() if id(p) in hidden}),
        (rule, training.weight_decay, {n: p for n, p in named.items() if id(p) in decayed - hidden}),
        (rule, 0.0, {n: p for n, p in named.items() if id(p) not in decayed | hidden}),
    )
    return [part for part in parts if part[2]]


def _hidden(model: nn.Module) -> set[int]:
    name = getattr(model, "hidden_matrices", None)
    if name is None:
        raise TrainingRefused(
            Finding(
                f"the optimizer muon moves hidden matrices, and {type(model).__name__} names none",
                "training.optimizer",
                "a model with hidden_matrices(), such as gpt",
                "write `optimizer: adamw`",
            )
        )
    return {id(parameter) for parameter in name()}


def _by_parameter(pieces: Sequence[Piece], places: Sequence[int], whole: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Whole tensors by their parameter's name."""
    parts: dict[str, list[Tensor]] = {}
    for place in places:
        parts.setdefault(pieces[place].name, []).append(whole[place])
    shapes = {piece.name: piece.parameter.shape for piece in pieces}
    return {
        name: found[0] if len(found) == 1 else torch.cat([one.view(-1) for one in found]).view(shapes[name])
        for name, found in parts.items()
    }


class Average:
    """Exponential moving average of the parameters. Early on it forgets faster, so that the initial weights do not linger:

    the decay of step s (from 0) is min(decay, (1 + s) / (10 + s)).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._parameters: list[Tensor] = list(model.parameters())
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}

    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            averaged = list(self.tensors.values())
            torch._foreach_lerp_(averaged, self._parameters, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
