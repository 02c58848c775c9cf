"""The model card of an exported model: `README.md`, as the Hugging Face hub lays it out."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from mlic.export.quantizing import Cost

__all__ = ["SCRIPT", "model_card"]

_MEANINGS = {
    "mAP": "mean over the classes of average precision: 1 if each class ranks its images before all others",
    "f1_micro": "F1 over all cells: image and class",
    "f1_macro": "mean over the classes of F1",
    "loss": "the loss that was minimised",
    "hamming": "share of the cells that are wrong",
    "hamming_all_negative": "the same, if nothing is ever said to be present",
    "subset_accuracy": "share of the images of which all classes are right",
    "micro_ap": "average precision of all cells at once",
}

SCRIPT = """\
import json, sys
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("FILE", providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
classes, thresholds = json.loads(about["classes"]), json.loads(about["thresholds"])

for path in sys.argv[1:]:
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    images = np.asarray(image).transpose(2, 0, 1)[None]  # uint8 [1, 3, height, width], of any size
    scores, present = session.run(["scores", "present"], {"images": images})
    for name, score, threshold, is_present in zip(classes, scores[0], thresholds, present[0]):
        print(f"{path}  {name:20} {score:.4f}  {'present' if is_present else ''}")
"""
"""How an ONNX file is used without mlic and without torch; FILE stands for its name."""

_BODY = """\
# {name}

A multi-label image classifier: for each of {num_classes} classes it tells whether an image shows it. Several may be
present, or none. Made with [mlic](https://pypi.org/project/mlic/) {version}: backbone `{backbone}`, head `{head}`, loss
`{loss}`.

## Classes

A class is said to be present if its score is the threshold or more{at_most}. {calibrated}

{classes}

## Figures

{figures}

## How to run it

Images go in as they are: `uint8` RGB, any height and width, any number at once. Resizing (the whole image is squashed
to {size} x {size} pixels), normalisation, calibration and thresholds are inside.

{usage}

## Limits

- It knows its {num_classes} classes and nothing else, and has been judged on images like those of its validation
  samples. On other images, cameras or times measure it again before you rely on it.
- A score is calibrated on the validation samples: elsewhere 0.8 need not mean 80 %.
- Images are squashed to a square: very long or tall ones are distorted, and what is smaller than about
  {detail} of a side can hardly be seen.
- Transparency is to be laid over white, EXIF orientation to be applied, before images go in; mlic does so.
{license_note}
"""
_ONNX = """\
Without mlic and without torch (`pip install onnxruntime pillow numpy`):

```python
{script}```

With mlic: `mlic predict --ckpt_path {file} photos/`
"""
_WEIGHTS = """\
As a classifier of PyTorch, from this folder or from the hub:

```python
from mlic.classifier import MultiLabelClassifier

classifier = MultiLabelClassifier.from_checkpoint("hf://user/name")  # or the path of this folder
```
"""
_TORCH = """\
With torch alone:

```python
import torch

model = torch.export.load("{file}").module()
scores, present = model(images)  # uint8 [batch, 3, height, width]
```
"""
_OPENVINO = """\
With OpenVINO: `openvino.compile_model("{file}", "CPU", {{"INFERENCE_PRECISION_HINT": "f32"}})`.
"""
_USAGES = {".onnx": _ONNX, ".safetensors": _WEIGHTS, ".pt2": _TORCH, ".xml": _OPENVINO}


def model_card(name: str, facts: Mapping[str, Any], files: Sequence[str], cost: Cost | None = None) -> str:
    """Returns the text of a model card.

    Args:
        name: of the model.
        facts: what the exported files tell of themselves.
        files: their names.
        cost: what 8 bits cost, if a file has them.
    """
    classes, size = facts["classes"], facts["image_size"]
    body = _BODY.format(
        name=name,
        num_classes=len(classes),
        version=facts["mlic_version"],
        backbone=_part(facts["backbone"]),
        head=_part(facts["head"]),
        loss=_part(facts["loss"]),
        at_most="" if facts["at_most"] is None else f", and it is among the {facts['at_most']} highest of the image",
        calibrated=_calibrated(facts),
        classes=_table(["class", "threshold"], [[one, f"{at:.4f}"] for one, at in _thresholds(facts)]),
        figures=_figures(facts, cost),
        size=size,
        detail="a fiftieth",
        usage="\n".join(_usage(file) for file in files if _usage(file)),
        license_note=_license_note(facts),
    )
    front = yaml.safe_dump(_front_matter(name, facts), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{body}"


def _front_matter(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    metrics = _validation(facts)
    measured = [{"type": figure, "value": round(value, 4), "name": figure} for figure, value in metrics.items()]
    result = {
        "task": {"type": "image-classification", "name": "Multi-label image classification"},
        "dataset": {"type": "custom", "name": "the validation samples"},
        "metrics": measured,
    }
    front: dict[str, Any] = {
        "license": facts["license"] or "unknown",
        "library_name": "mlic",
        "pipeline_tag": "image-classification",
        "tags": ["multi-label", "multi-label-image-classification", _part(facts["backbone"]), _part(facts["head"])],
        "metrics": list(metrics),
    }
    return {**front, "model-index": [{"name": name, "results": [result]}]} if measured else front


def _validation(facts: Mapping[str, Any]) -> dict[str, float]:
    """Returns the validation figures without their prefix."""
    return {key.removeprefix("val/"): value for key, value in facts["metrics"].items() if value is not None}


def _figures(facts: Mapping[str, Any], cost: Cost | None) -> str:
    rows = [[name, f"{value:.4f}", _MEANINGS.get(name, "")] for name, value in _validation(facts).items()]
    text = (
        "On the validation samples, by which the best epoch was chosen and the thresholds were fitted: on new images "
        "they are a little lower.\n\n" + _table(["figure", "value", "meaning"], rows)
        if rows
        else "None were recorded: measure it with `mlic test`."
    )
    if cost is not None and cost.map_before is not None and cost.map_after is not None:
        text += (
            f"\n\nIn 8 bits: mAP {cost.map_after:.4f} where float32 has {cost.map_before:.4f}, on {cost.images} "
            f"images; the largest difference of a score is {cost.difference:.3f}."
        )
    return text


def _usage(file: str) -> str:
    usage = next((text for suffix, text in _USAGES.items() if file.endswith(suffix)), "")
    return usage.format(file=file, script=SCRIPT.replace("FILE", file))


def _calibrated(facts: Mapping[str, Any]) -> str:
    slope, offset = facts["calibration"]["slope"], facts["calibration"]["offset"]
    if set(slope) == {1.0} and set(offset) == {0.0}:
        return "Scores are the sigmoid of the logits."
    if len(set(slope)) == 1 and set(offset) == {0.0}:
        return f"Scores are calibrated by one temperature, {1 / slope[0]:.3f}."
    return "Scores are calibrated for each class."


def _license_note(facts: Mapping[str, Any]) -> str:
    if facts["license"]:
        return f"- The pretrained weights that training began with are under {facts['license']}."
    return "- Nothing here tells the licence of the weights that training began with: ask whoever trained it."


def _thresholds(facts: Mapping[str, Any]) -> list[tuple[str, float]]:
    return list(zip(facts["classes"], facts["thresholds"], strict=True))


def _part(part: Mapping[str, Any]) -> str:
    """Returns what a part is called: the model of timm, or the class."""
    arguments = part.get("init_args") or {}
    return str(arguments.get("name") or part["class_path"].rpartition(".")[2])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        one_line = [" ".join(cell.split()) for cell in cells]
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in one_line)} |"

    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])
