"""The workers of one training: who this one is, and how they speak to each other. Their number decides no bit.

Belongs here: sending, receiving, agreeing, and naming the worker that does not answer. What is summed in which order is `reduction`'s;
how workers are started is `launchers`'.

A launcher tells each worker its place by the variables that torchrun sets: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT. Between CPUs
they speak gloo, between GPUs NCCL.
"""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor

from mtac_assets.spec.errors import Finding
from mtac_assets.training.errors import SECONDS_VARIABLE, TrainingRefused, WorkerLost, WorkersDiffer
from mtac_assets.training.liveness import Address, Liveness, ask

CHUNK, IN_FLIGHT = 1 << 20, 4
"""Elements sent at a time where they are added, so that some are added while others are on their way, and how many are received at once."""
PATIENCE = 5.0
"""Seconds that a worker which gave up waits for others to do so too: who does not is the one to name."""

Answer = TypeVar("Answer")


class Workers:
    """One worker alone. `Group` is the one among several; whoever uses either sees the same."""

    rank, count = 0, 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes: checkpoints, progress, the pack."""
        return self.rank == 0

    def each(self, micro_batches: int) -> int:
        """How many of a step's micro-batches a worker takes. TrainingRefused where they cannot be shared out as subtrees of equal size."""
        if self.count & (self.count - 1) or micro_batches % self.count:
            raise TrainingRefused(
                Finding(
                    f"{micro_batches} micro-batches a step cannot be shared out among {self.count} workers",
                    "--workers",
                    f"a power of two, at most {micro_batches}",
                    "start fewer workers, or make training.micro_batch_size smaller (which makes another model)",
                )
            )
        return micro_batches // self.count

    def arrive(self, step: int) -> None:
        """Leave a mark that this worker came to the exchange of `step`."""

    def numbers(self, mine: Sequence[float]) -> list[float]:
        """Everyone's numbers (as many each), in the workers' order. Exact for float32 and float64."""
        return list(mine)

    def exchange(self, partner: int, *, give: Tensor, add_to: Tensor | None = None, into: Tensor | None = None) -> None:
        raise AssertionError("one worker alone has no partner")

    def broadcast(self, tensor: Tensor) -> None:
        """The first worker's values into everyone's `tensor`."""

    def told(self, document: Mapping[str, Any] | None) -> dict[str, Any]:
        """The first worker's JSON document, to everyone; the others give None."""
        assert document is not None
        return dict(document)

    def anyone(self, mine: bool) -> bool:
        """Whether any worker says so."""
        return any(self.numbers([float(mine)]))

    def require_same(self, digest: str, what: str) -> None:
        """WorkersDiffer where a worker has another `digest` (hex) of `what` than the first: another machine, other libraries."""
        digits = 12  # 48 bits, exact as a float64
        each = self.numbers([float(int(digest[:digits], 16))])
        differing = [str(rank) for rank, value in enumerate(each) if value != each[0]]
        if differing:
            raise WorkersDiffer(
                Finding(
                    f"worker {', '.join(differing)} has other bits than worker 0 in {what}",
                    "--workers",
                    "the same bits on every worker",
                    "use machines of one kind with one environment; `mtac probe` finds what is not deterministic",
                )
            )

    def leave(self) -> None:
        """No more will be said."""


ALONE = Workers()


