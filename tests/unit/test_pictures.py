"""Colours, overlays, colour bars, sheets and curves: what a reader gets to see."""

from __future__ import annotations

import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import NonFiniteError, SpecError, UsageError
from sightline.pictures import colours, lettering, sheets
from sightline.pictures.bars import bar_table, colour_bar, ticks, with_colour_bar
from sightline.pictures.colours import colour_map
from sightline.pictures.curves import Curve, curve_svg
from sightline.pictures.overlay import composite, heat, heat_layer, overlay, pale_grey, unseen_layer
from sightline.pictures.scale import ALL_ZERO, FLAT, NO_POSITIVE, Scale, findings, normalise, scale_of
from sightline.pictures.style import PLAIN, Style, is_fine

SIGNED = np.array([[-2.0, 0.0, 1.0], [0.5, -1.0, 2.0]], np.float32)
PICTURE = np.full((2, 3, 3), 100, np.uint8)


def lightness(table: NDArray) -> NDArray:
    """CIE L* of sRGB bytes, written from its definition."""
    value = table / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("viridis", "viridis"),
        ("magma", "magma"),
        ("inferno", "inferno"),
        ("rdbu", "RdBu_r"),
        ("jet", "jet"),
        ("grey", "gray"),
    ],
)
def test_our_tables_are_matplotlibs_to_two_steps(ours: str, theirs: str) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    expected = np.rint(matplotlib.colormaps[theirs](np.arange(256))[:, :3] * 255)
    assert np.abs(colour_map(ours) - expected).max() <= 2


@pytest.mark.parametrize("name", ["viridis", "magma", "inferno", "grey"])
def test_sequential_maps_grow_lighter_all_the_way(name: str) -> None:
    assert (np.diff(lightness(colour_map(name))[::5]) > 0).all()


def test_jet_does_not() -> None:
    assert (np.diff(lightness(colour_map("jet"))[::5]) < 0).any()


@pytest.mark.parametrize("name", ["bluered", "rdbu"])
def test_diverging_maps_are_neutral_in_the_middle_and_equal_in_weight_at_the_ends(name: str) -> None:
    table = colour_map(name)
    light = lightness(table)
    assert np.ptp(table[127:129].astype(int)) <= 4
    assert light.argmax() in (127, 128)
    assert (np.diff(light[:126:5]) > 0).all()
    assert (np.diff(light[130::5]) < 0).all()
    assert abs(light[0] - light[-1]) < 3


def test_colours_may_be_names_lists_or_text() -> None:
    expected = colour_map("#000000,#ff0000,#ffff00")
    for same in (["black", "red", "yellow"], [(0, 0, 0), (255, 0, 0), (1.0, 1.0, 0.0)], "Black, red , #ff0"):
        assert (colour_map(same) == expected).all()
    assert expected[[0, 128, 255]].tolist() == [[0, 0, 0], [255, 0, 0], [255, 255, 0]]
    assert (colour_map(expected) == expected).all()
    assert (colour_map("Viridis") == colour_map("viridis")).all()
    assert (colour_map("gray") == colour_map("grey")).all()


def test_any_map_of_matplotlib_is_known_and_a_turned_one_is_told_apart() -> None:
    pytest.importorskip("matplotlib")
    assert (colour_map("Spectral_r") == colour_map("spectral")[::-1]).all()
    assert colour_map("turbo").shape == (256, 3)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("viridiss", "did you mean 'viridis'"),
        ("black,rde", "did you mean 'red'"),
        ("#12,#ffffff", "write '#rrggbb'"),
        (["red"], "two colours or more"),
        ([(300, 0, 0), "red"], "give a name"),
        ([(255, 0.5, 0), "red"], "give a name"),
        (np.zeros((3, 3), np.uint8), "256 x 3"),
        (7, "came as int"),
    ],
)
def test_wrong_colours_are_answered_in_one_line(wrong: object, says: str) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        colour_map(wrong)
    assert "\n" not in str(caught.value)


def test_without_matplotlib_its_names_are_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SpecError, match="with matplotlib installed"):
        colour_map("spectral")
    assert colour_map("jet").shape == (256, 3)


