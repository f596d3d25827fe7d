"""A figure's SVG file made fit to stand inside a page: named for those who cannot see it, and apart from the others."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree  # nosec B405 # the study's own figures

from polya_midtrain.errors import UserError

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_OWN = re.compile(r"url\(#([^)]+)\)")
_LOOK = "stroke-linejoin:round;stroke-linecap:butt"  # what matplotlib's own style sheet says, which would hit the page


def inline(path: Path, name: str, title: str, alt: str) -> str:
    """The SVG as markup: an image with title and description, its ids led by ``name``, its size left to the page.

    Raises `UserError` where the file is missing or no SVG.
    """
    remedy = "run `dvc repro figures`"
    try:
        root = ElementTree.fromstring(path.read_bytes())  # nosec B314
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; {remedy}") from error
    except ElementTree.ParseError as error:
        raise UserError(f"{path}:{error.position[0]}: not an SVG ({error}); delete the file and {remedy}") from error
    if root.tag != f"{{{SVG}}}svg":
        raise UserError(f"{path}:1: not an SVG; delete the file and {remedy}")
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == f"{{{XLINK}}}href" and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, _OWN.sub(rf"url(#{name}-\1)", value))
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc", "style": _LOOK}
    for place, (tag, text) in enumerate((("title", title), ("desc", alt))):
        words = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{tag}"})
        words.text = text
        root.insert(place, words)
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")
