"""Pictures of a data set, drawn with matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlic.errors import UsageError

__all__ = ["plot_statistics", "save"]

_PRESENT, _ABSENT, _UNKNOWN = "#2a6f97", "#d9e2ec", "#f2b134"
_SHOWN = 40  # classes that a picture has room for


def plot_statistics(
    title: str,
    classes: Sequence[str],
    support: Int64[np.ndarray, " classes"],
    negatives: Int64[np.ndarray, " classes"],
    num_images: int,
    labels_per_image: Mapping[int, int],
    meetings: Sequence[tuple[int, int, int]],
    sizes: Int64[np.ndarray, "images 2"],
) -> Figure:
    """Draws the labels of each class, the labels of each image, which classes meet, and the sizes of images.

    Args:
        title: what stands above.
        classes: their names.
        support: known positives of each class.
        negatives: known negatives of each class.
        num_images: of the table, so that what is left is unknown.
        labels_per_image: number of classes -> number of images.
        meetings: as `mlic.labels.counts.meetings`.
        sizes: width and height in pixels of some images.
    """
    order = np.argsort(-support, kind="stable")[:_SHOWN]
    height = max(4.0, 0.24 * len(order) + 1.2)
    figure = Figure(figsize=(13, height + 3.8), layout="constrained")
    figure.suptitle(title)
    grid = figure.add_gridspec(2, 2, height_ratios=[height, 3.2])
    names = [classes[column] for column in order]
    _draw_classes(figure.add_subplot(grid[0, 0]), names, support[order], negatives[order], num_images, len(classes))
    _draw_meetings(figure.add_subplot(grid[0, 1]), names, order, support, meetings)
    _draw_labels_per_image(figure.add_subplot(grid[1, 0]), labels_per_image)
    _draw_sizes(figure.add_subplot(grid[1, 1]), sizes)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a picture; the suffix of `path` tells the format, such as .png, .svg or .pdf.

    Raises:
        UsageError: if the format is not known or the file cannot be written.
    """
    if not path.suffix:  # matplotlib would add one, and the picture be elsewhere
        raise UsageError(f"{path}: has no suffix to tell the format of the picture; expected one such as .png")
    try:
        figure.savefig(path, dpi=120)
    except ValueError as error:
        raise UsageError(f"{path}: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error


def _draw_classes(
    axes: Axes,
    names: Sequence[str],
    support: Int64[np.ndarray, " classes"],
    negatives: Int64[np.ndarray, " classes"],
    num_images: int,
    num_classes: int,
) -> None:
    places, unknown = np.arange(len(names)), num_images - support - negatives
    axes.barh(places, support, color=_PRESENT, label="present")
    axes.barh(places, negatives, left=support, color=_ABSENT, label="absent")
    if unknown.any():
        axes.barh(places, unknown, left=support + negatives, color=_UNKNOWN, label="unknown")
    for place, number in zip(places, support, strict=True):
        axes.text(float(number) + num_images * 0.007, float(place), f"{number:,}", va="center", fontsize=7)
    axes.set_yticks(places, names, fontsize=8)
    axes.set_ylim(max(1, len(names)) - 0.5, -0.5)  # the rows of the picture beside it
    axes.set_xlim(0, max(1, num_images))
    more = f", the {len(names)} most frequent of {num_classes:,}" if num_classes > len(names) else ""
    axes.set_title(f"labels of each class{more}", fontsize=10)
    axes.set_xlabel("images", loc="left")
    # Below the axes, where it hides no class.
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0), borderaxespad=2.2, ncols=3, frameon=False, fontsize=8)


def _draw_meetings(
    axes: Axes,
    names: Sequence[str],
    order: Int64[np.ndarray, " shown"],
    support: Int64[np.ndarray, " classes"],
    meetings: Sequence[tuple[int, int, int]],
) -> None:
    place = {int(column): at for at, column in enumerate(order)}
    together = np.zeros((len(order), len(order)))
    for one, other, number in meetings:
        if one in place and other in place:
            together[place[one], place[other]] = together[place[other], place[one]] = number
    share = together / np.maximum(support[order], 1)[:, None]
    np.fill_diagonal(share, np.nan)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=max(0.01, float(np.nanmax(share, initial=0))), aspect="auto")
    axes.set_xticks(np.arange(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(np.arange(len(names)), names, fontsize=7)
    axes.set_title("of the images with the row's class, the share that has the column's", fontsize=10)
    axes.figure.colorbar(image, ax=axes, fraction=0.04)


def _draw_labels_per_image(axes: Axes, labels_per_image: Mapping[int, int]) -> None:
    axes.bar(list(labels_per_image), list(labels_per_image.values()), color=_PRESENT)
    axes.set_title("labelled images by their number of classes", fontsize=10)
    axes.set_xlabel("classes present")
    axes.set_ylabel("images")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_sizes(axes: Axes, sizes: Int64[np.ndarray, "images 2"]) -> None:
    axes.scatter(sizes[:, 0], sizes[:, 1], s=9, alpha=0.3, color=_PRESENT, edgecolors="none")
    axes.set_title(f"sizes of {len(sizes):,} images", fontsize=10)
    axes.set_xlabel("width (pixels)")
    axes.set_ylabel("height (pixels)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
