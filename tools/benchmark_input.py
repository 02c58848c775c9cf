"""Measures the input pipeline: from JPEG files to `uint8` squares, against Pillow and torchvision's first transforms.

    python tools/benchmark_input.py speed [FOLDER] [--side 299]   # every decoder that is installed, every kind of JPEG
    python tools/benchmark_input.py equality [FOLDER]             # what decoding at a part of the size changes
    python tools/benchmark_input.py loading [BACKBONE]            # processes that decode, against decoding in this one

Times are of the processor, in one thread, medians of rounds in which every way has its turn; ratios are to the first
row. The pictures are noise that fades as in photographs, with edges; or FOLDER's photographs, laid side by side.
"""

import argparse
import functools
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from mlic.images import read_image, read_square, squash
from mlic.jpeg import plain_frame, reduction

_ROUNDS, _PICTURES = 9, 6
_KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline 4:2:0": ("RGB", {"subsampling": 2}),
    "baseline 4:4:4": ("RGB", {"subsampling": 0}),
    "progressive 4:2:0": ("RGB", {"subsampling": 2, "progressive": True}),
    "restart markers": ("RGB", {"subsampling": 2, "restart_marker_rows": 1}),
    "grey": ("L", {}),
    "CMYK": ("CMYK", {}),
    "turned by EXIF": ("RGB", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"}),
}

Way = Callable[[bytes], object]


