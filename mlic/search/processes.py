"""Work that is shared out over forked processes, which have all that this one has."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

import torch

from mlic.errors import MlicError

__all__ = ["in_processes"]

Result = TypeVar("Result")


def in_processes(jobs: Sequence[Callable[[], Result]], processes: int) -> Iterator[tuple[int, Result | MlicError]]:
    """Yields what each job returns, with its place, as soon as it is known.

    Each process has one thread of torch, as a worker of a DataLoader has: after a fork there are no others.

    Args:
        jobs: what they return is pickled.
        processes: at most so many; with 1 everything is done here. It takes a system that forks.

    Yields:
        The place and the result; an error if the process that had the job has died.
    """
    if processes <= 1:
        yield from ((number, job()) for number, job in enumerate(jobs))
        return
    context = multiprocessing.get_context("fork")
    turn = context.Value("i", 0)
    left = set(range(len(jobs)))
    readers: dict[Any, Any] = {}
    try:
        for _ in range(min(processes, len(jobs))):
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(jobs, turn, writer), daemon=True)
            process.start()
            writer.close()
            readers[reader] = process
        open_ = list(readers)
        while open_:
            for ready in wait(open_):
                try:
                    number, result = cast(Any, ready).recv()
                except EOFError:
                    open_.remove(ready)
                    continue
                left.discard(number)
                yield number, result
        yield from ((number, MlicError("the process that tried it has died")) for number in sorted(left))
    finally:
        for end, process in readers.items():
            process.terminate()
            process.join()
            end.close()


def _work(jobs: Sequence[Callable[[], Any]], turn: Any, writer: Connection) -> None:
    torch.set_num_threads(1)
    while True:
        with turn.get_lock():
            number = turn.value
            turn.value += 1
        if number >= len(jobs):
            return
        writer.send((number, jobs[number]()))
