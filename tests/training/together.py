"""Runs a function in several processes that think torchrun started them: forked from a server that has PyTorch already."""

import multiprocessing
import os
import socket
import traceback

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["reverie.api", "reverie.codecs.image", "reverie.networks.unet", "tests.toy", "torch._dynamo"]
)


def together(size, function, *args, seconds=60):
    """[function(*args) of rank 0, of rank 1, ...]; what a process raises is raised here."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    pipes, processes = [], []
    for rank in range(size):
        mine, theirs = _CONTEXT.Pipe()
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        process = _CONTEXT.Process(target=_work, args=(theirs, {k: str(v) for k, v in place.items()}, function, args))
        process.start()
        theirs.close()
        pipes.append(mine)
        processes.append(process)
    try:
        found = []
        for rank, pipe in enumerate(pipes):
            assert pipe.poll(seconds), f"process {rank} said nothing in {seconds} s"
            good, value = pipe.recv()
            assert good, f"process {rank}:\n{value}"
            found.append(value)
        return found
    finally:
        for process in processes:
            process.join(5)
            process.kill()


def _work(pipe, place, function, args):
    import torch

    os.environ.update(place)
    torch.set_num_threads(1)
    try:
        pipe.send((True, function(*args)))
    except BaseException:
        pipe.send((False, traceback.format_exc()))
