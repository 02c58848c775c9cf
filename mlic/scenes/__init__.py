"""The embedded data set: scenes that `mlic demo` draws, written as users would write their own data.

Needs Pillow and NumPy only. `draw_scene` makes one picture and says what can be seen in it; `write_scenes` makes a
folder of them with `train.csv`, `val.csv` and `test.csv`.
"""

from mlic.scenes.dataset import contact_sheet, split_sizes, write_scenes
from mlic.scenes.plan import CLASSES, MAX_CLASSES
from mlic.scenes.scene import draw_scene

__all__ = ["CLASSES", "MAX_CLASSES", "contact_sheet", "draw_scene", "split_sizes", "write_scenes"]