def picture(width: int, height: int, seed: int) -> Image.Image:
    """Returns a picture whose details are the fainter the finer they are, and some edges."""
    rng = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    fade = 1 / np.maximum(np.hypot(rows, columns), 1 / max(height, width)) ** 1.35
    waves = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) * fade, (height, width))
    waves *= 45 / waves.std()
    pixels = np.stack([128 + waves, 128 + 0.9 * waves, 120 + 0.8 * waves], axis=-1)
    for _ in range(12):
        top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
        pixels[top : top + rng.integers(9, height // 2), left : left + rng.integers(9, width // 2)] += rng.normal(
            0, 30, 3
        )
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def mosaic(folder: Path, width: int, height: int, seed: int) -> Image.Image:
    """Returns photographs side by side, each at its own size."""
    rng = np.random.default_rng(seed)
    files = sorted(folder.rglob("*.jpg"))
    whole, top = Image.new("RGB", (width, height)), 0
    while top < height:
        left, row = 0, 0
        while left < width:
            photograph = Image.open(files[rng.integers(len(files))]).convert("RGB")
            whole.paste(photograph, (left, top))
            left, row = left + photograph.width, max(row, photograph.height)
        top += row
    return whole


def encode(image: Image.Image, mode: str, quality: int = 90, **options: Any) -> bytes:
    """Returns the file."""
    file = io.BytesIO()
    image.convert(mode).save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


def ways(side: int) -> Iterator[tuple[str, Way]]:
    """Yields every way that this machine has; the first is what others are measured against."""
    from torchvision import transforms

    to_float = transforms.Compose(
        [transforms.Resize((side, side)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    )

    def opened(data: bytes) -> Image.Image:
        return Image.open(io.BytesIO(data))

    def squashed(pixels: Any) -> torch.Tensor:
        """The resize that one writes without a thought of the memory's layout."""
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(image, size=(side, side), mode="bilinear", antialias=True)
        return resized[0].contiguous()

    yield "Pillow, transforms v1 to float", lambda data: to_float(opened(data).convert("RGB"))
    yield "Pillow, its resize to uint8", lambda data: np.array(opened(data).convert("RGB").resize((side, side), 2))
    yield "Pillow, torch's uint8 resize", lambda data: squashed(np.array(opened(data).convert("RGB")))
    yield "mlic without simplejpeg", lambda data: _without_simplejpeg(data, side)
    yield "mlic", lambda data: read_square(data, side)
    yield "mlic, never reduced", lambda data: squash(read_image(data), side)
    yield from _other_decoders(side, squashed)


def _without_simplejpeg(data: bytes, side: int) -> torch.Tensor:
    with mock.patch("mlic.jpeg.simplejpeg", None):
        return read_square(data, side)


def _other_decoders(side: int, squashed: Callable[[Any], torch.Tensor]) -> Iterator[tuple[str, Way]]:
    import warnings

    from torchvision.io import ImageReadMode, decode_jpeg

    warnings.filterwarnings("ignore", module="torchvision")
    warnings.filterwarnings("ignore", message=".*buffer is not writable.*")

    def by_torchvision(data: bytes) -> torch.Tensor:
        return squash(decode_jpeg(torch.frombuffer(data, dtype=torch.uint8), mode=ImageReadMode.RGB), side)

    yield "torchvision.io", by_torchvision
    try:
        import simplejpeg

        yield "simplejpeg alone", lambda data: squashed(simplejpeg.decode_jpeg(data, "RGB"))
    except ImportError:
        pass
    try:
        from turbojpeg import TJPF_RGB, TurboJPEG

        turbo = TurboJPEG()
        yield "PyTurboJPEG", lambda data: squashed(turbo.decode(data, TJPF_RGB))
    except (ImportError, RuntimeError, OSError):  # it brings no libturbojpeg of its own
        print("PyTurboJPEG: not measured, no libturbojpeg is installed")


def milliseconds(ways: dict[str, Way], files: list[bytes], rounds: int = _ROUNDS) -> dict[str, float]:
    """Returns processor time an image of each way that can read the files; each has its turn in each round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            try:
                for data in files:
                    way(data)
            except (RuntimeError, ValueError, OSError):
                continue
            times[name].append((time.process_time() - started) / len(files) * 1e3)
    return {name: statistics.median(taken) for name, taken in times.items() if taken}


def measure_speed(side: int, folder: Path | None) -> None:
    """Prints a row for each kind of JPEG, size and way."""
    torch.set_num_threads(1)
    all_ways = dict(ways(side))
    for width, height in ((500, 375), (2000, 1500)):
        draw = functools.partial(mosaic, folder) if folder else picture
        pictures = [draw(width, height, seed) for seed in range(_PICTURES if width < 1000 else 2)]
        for kind, (mode, options) in _KINDS.items():
            files = [encode(image, mode, **options) for image in pictures]
            taken = milliseconds(all_ways, files, _ROUNDS if width < 1000 else 3)
            first = next(iter(taken.values()))
            print(f"{width}x{height} to {side}, {kind}, {sum(map(len, files)) // len(files) // 1000} kB")
            for name, each in taken.items():
                print(f"    {name:32} {each:7.2f} ms {1000 / each:6.0f} images/s {first / each:5.2f}x")


def measure_equality(folder: Path | None) -> None:
    """Prints how much a square of a reduced image differs from one of the whole image, in grey levels."""
    for by in (2, 4, 8):
        for ratio in (1.0, 1.5, 2.0, 2.5, 3.0):
            side = round(1200 / by / ratio)
            means, largest = [], []
            for seed in range(3):
                image = mosaic(folder, 1200, 1200, seed) if folder else picture(1200, 1200, seed)
                data = encode(image, "RGB", subsampling=2)
                small = Image.open(io.BytesIO(data))
                small.draft(None, (1200 // by, 1200 // by))
                reduced = squash(torch.from_numpy(np.array(small)).permute(2, 0, 1), side)
                difference = (reduced.int() - squash(read_image(data), side).int()).abs()
                means.append(difference.float().mean().item())
                largest.append(int(difference.max()))
            frame = plain_frame(data)
            chosen = "chosen" if frame is not None and reduction(frame, side) == by else ""
            print(f"1/{by}, {ratio} times the square: {max(means):.2f} on average, {max(largest):3} at most {chosen}")


def measure_loading(backbone: str) -> None:
    """Prints images per second of training, decoding in this process and in others."""
    taken: dict[int, list[tuple[float, float]]] = {workers: [] for workers in (0, 1, 2)}
    for _ in range(3):
        for workers in taken:
            command = [sys.executable, __file__, "one", backbone, str(workers)]
            environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
            ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            wall, processor = map(float, ended.stdout.split()[-2:])
            taken[workers].append((wall, processor))
    first = statistics.median(wall for wall, _ in taken[0])
    for workers, pairs in taken.items():
        wall, processor = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"{backbone}, {workers} workers: {wall * 1e3:6.1f} ms an image, {processor * 1e3:6.1f} of the processor, "
            f"{first / wall:.2f}x"
        )


def train_once(backbone: str, workers: int) -> None:
    """Trains on a few batches of 500x375 JPEGs, and prints the wall and processor time an image."""
    import tempfile

    from mlic.allocator import keep_blocks
    from mlic.backbones.timm import TimmBackbone
    from mlic.datamodules.augmentation import Augmentation
    from mlic.datamodules.dataset import ImageDataset
    from mlic.datamodules.loading import batches
    from mlic.labels import LabelTable

    keep_blocks()
    model = TimmBackbone(backbone, weights="none", freeze=False).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(16):
            (Path(folder) / f"{seed}.jpg").write_bytes(encode(picture(500, 375, seed), "RGB", subsampling=2))
        names = [f"{seed % 16}.jpg" for seed in range(96)]
        table = LabelTable.from_present(names, ("a",), [["a"]] * len(names), root=Path(folder))
        loader = batches(ImageDataset(table, model.image_size, Augmentation()), None, 16, workers, drop_last=False)
        started, spent = 0.0, 0.0
        for epoch in range(2):  # the first starts the workers
            started, spent = time.perf_counter(), _processor_time()
            for batch in loader:
                images = (batch.images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
                model(images).mean().backward()
                optimizer.step()
                optimizer.zero_grad()
            if epoch == 1:
                print((time.perf_counter() - started) / len(names), (_processor_time() - spent) / len(names))


def _processor_time() -> float:
    """Returns the time of this process and of its children, those that still run as well."""
    import multiprocessing

    spent = time.process_time()
    for child in multiprocessing.active_children():
        words = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        spent += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "equality", "loading", "one"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--side", type=int, default=299)
    words = parser.parse_args()
    if words.what == "speed":
        measure_speed(words.side, Path(words.rest[0]) if words.rest else None)
    elif words.what == "equality":
        measure_equality(Path(words.rest[0]) if words.rest else None)
    elif words.what == "loading":
        measure_loading(*words.rest or ["tf_efficientnet_lite0"])
    else:
        train_once(words.rest[0], int(words.rest[1]))


if __name__ == "__main__":
    main()
