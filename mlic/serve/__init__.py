"""A trained model behind HTTP, with a page of its own: Starlette and uvicorn around a `Scorer`; imports no torch."""

from mlic.serve.app import make_app
from mlic.serve.lanes import Lanes
from mlic.serve.limits import Limits
from mlic.serve.server import bound, run_server

__all__ = ["Lanes", "Limits", "bound", "make_app", "run_server"]
