"""How the C library hands out memory."""

import ctypes
import os
import sys

__all__ = ["keep_blocks"]

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_THRESHOLD = 2**30


def keep_blocks() -> bool:
    """Makes glibc keep large blocks for the next use, and returns whether it does.

    By default glibc gives a feature map's memory back and has the kernel clear it anew at the next layer, which took
    half of the time of EfficientNet-Lite0 on a CPU (`tools/measure_allocator.py`). The price is that a process holds
    on to its largest size. `MLIC_KEEP_BLOCKS=0` in the environment turns it off.
    """
    if not sys.platform.startswith("linux") or os.environ.get("MLIC_KEEP_BLOCKS") == "0":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_THRESHOLD)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
