"""One run in many processes: PyTorch's own engine, launched by torchrun, with the network wrapped in DDP.

The batch of the whole is the same whatever the number of processes: rank r takes its slice of the one stream, and what each
adds to the gradient is weighted so that the sum is the gradient of the mean over the whole batch. Only the first process
writes and decides (plans, budgets); what it decides is told to the others before they go on.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel as DDP

from reverie.core.denoiser import Learned
from reverie.errors import ReverieError

_ENGINE = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells each process


@dataclass(frozen=True)
class Group:
    """The processes of a run, seen from one of them; alone by default, and then every method costs nothing."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and decides."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """This process's slice of `count` items: contiguous, in the order of the ranks, sizes differing by one at most."""
        if count < self.size:
            raise ReverieError(
                f"A batch of {count} cannot be shared by {self.size} processes. Give a larger --batch, or fewer --devices."
            )
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def parallel(self, denoiser: Learned) -> Learned:
        """The same denoiser, its network wrapped in DDP: gradients are averaged over the processes as they are made.

        The network itself stays as it is, and is what is measured, averaged and saved.
        """
        if self.size == 1:
            return denoiser
        shared = copy.copy(denoiser)
        shared._modules = dict(denoiser._modules)
        shared.network = DDP(denoiser.network)
        return shared

    def weight(self, count: int, total: int) -> float:
        """What the mean loss of `count` items counts for, so that DDP's average is the mean of all: count size / total."""
        return count * self.size / total

    def averaging(self, shared: Learned, last: bool) -> contextlib.AbstractContextManager[None]:
        """Where to compute one part of a batch: gradients stay with this process until the last part, and are averaged then."""
        network = shared.network
        return network.no_sync() if isinstance(network, DDP) and not last else contextlib.nullcontext()

    def mean(self, value: Tensor) -> float:
        """The mean over the processes of one number, the same for all, bit for bit."""
        if self.size == 1:
            return float(value.detach())
        told = value.detach().double().cpu().clone()
        dist.all_reduce(told)
        return float(told / self.size)

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether any process has it set."""
        if self.size == 1:
            return flags
        told = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return tuple(bool(f) for f in told.tolist())

    def agree(self, decide: Callable[[], str]) -> str:
        """What the first process decides, told to all as text; the others do not decide at all."""
        if self.size == 1:
            return decide()
        text = decide().encode() if self.leads else b""
        length = torch.tensor([len(text)], dtype=torch.int64)
        dist.broadcast(length, 0)
        told = torch.zeros(int(length), dtype=torch.uint8)
        if text and self.leads:
            told.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        dist.broadcast(told, 0)
        return bytes(told.tolist()).decode()

    def spread(self, jobs: Sequence[Callable[[], Tensor]]) -> list[Tensor]:
        """The results of all jobs, (B, *) each, known to every process: job k is done by rank k mod size, exactly as alone."""
        if self.size == 1:
            return [job() for job in jobs]
        mine = {k: job() for k, job in enumerate(jobs) if k % self.size == self.rank}
        return [self._told(mine.get(k), k % self.size) for k in range(len(jobs))]

    def _told(self, value: Tensor | None, source: int) -> Tensor:
        """A tensor on the CPU that one process has, given to all."""
        about = self._about(value, source)
        kind = torch.float32 if about[0] else torch.int64
        told = torch.empty(about[1:], dtype=kind) if value is None else value
        told = told.cpu().contiguous()
        dist.broadcast(told, source)
        return told

    def _about(self, value: Tensor | None, source: int) -> list[int]:
        """Kind and shape of a tensor that one process has: [1 for float32 or 0 for int64, *shape]."""
        own = [] if value is None else [int(value.is_floating_point()), *value.shape]
        length = torch.tensor([len(own)])
        dist.broadcast(length, source)
        about = torch.tensor(own or [0] * int(length))
        dist.broadcast(about, source)
        return about.tolist()


ALONE = Group()


def join() -> Group:
    """The group that torchrun put this process in; alone where it was not started by torchrun.

    NCCL between GPUs, gloo between CPUs; process r of a machine takes its card r. Joining twice is joining once.
    """
    if not launched() or int(os.environ["WORLD_SIZE"]) == 1:
        return Group()
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        store, rank, size = next(dist.rendezvous("env://"))
        if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":  # torchrun's store keeps the addresses of those who died
            store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
        patience = timedelta(
            hours=2
        )  # the others wait while the first looks and draws; of a death torchrun tells at once
        dist.init_process_group(store=store, rank=rank, world_size=size, timeout=patience)
        atexit.register(_leave)
    return Group(dist.get_rank(), dist.get_world_size())


def launched() -> bool:
    """Whether torchrun, or what speaks its language, started this process."""
    return all(name in os.environ for name in _ENGINE)


def restarted() -> bool:
    """Whether torchrun has started the processes anew after one of them died."""
    return launched() and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def launch_name() -> str | None:
    """What the processes of one torchrun share, restarts included: with it, a run knows whose it is. None outside of torchrun."""
    return f"{os.environ.get('TORCHELASTIC_RUN_ID', 'none')}-{os.getppid()}" if launched() else None


class Devices(NamedTuple):
    """What --devices says: how many processes, and whether they must compute on the CPU."""

    processes: int
    cpu: bool

    @classmethod
    def parse(cls, text: str) -> Devices:
        """Read 4 (as many cards, or CPU processes where there is no card) or cpu:2."""
        kind, _, count = text.rpartition(":")
        if kind not in ("", "cpu") or not count.isdigit() or int(count) < 1:
            raise ReverieError(f"--devices {text}: give a number of processes, e.g. 4, or cpu:2.")
        return cls(int(count), kind == "cpu")


def launch(devices: Devices, words: Sequence[str]) -> int:
    """Run `reverie WORDS` in as many processes as asked for, as torchrun would; returns the exit code.

    Each process computes with its share of the cores. Raises ReverieError for more cards than there are.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.ERROR)  # of the engine: what went wrong, the process itself has said
    cards = 0 if devices.cpu else torch.cuda.device_count()
    if 0 < cards < devices.processes:
        raise ReverieError(
            f"--devices {devices.processes}: this machine has {cards} cards. Give {cards}, or cpu:{devices.processes}."
        )
    if devices.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // devices.processes, 1))
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=devices.processes, run_id=f"reverie-{os.getpid()}", max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint="localhost:0", start_method="spawn",
    )  # fmt: skip
    try:
        elastic_launch(config, sys.executable)("-m", "reverie", *words)
    except SignalException:  # Ctrl-C or SIGTERM: the processes were told, have saved and said how to go on
        return 130
    except ChildFailedError as error:
        return max(failure.exitcode for failure in error.failures.values()) or 1
    return 0


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
