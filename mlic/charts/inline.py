"""A figure as SVG that may stand within a page: small, without a background, in the colours of the text around it."""

import hashlib
import io
import re
import warnings
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from matplotlib.figure import Figure
from matplotlib.text import Text

from mlic.charts.style import INK, style
from mlic.charts.words import tips_of

__all__ = ["svg"]

_DPI = 160  # of what is kept as pixels, such as very many points
_DROPPED = ("metadata", "style")  # a <style> of one chart would reach the whole page
_REFERENCE = re.compile(r"#([^)]+)")
_NUMBER = re.compile(r"-?\d+\.\d+")
_STEP = re.compile(r"([MLz])\s*(?:(\S+)\s+(\S+))?")
_FONT_SIZE = re.compile(r"([\d.]+)px")
_INHERITED = {
    "fill", "fill-opacity", "font-size", "font-weight", "image-rendering", "stroke", "stroke-dasharray",
    "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "stroke-opacity", "stroke-width",
    "text-anchor",
}  # fmt: skip


def svg(figure: Figure) -> str:
    """Returns a figure as an `<svg>` element for an HTML page.

    Text stays text in the reader's sans-serif font, neutral strokes and text have the colour of the text around them
    (`currentColor`), ids hold a digest of the content, so that different charts may stand on one page, and equal
    figures give equal text. The figure's label is the title that screen readers say.
    """
    with style(), warnings.catch_warnings():
        # The reader's browser has fonts that matplotlib has not.
        warnings.filterwarnings("ignore", message="Glyph")
        for text in figure.findobj(Text):
            if isinstance(text, Text):
                text.set_parse_math(False)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", dpi=_DPI, metadata={"Date": None})
    root = ElementTree.fromstring(stream.getvalue())
    title = str(figure.get_label())
    digest = hashlib.sha256(stream.getvalue() + title.encode()).hexdigest()[:8]
    _simplify(root)
    _name_ids(root, f"c{digest}")
    _flatten(root)
    _hoist(root)
    _head(root, title)
    return ElementTree.tostring(root, encoding="unicode")


def _head(root: Element, title: str) -> None:
    """Gives the root its attributes, and a title that screen readers say."""
    _, _, width, height = root.attrib["viewBox"].split()
    inherited = {key: value for key, value in root.attrib.items() if key in _INHERITED}
    root.attrib.clear()
    root.attrib.update(
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "width": f"{float(width) * 4 / 3:.0f}",
            "height": f"{float(height) * 4 / 3:.0f}",
            "style": "max-width:100%;height:auto",
            "role": "img",
            "aria-label": title,
            "font-family": "sans-serif",
            "stroke-linejoin": "round",
            "stroke-linecap": "butt",
            **inherited,
        }
    )
    first = Element("title")
    first.text = title
    root.insert(0, first)


def _simplify(element: Element) -> None:
    """Shortens tags, styles, numbers and paths, and writes the texts that a pointer brings out."""
    element.tag = element.tag.rpartition("}")[2]
    element.attrib = _attributes(element)
    said = tips_of(element.attrib.get("id", ""))
    for child in list(element):
        if child.tag.rpartition("}")[2] in _DROPPED:
            element.remove(child)
        else:
            _simplify(child)
    if element.tag != "text":
        element.text = None
    element.tail = None
    marks = list(element.iter("use")) or list(element.iter("path"))
    if said and len(marks) == len(said):
        for mark, text in zip(marks, said, strict=True):
            title = Element("title")
            title.text = text
            mark.append(title)