def test_the_scale_says_what_it_shows() -> None:
    assert scale_of(SIGNED) == Scale(-2, 2)
    assert scale_of(np.abs(SIGNED)) == Scale(0, 2)
    assert scale_of(SIGNED, "negative") == Scale(-2, 0, "negative")
    assert scale_of([SIGNED, SIGNED * 3]) == Scale(-6, 6)
    assert scale_of(np.stack([SIGNED, SIGNED * 3])) == Scale(-6, 6)
    assert (
        Scale(0, 0.0341, "positive", percentile=99).words()
        == "scale 0 to 0.0341, positive part only, up to 1% share the end colour"
    )
    assert scale_of(np.full((2, 2), 3.0)).words() == "3 everywhere, flat"
    assert scale_of(np.array([[0, 1e-12]])).words() == "scale 0 to 1e-12"


def test_a_map_that_never_comes_near_zero_is_drawn_from_its_smallest_value() -> None:
    values = np.linspace(0.3, 0.5, 6).reshape(2, 3)
    scale = scale_of(values)
    assert scale == Scale(0.3, 0.5, lifted=True)
    assert "drawn from its smallest value" in scale.words()
    assert ticks(scale) == [(0.0, "0.3"), (1.0, "0.5")]
    assert normalise(values, scale).ravel() == pytest.approx(np.linspace(0, 1, 6), abs=1e-6)
    assert scale_of(values - 0.25) == Scale(0, 0.25)  # a fifth of the largest is near zero
    assert scale_of([values, values - 0.3]) == Scale(0, 0.5)  # the maps of one scale have one beginning
    mostly = np.where(np.arange(200) == 7, 4.0, 3.0).reshape(10, 20)
    assert scale_of(mostly, percentile=50) == Scale(0, 3, percentile=50)  # nothing is left between the ends


def test_a_fine_map_lies_over_a_pale_grey_picture_at_any_size() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(120, 140))
    blocks = np.kron(rng.normal(size=(12, 14)), np.ones((10, 10)))
    assert is_fine(noise)
    assert is_fine(np.kron(noise, np.ones((4, 4))))
    assert not is_fine(blocks)
    assert not is_fine(rng.normal(size=(40, 60)))  # its pixels are seen one by one
    picture = rng.integers(0, 256, (120, 140, 3), np.uint8)
    drawn = overlay(picture, noise)
    assert (drawn == composite(pale_grey(picture), heat_layer(noise), PLAIN.alpha)).all()
    weak = np.abs(noise) < 1e-3 * np.abs(noise).max()
    assert np.ptp(drawn[weak].astype(int), axis=1).max() <= 2  # nothing but grey where the map is nothing
    assert (overlay(picture, noise, Style(blend="strength")) != drawn).any()
    assert (overlay(picture, blocks) == overlay(picture, blocks, Style(blend="strength"))).all()


def test_outliers_are_cut_and_a_cut_to_zero_is_not_made() -> None:
    values = np.arange(1, 101, dtype=np.float64).reshape(10, 10)
    values[9, 9] = 1e6
    scale = scale_of(values, percentile=99)
    assert scale.high == np.percentile(values, 99) < 2e4
    assert normalise(values, scale)[9, 9] == 1
    assert scale_of([values, np.ones((50, 50))], percentile=99) == scale
    sparse = np.zeros((10, 10))
    sparse[0, 0] = 5
    assert scale_of(sparse, percentile=90) == Scale(0, 5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: scale_of(SIGNED, "postive"),
        lambda: scale_of(SIGNED, percentile=0),
        lambda: scale_of(SIGNED, percentile=101),
        lambda: Scale(-1, 2),
        lambda: Scale(1, 2),
        lambda: Style(alpha=1.5),
        lambda: Style(blend="evn"),
        lambda: Style(share="metod"),
        lambda: Style(colours="vridis"),
    ],
)
def test_wrong_words_and_numbers_are_refused_when_made(make) -> None:
    with pytest.raises(SpecError):
        make()


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((2, 3, 4)), np.zeros((0, 3)), np.zeros((2, 2), complex)])
def test_what_is_no_map_is_refused(wrong: NDArray) -> None:
    with pytest.raises(UsageError):
        normalise(wrong, Scale(0, 1))


