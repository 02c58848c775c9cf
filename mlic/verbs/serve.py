"""`mlic serve`: a checkpoint or an exported model behind HTTP, with a page."""

import argparse
import importlib.util
import io
import ipaddress
import json
import logging
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mlic.errors import ImageError, UsageError
from mlic.pixels import read_pixels
from mlic.scorers import Scorer, is_exported, open_scorer
from mlic.threads import choose_threads, log_threads

__all__ = ["run"]

log = logging.getLogger(__name__)

Explain = Callable[[bytes, str], bytes]

_HEAT_MAP = 1024  # pixels of its longer side, at most
_NEEDED = ("starlette", "uvicorn", "python_multipart", "prometheus_client")


def run(arguments: list[str], as_json: bool) -> None:
    """Serves until it is told to stop; prints the address when it answers."""
    said = _parser().parse_args(arguments)
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f'mlic serve needs {", ".join(missing)}: pip install "mlic[serve]"')
    from mlic.serve import Limits, bound, make_app, run_server

    if not math.isfinite(said.max_body_mb):
        raise UsageError(f"--max_body_mb is {said.max_body_mb}; expected a number of megabytes")
    limits = Limits(
        body_bytes=round(said.max_body_mb * 1e6),
        pixels=said.max_pixels,
        images=said.max_images,
        requests=said.max_requests,
        seconds=said.timeout,
    )
    if not 0 <= said.port <= 65_535:
        raise UsageError(f"--port is {said.port}; expected 1 to 65535, or 0 for a free one")
    if said.batch_size < 1:
        raise UsageError(f"--batch_size is {said.batch_size}; expected 1 or more")
    with bound(said.host, said.port) as taken:
        lanes = choose_threads().lanes
        scorer, explain = _opened(said.ckpt_path, lanes)
        _one_thread_an_operation()
        host, port = taken.getsockname()[:2]
        is_private = ipaddress.ip_address(host.partition("%")[0]).is_loopback
        app = make_app(
            scorer,
            num_lanes=lanes,
            batch_size=said.batch_size,
            limits=limits,
            explain=explain,
            names={said.host, *said.server_name} if is_private or said.server_name else None,
        )
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        log_threads()
        if not is_private:
            log.warning(
                "warning: %s is seen by others than this machine, and whoever reaches it may ask: "
                "put a proxy with TLS and passwords before it (docs/serve.md)",
                host,
            )

        def announce() -> None:
            said_of = {"url": address, "model": scorer.name, "engine": scorer.engine}
            sys.stdout.write(json.dumps(said_of) + "\n" if as_json else f"{address}\n")
            sys.stdout.flush()
            log.info("%s with %s answers; Ctrl-C ends it", scorer.name, scorer.engine)

        run_server(app, taken, limits.seconds, announce)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlic serve", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--ckpt_path", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--server_name", action="append", default=[])
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--max_body_mb", type=float, default=32.0)
    parser.add_argument("--max_pixels", type=int, default=64_000_000)
    parser.add_argument("--max_images", type=int, default=64)
    parser.add_argument("--max_requests", type=int, default=64)
    parser.add_argument("--timeout", type=float, default=30.0)
    return parser


def _opened(path: str, num_lanes: int) -> tuple[Scorer, Explain | None]:
    """Returns the model, and what draws its heat maps: of a checkpoint alone, and only if it takes images."""
    if is_exported(path):
        return open_scorer(path, num_lanes=num_lanes), None
    from mlic.classifier import MultiLabelClassifier
    from mlic.explain import check_asked, require_images
    from mlic.progress import quietly
    from mlic.scorers.checkpoint import CheckpointScorer

    with quietly():
        classifier = MultiLabelClassifier.from_checkpoint(path)
    require_images(classifier)
    explain: Explain | None = partial(_heat_map, classifier)
    try:
        check_asked(classifier)
    except UsageError as error:  # a head of a third party without a gradient
        log.warning("warning: no heat maps: %s", error)
        explain = None
    return CheckpointScorer(classifier, name=Path(path).name, num_lanes=num_lanes), explain


def _heat_map(classifier: Any, data: bytes, class_name: str) -> bytes:
    """Returns a PNG of an image with the heat map of a class over it."""
    from mlic.explain import explain, overlay
    from mlic.images import read_square

    explanation = explain(classifier, read_square(data, classifier.backbone.image_size)[None], [class_name])
    if not bool(explanation.raw.isfinite().all()):
        raise ImageError("the model gives no number for it: it has diverged")
    image = Image.fromarray(read_pixels(data, _HEAT_MAP))
    image.thumbnail((_HEAT_MAP, _HEAT_MAP))
    heat = explanation.stretched(0, image.height, image.width).numpy()
    file = io.BytesIO()
    overlay(np.array(image), heat).save(file, "PNG", compress_level=3)
    return file.getvalue()


def _one_thread_an_operation() -> None:
    """Has each lane use one core, where torch is what computes; threads that are made later begin with it."""
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
