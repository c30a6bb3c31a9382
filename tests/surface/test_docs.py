"""The pages are true: they say what the code says, and the code on them runs and prints what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from document import DOCS, ROOT, blocks_of, run_page
from PIL import Image
from torch import nn

import sightline
from sightline import GradCam, Gradient, IntegratedGradients, Occlusion
from sightline.attribution.table import METHODS
from sightline.demo.scenes import PICTURES, render_image
from sightline.evaluation.table import METRICS
from sightline.spec import fields_of
from sightline.testing.architectures import Tokens

MOST_BYTES = 60_000
HELP_OF = (3, 11)  # the Python whose argparse wrote command-line.md


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`docs/make.py`, imported as it is run."""
    monkeypatch.syspath_prepend(str(DOCS))
    import make as generator

    return generator


def texts(make: ModuleType) -> dict[str, str]:
    """What the code says; argparse words its help a little differently from Python to Python."""
    pages: dict[str, str] = make.texts()
    if sys.version_info[:2] != HELP_OF:
        pages["command-line.md"] = (DOCS / "command-line.md").read_text(encoding="utf-8")
    return pages


def test_pages_are_what_the_code_says(make: ModuleType) -> None:
    assert make.stale(texts(make)) == [], "run: python docs/make.py"


def test_a_page_that_was_changed_or_is_of_nothing_is_told(make: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = texts(make)
    changed = pages | {"methods/occlusion.md": pages["methods/occlusion.md"] + "more\n"}
    assert make.stale(changed) == ["methods/occlusion.md"]
    del changed["methods/occlusion.md"]
    assert make.stale(changed) == ["methods/occlusion.md"]
    docstring = sys.modules[METHODS["gradient"].__module__]
    monkeypatch.setattr(docstring, "__doc__", f"{docstring.__doc__}\n\nAnother promise.\n")
    assert make.stale(texts(make)) == ["methods/gradient.md"]


@pytest.mark.skipif(sys.version_info[:2] != HELP_OF, reason="command-line.md holds the help of Python 3.11's argparse")
def test_the_generator_runs_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "make.py"), "--check"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_marked_parts_hold_something() -> None:
    marked = [
        (page.name, name, part)
        for page in DOCS.glob("*.md")
        for name, part in re.findall(r"<!-- code: ([\w.]+) -->\n(.*?)<!-- end -->", page.read_text("utf-8"), re.DOTALL)
    ]
    assert {page for page, _, _ in marked} >= {"networks.md", "pictures.md", "results.md"}
    for page, name, part in marked:
        assert part.strip(), f"{page}: {name} is empty"


@pytest.mark.parametrize("kind", ["methods", "metrics"])
def test_a_page_names_every_field_and_shows_a_picture(kind: str) -> None:
    for name, cls in (METHODS if kind == "methods" else METRICS).items():
        page = (DOCS / kind / f"{name}.md").read_text(encoding="utf-8")
        assert all(f"| `{field.name}` |" in page and field.doc in page for field in fields_of(cls))
        (picture,) = re.findall(r"!\[[^]]+]\((\.\./pictures/[^)]+)\)", page)
        assert (DOCS / kind / picture).is_file()


def test_pictures_are_small_readable_and_used() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *DOCS.rglob("*.md")))
    for picture in (DOCS / "pictures").iterdir():
        assert picture.stat().st_size < MOST_BYTES, picture
        assert f"pictures/{picture.name})" in text, f"{picture.name} is on no page"
        if picture.suffix == ".webp":
            with Image.open(picture) as image:
                image.load()
                assert min(image.size) > 200


PAGES = ["tour", "choosing", "extending", "from-captum", "pictures", "networks", "results", "truth"]


@pytest.mark.parametrize("page", PAGES)
def test_code_runs_and_prints_what_the_page_says(page: str) -> None:
    run_page(DOCS / f"{page}.md")


def test_no_page_with_code_is_left_out() -> None:
    assert {page.stem for page in DOCS.glob("*.md") if blocks_of(page)} == set(PAGES)


class Small(nn.Sequential):
    """A network with the names that the docstrings use; ends as CAM wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer2 = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU())
        self.layer3 = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU())
        self.layer4 = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU())
        self.tail = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


@pytest.mark.parametrize(("kind", "name"), [*(("methods", n) for n in METHODS), *(("metrics", n) for n in METRICS)])
def test_the_example_of_a_docstring_runs(kind: str, name: str, tmp_path: Path) -> None:
    picture = Image.fromarray(render_image(PICTURES["dog"])).resize((400, 300))
    picture.save(tmp_path / "dog.jpg")
    picture.save(tmp_path / "bird.jpg")
    picture.convert("L").point(lambda level: 255 * (level > 128)).save(tmp_path / "dog_mask.png")
    family = METHODS[name]().traits.family if kind == "methods" else ""
    size = 128 if family == "concepts" else 32  # CRAFT cuts crops of 64 pixels
    model = sightline.wrap(
        Tokens(1) if family == "attention" else Small(),
        labels=["dog", "cat", "car", "owl"],
        preparation=sightline.Preparation(resize=size + 8, crop=(size, size)),
    )
    examples = [block for block in blocks_of(DOCS / kind / f"{name}.md") if block.language == "python"]
    assert examples, f"the docstring of {name} has no example"
    for block in examples:
        found = eval(block.code, {"sightline": sightline, "model": model})
        made = found.method if kind == "methods" else found.metric
        assert made.name == name


Call = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]


def _captum_saliency(network: nn.Module, pixels: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    from captum.attr import Saliency

    return Saliency(network).attribute(pixels.clone().requires_grad_(), target=target, abs=False)


def _captum_integrated(network: nn.Module, pixels: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    from captum import attr

    return attr.IntegratedGradients(network).attribute(pixels, target=target)


def _captum_occlusion(network: nn.Module, pixels: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    from captum import attr

    return attr.Occlusion(network).attribute(pixels, (3, 15, 15), strides=(3, 7, 7), target=target)[:, :1]


def _captum_grad_cam(network: Any, pixels: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    from captum.attr import LayerGradCam

    return LayerGradCam(network, network.stage2).attribute(pixels, target=target, relu_attributions=True).detach()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Gradient(), _captum_saliency),
        (IntegratedGradients(steps=50), _captum_integrated),
        (Occlusion(window=15, stride=7, fill="black", score="logit"), _captum_occlusion),
        (GradCam(layer="stage2"), _captum_grad_cam),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_table_for_captum_users_is_true(ours: sightline.Method, theirs: Call) -> None:
    pytest.importorskip("captum")
    network = sightline.load("demo").network
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected = theirs(network, pixels, torch.tensor([2, 5]))
    found = ours(network, pixels, [2, 5]).values
    assert found.shape == expected.shape
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4
