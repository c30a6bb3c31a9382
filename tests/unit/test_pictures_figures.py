"""Figures: drawn with matplotlib's objects, without a trace in pyplot or its settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.errors import MissingExtraError, NonFiniteError, SpecError, UsageError
from sightline.pictures.axes import figure_bytes
from sightline.pictures.figures import method_grid, occluded_grid, panels, save_figure, shared_scales
from sightline.pictures.overlay import overlay
from sightline.pictures.scale import Scale
from sightline.pictures.style import Style

PICTURE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
MAP = np.random.default_rng(1).normal(size=(30, 40)).astype(np.float32)


@pytest.fixture(autouse=True)
def _needs_matplotlib(request: pytest.FixtureRequest) -> None:
    if "missing" not in request.node.name:
        pytest.importorskip("matplotlib")


def images(figure) -> list[np.ndarray]:
    return [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]


def texts(figure) -> set[str]:
    return {axis.get_title() for axis in figure.axes} | {text.get_text() for axis in figure.axes for text in axis.texts}


def test_panels_show_the_original_the_map_and_the_overlay() -> None:
    figure = panels(PICTURE, MAP, title="class $1 & <b>", style=Style(percentile=99))
    original, _, drawn = images(figure)
    assert (original == PICTURE).all()
    assert (drawn == overlay(PICTURE, MAP, Style(percentile=99))).all()
    assert {"picture", "map", "overlay"} <= texts(figure)
    bars = [inset for axis in figure.axes for inset in axis.child_axes]
    assert len(bars) == 2
    assert bars[0].get_xlabel() == "up to 1% share the end colour"
    assert len(figure_bytes(figure)) > 1000


def test_a_title_keeps_its_distance_from_titles_of_two_lines() -> None:
    long = "integrated-gradients(steps=64, baseline=blur, measure=logit)"
    upright = [PICTURE.swapaxes(0, 1), MAP.T]
    for picture, values in ([PICTURE, MAP], upright):
        figure = method_grid([(picture, [(long, values), (long, values)])], title="class $1")
        figure_bytes(figure, dots=figure.dpi)
        parts = [axis.title.get_window_extent() for axis in figure.axes if axis.get_title()]
        above = figure._suptitle.get_window_extent().y0 - max(part.y1 for part in parts)
        assert above / figure.dpi > 0.08  # inches
        assert parts[1].x1 < parts[2].x0  # nor do neighbours touch


def test_panels_take_nan_only_where_nothing_was_seen() -> None:
    seen = np.ones(MAP.shape, bool)
    seen[:, :5] = False
    values = np.where(seen, MAP, np.nan)
    assert len(images(panels(PICTURE, values, seen=seen))) == 3
    with pytest.raises(NonFiniteError):
        panels(PICTURE, values)
    with pytest.raises(UsageError):
        panels(PICTURE, MAP[:20])


def test_a_grid_of_methods_wraps_into_the_rows_asked_for() -> None:
    maps = [(f"method {n}", MAP * n) for n in range(1, 6)]
    figure = method_grid([(PICTURE, maps)], rows=2)
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 3)
    assert {f"method {n}" for n in range(1, 6)} <= texts(figure)
    two = method_grid([(PICTURE, maps), (PICTURE, maps[:2])])
    assert two.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 6)
    assert len(images(two)) == 6 + 3
    for wrong in (lambda: method_grid([]), lambda: method_grid([(PICTURE, maps)], rows=0)):
        with pytest.raises(UsageError):
            wrong()


def test_which_maps_have_one_scale() -> None:
    rows = [[("a", MAP), ("b", MAP * 10)], [("a", MAP * 2), ("b", np.abs(MAP))]]
    reach = float(np.abs(MAP).max())
    found = {share: shared_scales(rows, Style(share=share, percentile=100)) for share in ("map", "method", "all")}
    ends = {share: [[scale.high / reach for scale in row] for row in grid] for share, grid in found.items()}
    assert ends["map"] == pytest.approx(np.array([[1, 10], [2, 1]]))
    assert ends["method"] == pytest.approx(np.array([[2, 10], [2, 10]]))
    assert ends["all"] == pytest.approx(np.full((2, 2), 10))
    assert found["map"][1][1] == Scale(0, reach)


def test_the_grid_of_occluded_pictures_prints_each_probability() -> None:
    figure = occluded_grid([PICTURE] * 7, np.linspace(0, 0.9, 7), rows=2, title="hidden")
    assert {f"{p:.3f}" for p in np.linspace(0, 0.9, 7)} <= texts(figure)
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 4)
    for wrong in ([0.5] * 6, [0.5] * 6 + [1.5], [0.5] * 6 + [np.nan]):
        with pytest.raises(UsageError):
            occluded_grid([PICTURE] * 7, wrong)


def test_saving_writes_whole_files_that_repeat(tmp_path: Path) -> None:
    figure = panels(PICTURE, MAP)
    starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    for form, start in starts.items():
        path = save_figure(figure, tmp_path / f"figure.{form}")
        assert path.read_bytes().startswith(start)
        assert path.read_bytes() == save_figure(panels(PICTURE, MAP), tmp_path / f"again.{form}").read_bytes()
    assert Image.open(tmp_path / "figure.png").width > 600
    with pytest.raises(SpecError, match="did you mean 'svg'"):
        save_figure(figure, tmp_path / "figure.svgz")
    with pytest.raises(UsageError, match="does not exist"):
        save_figure(figure, tmp_path / "nowhere" / "figure.png")
    assert len(list(tmp_path.iterdir())) == 6


def test_a_notebook_can_show_a_figure() -> None:
    assert panels(PICTURE, MAP)._repr_png_().startswith(b"\x89PNG")


def test_figures_leave_matplotlib_as_it_was() -> None:
    code = (
        "import sys, numpy as np, matplotlib\n"
        # Asking for the backend's name would itself import pyplot.
        "now = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = now()\n"
        "from sightline.pictures.axes import figure_bytes\n"
        "from sightline.pictures.figures import panels\n"
        "figure_bytes(panels(np.zeros((9, 9, 3), np.uint8), np.eye(9)), 'svg')\n"
        "sys.exit('matplotlib.pyplot' in sys.modules or before != now())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("no_matplotlib")
def test_missing_matplotlib_is_answered_with_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[figures\]'"):
        panels(PICTURE, MAP)