def test_findings_are_few_and_true() -> None:
    assert findings(SIGNED) == ()
    assert findings(np.zeros((2, 2))) == (ALL_ZERO,)
    assert findings(np.full((2, 2), 0.3, np.float32)) == (FLAT,)
    assert findings(np.array([[1, 1 + 1e-7]])) == (FLAT,)
    assert findings(np.array([[1e-20, 2e-20]])) == ()
    assert findings(np.array([[0, -1e-3]])) == (NO_POSITIVE,)


def test_a_map_in_colours_has_the_tables_colours() -> None:
    table = colour_map("viridis")
    drawn = heat(np.array([[0.0, 1.0]]), Style(colours="viridis"))
    assert drawn.tolist() == [[table[0].tolist(), table[255].tolist()]]
    assert np.ptp(heat(SIGNED)[0, 1].astype(int)) <= 4  # zero of a signed map is neutral


def test_overlay_shows_the_picture_where_there_is_no_evidence() -> None:
    drawn = overlay(PICTURE, SIGNED)
    assert (drawn[0, 1] == PICTURE[0, 1]).all()
    assert drawn[1, 2, 0] > drawn[1, 2, 2] + 50  # red speaks for
    assert drawn[0, 0, 2] > drawn[0, 0, 0] + 50  # blue against
    assert (overlay(PICTURE, SIGNED, Style(alpha=0)) == PICTURE).all()
    assert (overlay(PICTURE, SIGNED, Style(alpha=1, blend="even")) == heat(SIGNED)).all()


def test_overlay_is_its_layer_thinned_by_alpha() -> None:
    style = Style(alpha=0.4)
    assert (overlay(PICTURE, SIGNED, style) == composite(PICTURE, heat_layer(SIGNED, style), 0.4)).all()


