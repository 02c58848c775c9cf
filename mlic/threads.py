"""How many threads compute, and how they wait: chosen from the cores that this process may use."""

import logging
import math
import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["Threads", "available_cores", "choose_threads", "log_threads", "settle_threads"]

log = logging.getLogger(__name__)


class Threads(NamedTuple):
    """What was chosen.

    Attributes:
        cores: how many this process may use, by affinity and by the quota of its container.
        op_threads: threads that share one operation of torch, outside of lanes.
        lanes: threads that each run a network of their own, with one core (`mlic.lanes`).
        waiting: how the threads of an operation wait for the next one: `passive` sleeps, `active` spins; `default` is
            what the OpenMP library does by itself.
    """

    cores: int
    op_threads: int
    lanes: int
    waiting: str


def settle_threads() -> None:
    """Tells OpenMP how to wait and how many threads to have, unless the user has told it; imports no torch.

    Threads that spin while they wait collapse where cores are shared: a thread that spins takes the very core that the
    one it waits for should have. So they sleep. OpenMP reads this once, when torch is imported, so this comes before.

    OpenMP does not see the quota of a container: with 2 of 64 cores it would start 64 threads, which the kernel stops
    for most of the time.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    cores = available_cores()
    if cores < _permitted_cores():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores))


def choose_threads() -> Threads:
    """Returns the numbers of threads for this process: those of `OMP_NUM_THREADS`, else one a core."""
    cores = available_cores()
    threads = _asked_for() or cores
    waiting = os.environ.get("OMP_WAIT_POLICY", "default").lower()
    return Threads(cores, threads, min(threads, cores), waiting)


def log_threads() -> None:
    """Logs what was chosen, in one line."""
    cores, op_threads, lanes, waiting = choose_threads()
    log.info(
        "threads: %d cores; %d threads an operation, or %d lanes of one; waiting %s", cores, op_threads, lanes, waiting
    )


def available_cores(root: Path = Path("/")) -> int:
    """Returns how many cores this process may use: its affinity, and no more than the quota of its container.

    Args:
        root: of the file system that tells of control groups.
    """
    return max(1, min([_permitted_cores(), *(math.ceil(quota) for quota in _quotas(root))]))


def _permitted_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _asked_for() -> int | None:
    """Returns the threads that `OMP_NUM_THREADS` asks for; a list of them is for nested levels."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() and int(first) > 0 else None


def _quotas(root: Path) -> list[float]:
    """Returns the cores that each control group allows which this process is in, of version 1 and of version 2."""
    first = [_cores_v1(folder) for folder in _groups(root / "sys/fs/cgroup/cpu", _group(root, "cpu"))]
    second = [_cores_v2(folder) for folder in _groups(root / "sys/fs/cgroup", _group(root, ""))]
    return [quota for quota in (*first, *second) if quota is not None]


def _groups(mount: Path, group: str) -> list[Path]:
    # Within a container the path may be the one outside, which is not there; then the mount itself is the group.
    parts = Path(group).parts[1:]
    return [mount.joinpath(*parts[:length]) for length in range(len(parts) + 1)]


def _group(root: Path, controller: str) -> str:
    """Returns the path of this process's control group; the controller of version 2 has no name."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            return path
    return "/"


def _cores_v2(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    return _ratio(quota, period)  # "max" stands for no limit


def _cores_v1(folder: Path) -> float | None:
    return _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))  # -1 stands for no limit


def _ratio(quota: str, period: str) -> float | None:
    if not (quota.strip().isdigit() and period.strip().isdigit() and int(period) > 0 and int(quota) > 0):
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