def _attributes(element: Element) -> dict[str, str]:
    attributes = {}
    for key, value in element.attrib.items():
        key = key.rpartition("}")[2]
        if key == "style":
            attributes.update(_presentation(value))
        elif key == "d":
            attributes[key] = _short_path(value)
        elif key == "transform":
            if not value.startswith("rotate(-0 "):
                attributes[key] = _NUMBER.sub(lambda number: f"{float(number[0]):.3f}".rstrip("0").rstrip("."), value)
        elif key == "href" and value.startswith("data:"):
            attributes[key] = "".join(value.split())
        elif key in ("x", "y", "width", "height"):
            attributes[key] = _NUMBER.sub(lambda number: f"{round(float(number[0]), 1):g}", value)
        else:
            attributes[key] = value
    return attributes


def _presentation(declarations: str) -> dict[str, str]:
    """Returns the declarations of a style as attributes, which a page's style sheet may overrule."""
    found = {}
    for declaration in declarations.split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":  # matplotlib before 3.10
            found["font-size"] = _FONT_SIZE.search(value)[1]  # type: ignore[index]
            if value.startswith(("bold", "600", "700")):
                found["font-weight"] = "700"
        elif key and key != "font-family":
            value = value.removesuffix("px")
            found[key] = "currentColor" if value == INK else value
    return found


def _short_path(path: str) -> str:
    """Returns a path with tenths of a point, each place relative to the one before, and none said twice."""
    if not set("CQ").isdisjoint(path):
        return " ".join(_NUMBER.sub(lambda number: f"{round(float(number[0]), 2):g}", path).split())
    parts: list[str] = []
    here = (0, 0)
    drawn = True  # whether a line leads on from the last M
    for command, across, up in _STEP.findall(path):
        if command == "z":
            parts.append("z")
            continue
        there = round(float(across) * 10), round(float(up) * 10)
        step = there[0] - here[0], there[1] - here[1]
        if command == "M":
            parts.append(f"M{_tenths(there[0])} {_tenths(there[1])}")
        elif not step[1]:
            parts.append(f"h{_tenths(step[0])}" if step[0] or not drawn else "")
        else:
            parts.append(f"l{_tenths(step[0])} {_tenths(step[1])}" if step[0] else f"v{_tenths(step[1])}")
        drawn = command != "M"
        here = there
    return "".join(parts)


def _tenths(number: int) -> str:
    return f"{number / 10:g}"


def _name_ids(root: Element, prefix: str) -> None:
    """Gives new names to the ids that something refers to, and removes the others."""
    names: dict[str, str] = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            if (key == "href" and value.startswith("#")) or value.startswith("url(#"):
                found = _REFERENCE.search(value)
                if found:
                    new = names.setdefault(found[1], f"{prefix}{len(names)}")
                    element.set(key, value.replace(found[0], f"#{new}"))
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in names:
            element.set("id", names[old])


def _flatten(element: Element) -> None:
    """Replaces groups that say nothing by what they hold."""
    kept: list[Element] = []
    for child in list(element):
        _flatten(child)
        if child.tag in ("g", "defs") and not len(child):
            continue
        if child.tag == "g" and (not child.attrib or (len(child) == 1 and _may_merge(child, child[0]))):
            for inner in child:
                inner.attrib = {**child.attrib, **inner.attrib}
            kept.extend(child)
        else:
            kept.append(child)
    element[:] = kept


def _may_merge(outer: Element, inner: Element) -> bool:
    """Whether a group's attributes may stand on the one element that it holds.

    What moves an element, be it a transform or the place of a <use>, would move its clip path too.
    """
    moves = inner.tag == "use" or "transform" in inner.attrib
    return not (moves and "clip-path" in outer.attrib) and outer.attrib.keys().isdisjoint(inner.attrib)


def _hoist(element: Element) -> None:
    """Moves what all elements of a group say to the group."""
    drawn = [child for child in element if child.tag not in ("title", "defs")]
    for child in drawn:
        _hoist(child)
    if element.tag not in ("g", "svg") or len(drawn) < 2:
        return
    for key, value in list(drawn[0].attrib.items()):
        if key in _INHERITED and all(child.attrib.get(key) == value for child in drawn):
            element.set(key, value)
            for child in drawn:
                del child.attrib[key]