def test_what_the_network_never_saw_is_hatched_and_does_not_count() -> None:
    seen = np.ones((2, 3), bool)
    seen[0, 0] = False
    values = SIGNED.copy()
    values[0, 0] = np.nan
    drawn = overlay(PICTURE, values, Style(percentile=100), seen=seen)
    assert (drawn[0, 0] == composite(PICTURE, unseen_layer(seen))[0, 0]).all()
    assert (drawn[0, 0] != PICTURE[0, 0]).any()
    assert (drawn[seen] == overlay(PICTURE, np.where(seen, SIGNED, 0), Style(), Scale(-2, 2))[seen]).all()
    with pytest.raises(UsageError, match="0 places seen"):
        overlay(PICTURE, SIGNED, seen=np.zeros((2, 3), bool))


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (PICTURE / 255, "uint8"),
        (np.zeros((3, 2, 3), np.uint8), "bring it to that frame"),
        (np.zeros((2, 3, 4), np.uint8), "height x width x 3"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(picture: NDArray, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        overlay(picture, SIGNED)


def test_drawing_changes_nothing_that_came_in() -> None:
    values, picture = SIGNED.copy(), PICTURE.copy()
    overlay(picture, values, Style(percentile=50), seen=np.eye(2, 3, dtype=bool))
    assert (values == SIGNED).all()
    assert (picture == PICTURE).all()


def test_a_colour_bar_runs_from_the_low_to_the_high_number() -> None:
    table = colour_map("viridis")
    bar = np.asarray(colour_bar(Scale(0, 1), table, 200, thickness=12))
    assert (bar[6, 1] == table[1]).all()
    assert (bar[6, 198] == table[254]).all()
    up = np.asarray(colour_bar(Scale(0, 1), table, 200, thickness=12, vertical=True))
    assert (up[198, 6] == table[1]).all()
    negative = Scale(-3, 0, "negative")
    assert (bar_table(negative, table)[0] == table[255]).all()  # the strongest stands at the lowest number
    assert ticks(negative) == [(0.0, "-3"), (1.0, "0")]
    assert ticks(Scale(-3, 3)) == [(0.0, "-3"), (0.5, "0"), (1.0, "3")]


@pytest.mark.parametrize("width", [30, 224, 1000])
def test_a_picture_with_its_colour_bar_keeps_the_picture(width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, width, 3), np.uint8)
    whole = np.asarray(with_colour_bar(image, Scale(-1, 1), colour_map("bluered"), title="", note="a note"))
    assert (whole[12:52, 12 : 12 + width] == image).all()
    assert whole.shape[0] > 90


def test_words_fit_their_width_in_any_script(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "a very long class name, and_one_word_that_is_wider_than_the_whole_picture_itself"
    found = lettering.lines(long, 120, 12, most=2)
    assert len(found) == 2
    assert all(lettering.measure(line, 12) <= 120 for line in found)
    monkeypatch.setattr(lettering, "_wider_font", lambda size: None)
    assert lettering._font("été − 犬\n", 12)[1] == "ete - ? "


def test_a_sheet_holds_every_picture_in_its_place() -> None:
    tiles = [np.full((20, 120, 3), shade, np.uint8) for shade in (10, 60, 110, 160, 210)]
    sheet = np.asarray(sheets.grid(tiles, columns=2))
    assert sheet.shape == (3 * 20 + 2 * 12 + 24, 2 * 120 + 12 + 24, 3)
    assert [sheet[12 + 32 * r, 12 + 132 * c, 0] for r in range(3) for c in range(2)] == [10, 60, 110, 160, 210, 255]
    assert sheets.grid(tiles, [f"map {n}" for n in range(5)]).height > sheets.grid(tiles).height
    for wrong in (lambda: sheets.grid([]), lambda: sheets.grid(tiles, ["one"])):
        with pytest.raises(UsageError):
            wrong()


def test_bytes_are_files_of_their_kind() -> None:
    layer = heat_layer(SIGNED)
    for encode, form in ((sheets.png, "PNG"), (lambda one: sheets.webp(one, 100), "WEBP")):
        back = Image.open(io.BytesIO(encode(layer)))
        assert back.format == form
        assert (np.asarray(back) == layer).all()
    assert Image.open(io.BytesIO(sheets.jpeg(PICTURE))).size == (3, 2)
    with pytest.raises(UsageError, match="opacity"):
        sheets.jpeg(layer)


def test_curves_are_whole_svg_and_names_inject_nothing() -> None:
    name = '</svg><script>alert("1")</script>\x00&'
    root = ElementTree.fromstring(curve_svg([Curve(name, [0, 1], [1, 0], 0.5), ("two", [0, 1], [0, 1], None)]))
    assert {child.tag.rpartition("}")[2] for child in root.iter()} <= {
        "svg",
        "title",
        "text",
        "line",
        "path",
        "polygon",
        "polyline",
    }
    texts = [child.text for child in root.iter() if child.tag.endswith("text")]
    assert '</svg><script>alert("1")</script> &: 0.5' in texts
    assert "two" in texts


def test_curve_points_lie_where_the_axes_say() -> None:
    root = ElementTree.fromstring(curve_svg([("a", [0, 0.5, 1], [0, 1, 0.5], None)], 400, 300))
    (line,) = [child for child in root.iter() if child.tag.endswith("polyline")]
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    (left, bottom), (middle, top), (right, half) = points
    assert middle == pytest.approx((left + right) / 2, abs=0.1)
    assert half == pytest.approx((top + bottom) / 2, abs=0.1)
    assert top == 12  # y = 1 is the top of the plot


def test_curves_beyond_zero_and_one_widen_the_axis() -> None:
    text = curve_svg([("logit", np.linspace(0, 1, 9), np.linspace(12, -3, 9), 3.2)])
    assert ">15<" in text
    assert ">-5<" in text


def test_curves_that_cannot_be_drawn_are_refused() -> None:
    for wrong in ([], [("a", [0, 1], [1], None)], [("a", [0], [1], None)]):
        with pytest.raises(UsageError):
            curve_svg(wrong)
    with pytest.raises(NonFiniteError):
        curve_svg([("a", [0, 1], [1, np.nan], None)])


def test_styles_are_values() -> None:
    assert Style(colours=["red", (0, 0, 255)]) == Style(colours=("red", [0, 0, 255]))
    assert len({Style(colours=colour_map("jet")), Style(colours=colour_map("jet")), Style()}) == 2
    assert (Style(colours=colour_map("jet")).table(Scale(0, 1)) == colour_map("jet")).all()
    assert (Style().table(Scale(-1, 1)) == colour_map(colours.DIVERGING)).all()
    assert (Style().table(Scale(0, 1)) == colour_map(colours.SEQUENTIAL)).all()


def test_drawing_needs_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys, numpy as np\n"
        "from sightline.pictures import bars, colours, curves, figures, lettering, overlay, scale, sheets, style\n"
        "overlay.overlay(np.zeros((4, 4, 3), np.uint8), np.eye(4))\n"
        "sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
