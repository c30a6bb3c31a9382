"""Rows N3 and N4, and S10: what a page shows is what the map holds; leaving a block never swallows an error."""

from __future__ import annotations

import ast
import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.images.frame import Frame
from sightline.pictures.style import PLAIN
from sightline.reports.layers import BUDGET, DOTS, colours_over, strongest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "sightline"


def dots(height: int, width: int) -> np.ndarray:
    """Red and blue side by side, as gradients are, in a disc; little noise elsewhere."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(height, width) / 5) ** 2
    return (np.where(inside, 1, 0.02) * rng.choice([-1.0, 1.0], (height, width))).astype(np.float32)


def seen_by_a_reader(layer: str) -> np.ndarray:
    """The layer over white as a browser shows it, 320 wide: how far each pixel is from grey, 0 to 255."""
    image = Image.open(io.BytesIO(base64.b64decode(layer.partition(",")[2]))).convert("RGBA")
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image)
    shown = np.asarray(page.convert("RGB").resize((320, 240), Image.Resampling.BILINEAR), np.int16)
    return shown.max(2) - shown.min(2)


@pytest.mark.parametrize("size", [(240, 320), (480, 640), (900, 1200)])
def test_n4_dots_of_both_signs_stay_dots_on_the_page(size: tuple[int, int]) -> None:
    values = dots(*size)
    frame = Frame.whole(*size)
    style = PLAIN.settled(values)
    assert style.blend == "grey"
    layer = colours_over(values, frame, style, style.scale(values))
    assert len(base64.b64decode(layer.partition(",")[2])) <= BUDGET
    colour = seen_by_a_reader(layer)
    assert np.median(colour[100:140, 140:180]) > 100
    assert np.median(colour[:20]) < 20


def test_n4_shrinking_as_readers_do_would_make_grey_of_them() -> None:
    values = dots(900, 1200)
    averaged = values.reshape(300, 3, 400, 3).mean((1, 3))
    assert np.median(np.abs(averaged[140:160, 190:210])) < 0.5
    assert np.abs(strongest(values, 400)[140:160, 190:210]).min() == 1


@pytest.mark.parametrize("size", [(640, 480), (321, 320), (1000, 3), (2, 641)])
def test_strongest_keeps_the_furthest_value_of_each_place(size: tuple[int, int]) -> None:
    values = np.random.default_rng(1).normal(size=size).astype(np.float32)
    found = strongest(values, DOTS)
    assert max(found.shape) == DOTS
    assert np.abs(found).max() == np.abs(values).max()
    assert np.isin(found, values).all()
    where, at = (
        np.argwhere(np.abs(values) == np.abs(values).max())[0],
        np.argwhere(np.abs(found) == np.abs(found).max())[0],
    )
    assert np.abs(at / found.shape - where / values.shape).max() <= 1 / min(found.shape)
    assert strongest(values[:5, :5], DOTS).shape == values[:5, :5].shape


def swallowing(tree: ast.AST) -> list[str]:
    """`__exit__` that returns something, and every `__del__`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__exit__":
            returned = [one for one in ast.walk(node) if isinstance(one, ast.Return) and one.value is not None]
            found += [f"__exit__ in line {node.lineno}"] if returned else []
        if isinstance(node, ast.FunctionDef) and node.name == "__del__":
            found.append(f"__del__ in line {node.lineno}")
    return found


def test_s10_no_block_of_ours_swallows_an_error() -> None:
    found = {str(file): bad for file in SOURCE.rglob("*.py") if (bad := swallowing(ast.parse(file.read_text("utf-8"))))}
    assert found == {}
    twin = "class A:\n def __exit__(self, *_):\n  return True\n def __del__(self):\n  pass"
    assert len(swallowing(ast.parse(twin))) == 2
