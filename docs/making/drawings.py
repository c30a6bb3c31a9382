"""The pictures on the pages, drawn with the built-in networks on a built-in picture; each a few tens of kilobytes.

No built-in network has attention: methods that need it are drawn with ImageNet weights of ViT-Tiny on the cat of
scikit-image (a photograph in the public domain, CC0), where those weights lie beside the project; else they stay.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import sightline
from sightline.attribution.base import Needs
from sightline.attribution.table import METHODS
from sightline.demo.scenes import PICTURES, Scene, render
from sightline.evaluation.table import METRICS
from sightline.images.fills import FILLS
from sightline.images.load import load as load_picture
from sightline.pictures.axes import figure_bytes
from sightline.pictures.curves import Curve, curve_svg
from sightline.pictures.figures import method_grid
from sightline.pictures.style import Style

NAME = "dog-with-bell"
BESIDE = ("grad-cam", "occlusion(window=24, stride=8, score=logit)", "gradient")
DOTS = 88
VIT_WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights" / "vit_tiny_patch16_224.safetensors"


def draw_all(folder: Path) -> Iterator[Path]:
    """Write every picture of the pages; yields the paths."""
    scene = render(PICTURES[NAME])
    honest, cheat = sightline.load("demo"), sightline.load("demo/cheat")
    for method, cls in METHODS.items():
        if cls().traits.needs is not Needs.ATTENTION:
            yield _write(folder / f"{method}.webp", _compared(method, scene, honest, cheat))
        elif VIT_WEIGHTS.is_file():
            yield _write(folder / f"{method}.webp", _by_attention(method))
    for name, cls in METRICS.items():
        judged = _judged(name, scene, honest)
        if cls.traits.needs_mask or any(one.curve is None for one in judged):
            yield _write(folder / f"{name}.webp", _maps_with_values(cls, scene, judged, honest))
        else:
            yield _write(folder / f"{name}.svg", _curves(cls, judged))
    yield _write(folder / "fills.webp", _filled(scene, honest))


def _compared(method: str, scene: Scene, honest: sightline.Classifier, cheat: sightline.Classifier) -> bytes:
    """The picture, and the map of both networks, each with its own scale."""
    found = [_why_dog(model, scene, method) for model in (honest, cheat)]
    maps = [(f"{one.origin.classifier}: dog {one.target.probability:.1%}", one.picture_map) for one in found]
    figure = method_grid([(scene.image, maps)], style=Style(share="map"))
    return _webp(figure_bytes(figure, "png", DOTS))


def _by_attention(method: str) -> bytes:
    """The photograph of a cat, and why the transformer sees the two classes it finds likeliest."""
    import skimage.data

    picture = skimage.data.chelsea()
    model = sightline.load("timm/vit_tiny_patch16_224", weights=VIT_WEIGHTS)
    found = sightline.explain(model, picture, method, target="top2")
    assert isinstance(found, list)
    maps = [(f"{one.target.label} {one.target.probability:.1%}", one.picture_map) for one in found]
    return _webp(figure_bytes(method_grid([(picture, maps)], style=Style(share="map")), "png", DOTS))


def _why_dog(model: sightline.Classifier, scene: Scene, method: str) -> sightline.Attribution:
    found = sightline.explain(model, scene.image, method, target="dog")
    assert isinstance(found, sightline.Attribution)
    return found


def _judged(metric: str, scene: Scene, model: sightline.Classifier) -> list[sightline.Judgement]:
    """What the metric says of the map of each method."""
    mask = scene.masks["object"] if METRICS[metric].traits.needs_mask else None
    found = [sightline.evaluate(model, _why_dog(model, scene, method), metric, mask=mask) for method in BESIDE]
    return [one for one in found if isinstance(one, sightline.Judgement)]


def _curves(metric: type[sightline.Metric], judged: list[sightline.Judgement]) -> bytes:
    curves = [
        Curve(method, *one.curve, one.value)
        for method, one in zip(BESIDE, judged, strict=True)
        if one.curve is not None
    ]
    along, upwards = metric.traits.axes
    svg = curve_svg(curves, x_label=along, y_label=upwards)
    # On a page of its own a drawing needs its paper: the text would else be black on a dark page.
    return svg.replace("<svg ", '<svg style="background:#fff;color:#222" ', 1).encode()


def _maps_with_values(
    metric: type[sightline.Metric], scene: Scene, judged: list[sightline.Judgement], model: sightline.Classifier
) -> bytes:
    """Three maps with the value above; where it counts, the object outlined and the maximum marked."""
    maps, places = [], []
    for method, one in zip(BESIDE, judged, strict=True):
        found = _why_dog(model, scene, method)
        maps.append((f"{found.method.name}: {one.value:.2g}", found.picture_map))
        places.append(np.unravel_index(found.picture_map.argmax(), found.picture_map.shape))
    figure = method_grid([(scene.image, maps)], style=Style(share="map"))
    for axis, (row, column) in zip(figure.axes[1 : 1 + len(maps)], places, strict=True):
        if metric.traits.needs_mask:
            axis.contour(scene.masks["object"], levels=[0.5], colors="white", linewidths=1.2)
            axis.plot(column, row, "+", color="black", markersize=11, markeredgewidth=3)
            axis.plot(column, row, "+", color="white", markersize=9, markeredgewidth=1.2)
    return _webp(figure_bytes(figure, "png", DOTS))


def _filled(scene: Scene, model: sightline.Classifier) -> bytes:
    """What the network is shown by each fill, side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    assert model.preparation is not None
    pixels, _ = model.preparation.prepare(load_picture(scene.image))
    figure = Figure(figsize=(7.5, 3.6), layout="compressed")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(2, 5).ravel())
    shown = [("the picture", pixels), *((name, cls().make(pixels, model.values)) for name, cls in FILLS.items())]
    for axis, (name, values) in zip(axes, shown, strict=False):
        axis.imshow(model.preparation.display(values))
        axis.set_title(name, fontsize=9)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set(color="0.7", linewidth=0.5)  # white on a white page would else not be seen
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    return _webp(figure_bytes(figure, "png", 100))


def _webp(png: bytes) -> bytes:
    kept = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(kept, "WEBP", quality=86, method=6)
    return kept.getvalue()


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
