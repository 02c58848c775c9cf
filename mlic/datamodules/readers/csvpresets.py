"""`Preset`: what is known of the table of a public data set, so that nobody has to say it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlic.errors import LabelError, did_you_mean
from mlic.suffixes import is_image

__all__ = ["PRESETS", "PathForm", "Preset", "preset_named", "preset_of"]

PathForm = Callable[[str], str]
"""From an image path as the file has it to one below the root."""


@dataclass(frozen=True)
class Preset:
    """What is known of a table; the first eight mean what they mean in `CsvReader`.

    Attributes:
        group: matches what is torn apart by no split, in the path of an image.
        header: the whole header, by which nothing else can be meant; blank: it may be anybody's.
        file: the name of the file, by which nothing else can be meant.
        guesses: where the images usually are, relative to the folder of the file.
        spread: matches the folders among which the images are spread, relative to the folder of the file.
        suffix: of the images, if the table leaves it out.
        strips_folder: whether image paths begin with the folder of the data set, which is called otherwise on disk.
        summary: what it says, for the log.
    """

    image_column: str | None = None
    label_column: str | None = None
    delimiter: str | None = None
    ignore_columns: tuple[str, ...] = ()
    group_column: str | None = None
    uncertain: str | None = None
    classes: tuple[str, ...] | None = None
    group: str | None = None
    header: str = ""
    file: str = ""
    guesses: tuple[str, ...] = ()
    spread: str = ""
    suffix: str = ""
    strips_folder: bool = False
    summary: str = ""

    def path_forms(self, beside: Path) -> list[PathForm]:
        """Returns what an image path may stand for, the likeliest first; as it is written comes last."""
        forms: list[PathForm] = []
        if self.strips_folder:
            forms.append(lambda written: re.sub(r"^[^/\\]+[/\\]", "", written))
        if self.suffix:
            forms.append(lambda written: written if is_image(written) else written + self.suffix)
        if self.spread:
            folders = sorted(folder.relative_to(beside).as_posix() for folder in beside.glob(self.spread))
            forms += [_below(folder) for folder in folders]
        return [*forms, str]


def preset_named(name: str) -> Preset:
    """Returns a preset.

    Raises:
        LabelError: if there is none of that name.
    """
    if name not in PRESETS:
        hint = did_you_mean(name, list(PRESETS))
        raise LabelError(f"there is no preset '{name}'; expected one of {', '.join(PRESETS)}{hint}")
    return PRESETS[name]


def preset_of(path: Path, header: Sequence[str]) -> str | None:
    """Returns the name of the preset that a file is unmistakably for; None if there is none."""
    # ChestX-ray14 does not quote OriginalImage[Width,Height], and its first release ends lines with a comma.
    text = ",".join(cell.strip() for cell in header).rstrip(",")
    for name, preset in PRESETS.items():
        if (preset.header and text == preset.header) or (preset.file == path.name and header[0] == preset.image_column):
            return name
    return None


def _below(folder: str) -> PathForm:
    return lambda written: f"{folder}/{written}"


_CHESTXRAY14 = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia"),
    *("Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax"),
)
_CHEXPERT_OTHERS = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
_CHEXPERT = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
)
_CELEBA = (
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips"),
    *("Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin"),
    *("Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open"),
    *("Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline"),
    *("Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat"),
    *("Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young"),
)

PRESETS = {
    "roboflow": Preset(
        image_column="filename",
        file="_classes.csv",
        # An export holds several versions of one photograph, each with a name of its own.
        group=r"^.+(?=\.rf\.\w+\.\w+$)",
        summary="each column is a class, and the versions of one photograph are a group",
    ),
    "chestxray14": Preset(
        image_column="Image Index",
        label_column="Finding Labels",
        delimiter="|",
        group_column="Patient ID",
        classes=_CHESTXRAY14,
        header="Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]",
        guesses=("images", "..", "../images"),
        spread="images*/images",
        summary="'No Finding' is an image without any of the 14 classes, and the images of a patient are a group",
    ),
    "chexpert": Preset(
        image_column="Path",
        ignore_columns=_CHEXPERT_OTHERS,
        uncertain="ignore",
        classes=_CHEXPERT,
        group=r"patient\d+",
        header=",".join(["Path", *_CHEXPERT_OTHERS, *_CHEXPERT]),
        guesses=("..", "CheXpert-v1.0-small", "CheXpert-v1.0"),
        strips_folder=True,
        summary="-1 and a blank are unknown, and the images of a patient are a group",
    ),
    "celeba": Preset(
        image_column="image_id",
        uncertain="negative",
        classes=_CELEBA,
        header=",".join(["image_id", *_CELEBA]),
        guesses=("img_align_celeba", "img_align_celeba/img_align_celeba", "img_celeba", "../img_align_celeba"),
        summary="-1 is absent",
    ),
    "planet": Preset(
        image_column="image_name",
        label_column="tags",
        delimiter=" ",
        guesses=("train-jpg", "train-jpg/train-jpg", "train", "../train-jpg"),
        suffix=".jpg",
        summary="a space separates labels",
    ),
}
