"""One process that answers: a port, and an end that finishes what was begun."""

import errno
import logging
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from mlic.errors import MlicError, UsageError

__all__ = ["bound", "run_server"]

_IDLE = 10  # seconds after which a connection without a request is closed


def bound(host: str, port: int) -> socket.socket:
    """Returns a socket that has the address, so that one in use is noticed before a model is loaded.

    Args:
        host: a name or an address of this machine.
        port: 0 takes a free one.

    Raises:
        UsageError: if there is no such address here, or somebody has it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"--host {host}: not an address of this machine ({error.strerror or error})") from error
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(address)
        taken.listen(1)  # a port that two have bound is in use only when one of them listens
    except OSError as error:
        taken.close()
        way = "; name another with --port, 0 takes a free one" if error.errno == errno.EADDRINUSE else ""
        raise UsageError(f"{host}, port {port}: {error.strerror or error}{way}") from error
    return taken


def run_server(app: Starlette, taken: socket.socket, seconds: float, announce: Callable[[], None]) -> None:
    """Answers until SIGTERM or Ctrl-C, then takes nothing new, finishes what was begun and raises the signal again.

    Args:
        app: of `make_app`.
        taken: the socket.
        seconds: how long it waits at the end for what was begun; no request may take longer.
        announce: is called when requests are answered.

    Raises:
        MlicError: if it did not come to that.
    """
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # clients are told, a line each is for nobody
    config = uvicorn.Config(
        app,
        http="h11",  # httptools, where it is installed, takes headers without end
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=max(1, round(seconds)),
    )
    server = _Server(config, announce)
    try:
        server.run(sockets=[taken])
        if not server.started:
            raise MlicError("the server could not start; the lines above tell why")
    finally:
        app.state.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()
