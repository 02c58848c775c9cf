"""`opener`: opens files, but no named pipe, which would wait for somebody to write to it."""

import errno
import os
import stat

__all__ = ["opener"]

_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def opener(path: str, flags: int) -> int:
    """Opens a file; an `opener` for `open`.

    What a shell opened already may be read (`/dev/stdin`, or the `/dev/fd/63` that `<(zcat labels.csv.gz)` stands for).

    Raises:
        OSError: if it cannot be opened, or is a named pipe.
    """
    descriptor = os.open(path, flags | _NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) and not os.path.realpath(path).startswith(("/dev/", "/proc/")):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is a named pipe")
    if _NONBLOCK and not stat.S_ISREG(mode):
        os.set_blocking(descriptor, True)
    return descriptor
