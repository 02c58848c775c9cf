"""Pages from elsewhere, open in a browser that reaches this server."""

import ipaddress
from collections.abc import Collection

from starlette.requests import Request

from mlic.errors import shortened
from mlic.serve.limits import RefusedError

__all__ = ["refuse_foreigners"]


def refuse_foreigners(request: Request, names: Collection[str] | None) -> None:
    """Refuses what a page from elsewhere has a browser ask.

    Args:
        request: of anybody.
        names: in small letters, besides localhost and any address in numbers; None: any.

    Raises:
        RefusedError: if the browser says so itself, or calls the server by a name that it does not have.
    """
    if request.method == "POST" and request.headers.get("sec-fetch-site") == "cross-site":
        raise RefusedError(403, "a page from elsewhere asks; this server answers its own page alone")
    if names is None:
        return
    name = ""
    try:
        name = (request.url.hostname or "").lower().rstrip(".")
        if name not in names and name != "localhost" and not name.endswith(".localhost"):
            ipaddress.ip_address(name.partition("%")[0])
    except ValueError as error:
        reason = f"'{shortened(name)}' is no name of this server; start it with --server_name to give it one"
        raise RefusedError(421, reason) from error
