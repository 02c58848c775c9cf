"""Engines: the fastest way through a network that does not learn, on a CPU."""

import copy
import hashlib
import importlib.util
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights

__all__ = ["Engine", "EngineName", "OnnxEngine", "TorchEngine", "make_engine"]

log = logging.getLogger(__name__)

EngineName = Literal["auto", "torch", "onnxruntime"]
"""`torch`: BatchNorm fused into the convolutions, channels last; `onnxruntime`; `auto`: the one that is done first."""

_TOLERANCE = 1e-4
_OPSET = 18
# An export takes 2 to 5 s and saves a fifth of the time or more in lanes, so a shorter job is done before it pays.
_SECONDS_WORTH_AN_EXPORT = 20.0
_SECONDS_WORTH_A_SESSION = 2.0


@runtime_checkable
class Engine(Protocol):
    """From images to the network's output, in float32 on the CPU. May be called from several threads at once.

    Attributes:
        name: `torch` or `onnxruntime`.
    """

    name: str

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch ..."]:
        """Returns the output for images of 0 to 255 that are not normalised."""
        ...


class TorchEngine:
    """The network itself: a copy with each BatchNorm fused into the convolution before it, channels last.

    Nothing is fused where the fused copy does not compute the same, to 1e-4 of the largest output.

    Args:
        backbone: from normalised images to a feature map.
        mean: per channel, subtracted from pixels in [0, 1].
        std: per channel, divided by after that.
        image_size: side of the images that the copy is compared on, in pixels.
        condense: from the feature map to what is wanted, such as a pooling or a head; a module or its method is
            copied. By default the feature map is what is wanted.

    Attributes:
        name: `torch`.
        network: normalises, and then runs the copy.
        num_fused: how many convolutions were fused.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        >>> engine = TorchEngine(network, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), image_size=8)
        >>> engine.num_fused, engine(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).shape
        (1, torch.Size([2, 4, 6, 6]))
    """

    name = "torch"

    def __init__(
        self,
        backbone: nn.Module,
        mean: Sequence[float] | Tensor,
        std: Sequence[float] | Tensor,
        image_size: int,
        condense: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.network = copy.deepcopy(_Normalised(backbone, mean, std, condense)).eval().requires_grad_(False)
        images = probe(2, image_size)
        expected = self(images)
        fused = copy.deepcopy(self.network)
        self.num_fused = _fuse(fused, images[:1])
        fused.to(memory_format=torch.channels_last).channels_last = True
        self.network, plain = fused, self.network
        difference = _difference(self, images, expected)
        if not difference <= _TOLERANCE:
            log.info("engine: nothing is fused, since the fused network differs by %.1e", difference)
            self.network, self.num_fused = plain, 0
            self.network.to(memory_format=torch.channels_last).channels_last = True

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch ..."]:
        """Returns the output for images of 0 to 255 that are not normalised."""
        with torch.inference_mode():
            output = self.network(images)
        # An ordinary tensor again, which autograd takes as an input.
        return cast(Tensor, output).clone()


class OnnxEngine:
    """ONNX Runtime with the network of a `TorchEngine`.

    Args:
        path: the network, as `export` wrote it.
        num_threads: threads of one operation.

    Attributes:
        name: `onnxruntime`.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, num_threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait in a loop take the processor from whoever shares it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch ..."]:
        """Returns the output for images of 0 to 255 that are not normalised."""
        (output,) = self._session.run(None, {"images": images.contiguous().numpy()})
        return torch.from_numpy(output)


def make_engine(
    backbone: nn.Module,
    mean: Sequence[float] | Tensor,
    std: Sequence[float] | Tensor,
    image_size: int,
    condense: Callable[[Tensor], Tensor] | None = None,
    *,
    engine: EngineName = "auto",
    num_images: int | None = None,
    num_lanes: int = 1,
    num_threads: int = 1,
    cache: Path | None = None,
) -> Engine:
    """Returns an engine for a network as it is now; later changes of its weights do not reach it.

    For 32-bit floats on a CPU: what runs on another device, or in another precision, stays with the module. Where ONNX
    Runtime is not installed, does not take the network or gives other numbers, the result is a `TorchEngine`, and the
    log says why.

    Args:
        backbone: from normalised images to a feature map; it is copied.
        mean: per channel, subtracted from pixels in [0, 1].
        std: per channel, divided by after that.
        image_size: side of the images in pixels.
        condense: from the feature map to what is wanted, such as a pooling or a head; a module or its method is copied.
        engine: which one.
        num_images: how many images are to be done; not known means many. `auto` exports only where it pays.
        num_lanes: how many threads will call the engine at once.
        num_threads: threads that one operation of ONNX Runtime has; those of torch are torch's.
        cache: a folder where the exported network is kept for the next time; by default it is not kept.
    """
    ours = TorchEngine(backbone, mean, std, image_size, condense)
    if engine == "torch":
        return _told(ours, "")
    if missing := [package for package in ("onnxruntime", "onnx") if importlib.util.find_spec(package) is None]:
        return _told(ours, f"; {' and '.join(missing)} would make it faster, but is not installed")
    images = probe(2, image_size)
    exported = None if cache is None else cache / f"{_digest(ours.network, images)}.onnx"
    seconds = _seconds([ours], images, num_threads)[0] / len(images)
    if engine == "auto" and num_images is not None:
        worth = _SECONDS_WORTH_AN_EXPORT if exported is None or not exported.exists() else _SECONDS_WORTH_A_SESSION
        if num_images * seconds / num_lanes < worth:
            return _told(ours, "; an export for ONNX Runtime would take longer than it saves")
    theirs = _try_onnx(ours, images, exported, num_threads)
    if isinstance(theirs, str):
        return _told(ours, f"; ONNX Runtime is not used: {theirs}")
    if engine == "auto":
        times = _seconds([ours, theirs], images, num_threads)
        if times[1] > times[0]:
            return _told(ours, f"; ONNX Runtime takes {times[1] / times[0]:.2f} times as long")
    return _told(theirs, "")


def probe(num_images: int, image_size: int) -> UInt8[Tensor, "{num_images} 3 {image_size} {image_size}"]:
    """Returns images to compare engines on: noise, coarse and fine, always the same.

    Args:
        num_images: how many.
        image_size: their side in pixels.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(num_images, 3, 4, 4, generator=generator) * 192
    smooth = nn.functional.interpolate(coarse, size=(image_size, image_size), mode="bilinear")
    fine = torch.rand(num_images, 3, image_size, image_size, generator=generator) * 63
    return (smooth + fine).to(torch.uint8)


def export(network: nn.Module, images: UInt8[Tensor, "batch 3 height width"], path: Path) -> None:
    """Writes a network as ONNX, for any number of images at a time.

    By tracing: 1.7 s for EfficientNet-Lite0 and 2.6 s for Inception v3, where torch's newer exporter took 19 and 12
    (torch 2.14.1, onnxscript 0.7.2, two cores).

    Args:
        network: from uint8 images to one output.
        images: two or more of the size it is to take.
        path: where to.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of deprecation, and that shapes become constants; the result is compared
        torch.onnx.export(
            network,
            (images,),
            path,
            input_names=["images"],
            output_names=["output"],
            dynamic_axes={"images": {0: "batch"}, "output": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )


class _Normalised(nn.Module):
    """Normalisation, backbone and condensation in one."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        mean: Sequence[float] | Tensor,
        std: Sequence[float] | Tensor,
        condense: Callable[[Tensor], Tensor] | None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.condense = condense
        # A method of a module, such as a head's, brings its module along: to be copied, evaluated and exported.
        owner = getattr(condense, "__self__", None)
        self.owner = owner if isinstance(owner, nn.Module) else None
        self.channels_last = False
        for name, figures in (("mean", mean), ("std", std)):
            row = torch.as_tensor(figures, dtype=torch.float32).detach().clone()
            self.register_buffer(name, row.reshape(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Returns what is wanted of `images`, which are not normalised."""
        normalised = (images.to(torch.float32) / 255 - self.mean) / self.std
        # Last, since single bytes are slow to rearrange.
        if self.channels_last:
            normalised = normalised.contiguous(memory_format=torch.channels_last)
        feature_map = self.backbone(normalised)
        return cast(Tensor, feature_map if self.condense is None else self.condense(feature_map)).float()


def _fuse(network: nn.Module, images: Tensor) -> int:
    """Multiplies each BatchNorm into the convolution that feeds it, in place, and returns how many there were.

    Which convolution that is, is seen in a run: a BatchNorm takes the very tensor that the convolution gave. So it does
    not matter what the modules are called, or that timm's norms have an activation of their own. Whether something
    else takes that tensor too is not seen; the caller compares.
    """
    pairs = _pairs(network, images)
    places = {module: name for name, module in network.named_modules()}
    for norm, convolution in pairs.items():
        weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            cast(Tensor, norm.running_mean),
            cast(Tensor, norm.running_var),
            norm.eps,
            norm.weight,
            norm.bias,
        )
        convolution.weight, convolution.bias = weight, bias
        parent, _, name = places[norm].rpartition(".")
        setattr(network.get_submodule(parent), name, _rest(norm))
    return len(pairs)


def _pairs(network: nn.Module, images: Tensor) -> dict[nn.BatchNorm2d, nn.Conv2d]:
    """Returns the norms that can be fused, each with its convolution; both run once."""
    given: dict[int, tuple[Tensor, nn.Conv2d]] = {}
    pairs: dict[nn.BatchNorm2d, nn.Conv2d] = {}
    runs: dict[nn.Module, int] = {}

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        runs[module] = runs.get(module, 0) + 1
        if isinstance(module, nn.Conv2d):
            given[id(output)] = (output, module)  # the tensor is kept, so that no other gets its id
        elif inputs and id(inputs[0]) in given and isinstance(module, nn.BatchNorm2d):
            pairs[module] = given[id(inputs[0])][1]

    handles = [m.register_forward_hook(look) for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    taken = list(pairs.values())
    return {
        norm: convolution
        for norm, convolution in pairs.items()
        if runs[norm] == runs[convolution] == 1
        and taken.count(convolution) == 1
        and norm.running_mean is not None
        and _rest(norm) is not None
    }


def _rest(norm: nn.BatchNorm2d) -> nn.Module | None:
    """Returns what a BatchNorm does besides: nothing, or what timm's does after it; None if it is not known."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    drop, act = getattr(norm, "drop", None), getattr(norm, "act", None)
    if isinstance(drop, nn.Module) and isinstance(act, nn.Module):
        return act if isinstance(drop, nn.Identity) else nn.Sequential(drop, act)
    return None


def _try_onnx(ours: TorchEngine, images: Tensor, exported: Path | None, num_threads: int) -> OnnxEngine | str:
    """Returns ONNX Runtime with the network of `ours`, or why it cannot be used."""
    expected = ours(images[:1])  # another number of images than the export sees
    if exported is not None and exported.exists():
        engine = _checked(exported, images[:1], expected, num_threads)
        if isinstance(engine, OnnxEngine):
            return engine
        log.info("engine: %s is exported anew: %s", exported, engine)
    try:
        with _written(exported) as path:
            started = time.perf_counter()
            # Channels last is torch's own affair.
            plain = copy.deepcopy(ours.network).to(memory_format=torch.contiguous_format)
            plain.channels_last = False
            export(plain, images, path)
            log.info("engine: exported for ONNX Runtime in %.1f s", time.perf_counter() - started)
            engine = _checked(path, images[:1], expected, num_threads)
            if isinstance(engine, str):
                raise RuntimeError(engine)
            return engine
    except Exception as error:  # torch, onnx and a full disk fail in every way
        return _first_line(error)


def _checked(path: Path, images: Tensor, expected: Tensor, num_threads: int) -> OnnxEngine | str:
    try:
        engine = OnnxEngine(path, num_threads)
        difference = _difference(engine, images, expected)
    except Exception as error:  # ONNX Runtime's errors have no base class but this
        return _first_line(error)
    return engine if difference <= _TOLERANCE else f"its numbers differ by {difference:.1e} of the largest"


@contextmanager
def _written(exported: Path | None) -> Iterator[Path]:
    """Gives a path to write to, whose file comes to `exported` if all goes well and is gone in any other case."""
    folder = None if exported is None else exported.parent
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as place:
        path = Path(place) / "network.onnx"
        yield path
        if exported is not None:
            path.replace(exported)


def _digest(network: _Normalised, images: Tensor) -> str:
    """Returns a name for what an export would be: versions, structure and weights."""
    digest = hashlib.blake2b(f"{torch.__version__} {_OPSET} {images.shape[1:]} {network}".encode(), digest_size=16)
    for name, value in network.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _difference(engine: Engine, images: Tensor, expected: Tensor) -> float:
    """Returns the largest difference from `expected`, relative to the largest magnitude; infinity if it fails."""
    try:
        found = engine(images)
    except Exception as error:  # a network that looks at what was fused may fail in every way
        log.info("engine: %s", _first_line(error))
        return float("inf")
    if found.shape != expected.shape:
        return float("inf")
    largest = float(expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny))
    return float((found - expected).abs().max()) / largest


def _seconds(engines: Sequence[Engine], images: Tensor, num_threads: int) -> list[float]:
    """Returns the median time of each engine for `images`; in turn, since the machine may be busy with other things."""
    threads = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    times: list[list[float]] = [[] for _ in engines]
    try:
        for _ in range(3):
            for engine, own in zip(engines, times, strict=True):
                started = time.perf_counter()
                engine(images)
                own.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
    return [statistics.median(own) for own in times]


def _told(engine: Engine, why: str) -> Engine:
    fused = f", {engine.num_fused} convolutions fused with their norms" if isinstance(engine, TorchEngine) else ""
    log.info("engine: %s%s%s", engine.name, fused, why)
    return engine


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
