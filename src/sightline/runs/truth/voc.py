"""Pascal VOC: one XML a photograph, with the name and box of each object.

Its pixels are counted from 1 and both corners belong to the box (M. Everingham et al., "The PASCAL Visual Object
Classes (VOC) Challenge", IJCV 2010, and its development kit): a box there is (xmin − 1, ymin − 1, xmax, ymax) here.
Objects that are marked `difficult` are left out, as its own evaluation does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from sightline.errors import UsageError
from sightline.reports.names import shown
from sightline.runs.truth.things import Size, Thing, Truth, check_pixels, number_of, size_of

_LARGEST = 1 << 24


def read_voc(files: Sequence[Path]) -> Truth:
    """The objects of many XML files.

    Raises:
        UsageError: no XML, no object, or a box that is broken; with the file.
    """
    things: dict[str, list[Thing]] = {}
    sizes: dict[str, Size] = {}
    left_out = 0
    for file in files:
        root, name = _root(file), shown(file.name)
        picture = (root.findtext("filename") or "").strip() or file.stem
        if (size := size_of(root.findtext("size/width"), root.findtext("size/height"))) is not None:
            sizes[picture] = size
        for one in root.iter("object"):
            if (one.findtext("difficult") or "0").strip().casefold() in ("1", "true"):
                left_out += 1
                continue
            box = one.find("bndbox")
            if box is None:
                raise UsageError(f"{name}: an object has no bndbox")
            x0, y0, x1, y1 = (number_of(box.findtext(key), key, name) for key in ("xmin", "ymin", "xmax", "ymax"))
            if not (x0 <= x1 and y0 <= y1):
                raise UsageError(f"{name}: the box xmin {x0:g}, ymin {y0:g}, xmax {x1:g}, ymax {y1:g} has no inside")
            label = (one.findtext("name") or "").strip() or None
            things.setdefault(picture, []).append(Thing(label=label, box=(x0 - 1, y0 - 1, x1, y1)))
    if not things:
        raise UsageError(
            f"no object is in the XML ({len(files)} read): expected Pascal VOC's annotation, object, bndbox"
        )
    check_pixels(things, f"the XML ({len(files)} read)")
    notes = (f"objects marked difficult by VOC that were left out: {left_out}",) if left_out else ()
    return Truth(form=f"VOC boxes of {len(files)} XML files", things=things, notes=notes, sizes=sizes)


def _root(file: Path) -> ElementTree.Element:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{shown(file.name)} cannot be read: {error.strerror or error}") from error
    if len(content) > _LARGEST or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise UsageError(f"{shown(file.name)} is no VOC annotation: it is too large, or declares entities")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise UsageError(f"{shown(file.name)} is not XML: {error}") from error
    if root.tag != "annotation":
        raise UsageError(f"{shown(file.name)} is no VOC annotation: its root is {shown(root.tag)[:40]!r}")
    return root