class Group(Workers):
    """One of several workers, over a process group of torch."""

    def __init__(self, rank: int, count: int, device: str, seconds: float) -> None:
        import torch.distributed as distributed

        self.rank, self.count, self._seconds = rank, count, seconds
        self._device = torch.device(device)
        self._buffers = [torch.empty(CHUNK) for _ in range(IN_FLIGHT)] if device == "cpu" else []
        self._distributed = distributed
        if device == "cuda":
            local = int(os.environ.get("LOCAL_RANK", rank % torch.cuda.device_count()))
            torch.cuda.set_device(local)
        meeting_point = (socket.gethostbyname(os.environ["MASTER_ADDR"]), int(os.environ["MASTER_PORT"]))
        self._liveness = Liveness(meeting_point)
        self._addresses: dict[int, Address] = {}
        self._named(
            lambda: distributed.init_process_group(
                "nccl" if device == "cuda" else "gloo",
                init_method="env://",
                rank=rank,
                world_size=count,
                timeout=timedelta(seconds=seconds),
            )
        )
        host, port = self._liveness.address
        each = self.numbers([*map(float, host.split(".")), float(port)])
        for other in range(count):
            *parts, at = (int(number) for number in each[other * 5 : other * 5 + 5])
            self._addresses[other] = (".".join(map(str, parts)), at)

    def arrive(self, step: int) -> None:
        self._liveness.step = step

    def numbers(self, mine: Sequence[float]) -> list[float]:
        own = torch.tensor(list(mine), dtype=torch.float64, device=self._device)
        each = torch.empty(len(own) * self.count, dtype=torch.float64, device=self._device)
        self._named(lambda: self._distributed.all_gather_single(each, own))
        return each.tolist()

    def exchange(self, partner: int, *, give: Tensor, add_to: Tensor | None = None, into: Tensor | None = None) -> None:
        """Send `give` and receive as much as `add_to` or `into` holds; what comes is added to the one, or is the other. The partner
        does the same with its own."""
        swap = self._swap_on_gpu if self._device.type == "cuda" else self._swap
        self._named(lambda: swap(partner, give, add_to, into))

    def _swap(self, partner: int, give: Tensor, add_to: Tensor | None, into: Tensor | None) -> None:
        """What is added comes in chunks into a few buffers that stay warm, and is added while the next are on their way."""
        if add_to is None:
            assert into is not None
            going = [self._distributed.isend(give, partner)] if len(give) else []
            coming = [self._distributed.irecv(into, partner)] if len(into) else []
            self._wait([*coming, *going])
            return
        going = [self._distributed.isend(chunk, partner) for chunk in give.split(CHUNK) if len(chunk)]
        pending: deque[tuple[Any, Tensor, Tensor]] = deque()
        for place, target in enumerate(chunk for chunk in add_to.split(CHUNK) if len(chunk)):
            if len(pending) == len(self._buffers):
                self._add(pending.popleft())
            buffer = self._buffers[place % len(self._buffers)][: len(target)]
            pending.append((self._distributed.irecv(buffer, partner), buffer, target))
        while pending:
            self._add(pending.popleft())
        self._wait(going)

    def _swap_on_gpu(self, partner: int, give: Tensor, add_to: Tensor | None, into: Tensor | None) -> None:
        """All at once: there a kernel adds faster than anything comes."""
        taken = torch.empty_like(add_to) if add_to is not None else into
        assert taken is not None
        pairs = ((self._distributed.irecv, taken), (self._distributed.isend, give))
        points = [self._distributed.P2POp(way, tensor, partner) for way, tensor in pairs if len(tensor)]
        self._wait(self._distributed.batch_isend_irecv(points) if points else [])
        if add_to is not None:
            add_to.add_(taken)

    @staticmethod
    def _add(came: tuple[Any, Tensor, Tensor]) -> None:
        work, buffer, target = came
        work.wait()
        target.add_(buffer)

    @staticmethod
    def _wait(works: Iterable[Any]) -> None:
        for work in works:
            work.wait()

    def broadcast(self, tensor: Tensor) -> None:
        self._named(lambda: self._distributed.broadcast(tensor, 0))

    def told(self, document: Mapping[str, Any] | None) -> dict[str, Any]:
        data = json.dumps(document).encode() if self.first else b""
        length = torch.tensor([len(data)], device=self._device)
        self.broadcast(length)
        content = torch.empty(int(length), dtype=torch.uint8, device=self._device)
        if self.first:
            content.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        self.broadcast(content)
        return json.loads(bytes(content.cpu().tolist()))

    def leave(self) -> None:
        self._distributed.destroy_process_group()
        self._liveness.close()

    def _named(self, speak: Callable[[], Answer]) -> Answer:
        """What `speak` gives; where a partner is gone or silent, WorkerLost with the name of whoever does not answer."""
        try:
            return speak()
        except RuntimeError as error:
            raise WorkerLost(self._lost(error)) from error

    def _lost(self, error: RuntimeError) -> Finding:
        """Silent is who does not answer at all, or after a while has not noticed either: it waits for nobody, so it is the one."""
        self._liveness.noticed = True
        others = {rank: address for rank, address in self._addresses.items() if rank != self.rank}
        signs = ask(others, PATIENCE)
        gone = [rank for rank in others if rank not in signs]
        busy = [rank for rank in signs if not signs[rank].noticed]
        words = [
            f"worker {', '.join(map(str, ranks))} {what}"
            for ranks, what in ((gone, "does not answer"), (busy, "is held up"))
            if ranks
        ]
        said = str(error).splitlines()[0][:160]
        return Finding(
            f"{' and '.join(words) or 'a worker went away'} at step {self._liveness.step}: {said}",
            f"worker {self.rank} of {self.count}",
            f"an answer within {self._seconds:g} s",
            "see that worker's own last lines; start again with as many or fewer workers: it resumes with the same bits",
        )


def join(device: str, environment: Mapping[str, str] = os.environ) -> Workers:
    """The worker that the launcher's variables make of this process; ALONE where there are none, or only one is meant."""
    count = int(environment.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE
    return Group(int(environment["RANK"]), count, device, float(environment.get(SECONDS_VARIABLE, "600")))
