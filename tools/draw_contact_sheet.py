"""Draws docs/images/scenes.png: `python tools/draw_contact_sheet.py [FILE]`."""

import sys
from pathlib import Path

from mlic.scenes import contact_sheet

_NUMBERS = (22, 14, 15, 20, 12, 28, 23, 60, 30, 33, 78, 51, 91, 62, 65, 9, 73, 40)
"""Scenes of the demo's data set (seed 0) that show every class, all grounds and one picture without any class."""


def main() -> None:
    """Writes the sheet and says how large it is."""
    default = Path(__file__).parents[1] / "docs" / "images" / "scenes.png"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(_NUMBERS, columns=6, seed=0, size=144)
    sheet.save(path, optimize=True)
    print(f"{path}: {sheet.width} x {sheet.height} pixels, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
