"""The README is true: its code runs and prints what it says, its pictures are there, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from document import DOCS, ROOT, blocks_of, compare, run_page
from PIL import Image

import sightline
from sightline.demo.scenes import PICTURES, render_image

README = ROOT / "README.md"


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with the user's own files that the README speaks of, small and quick stand-ins."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    scene = render_image(PICTURES["dog"])
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/one.jpg", "photos/two.jpg"):
        Image.fromarray(scene).save(tmp_path / name)
    (tmp_path / "my_network.py").write_text(
        "from sightline.demo.network import SceneNet\n\n\ndef make():\n    return SceneNet()\n", encoding="utf-8"
    )
    (tmp_path / "mine.safetensors").write_bytes((ROOT / "src/sightline/demo/honest.safetensors").read_bytes())


@pytest.fixture
def _small_resnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torchvision/resnet50` without its download: as many classes, a network of two layers."""
    from sightline.models.sources import torchvision as source

    real = sightline.load("demo")

    def load(asked):
        assert asked.rest == "resnet50"
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 5, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
            torch.nn.Linear(8, 1000),
        )  # fmt: skip
        labels = [f"class {index}" for index in range(999)] + ["bull mastiff"]
        return sightline.wrap(network, labels=labels, preparation=real.preparation, name=asked.name)

    monkeypatch.setattr(source, "load", load)


@pytest.mark.usefixtures("_small_resnet")
def test_every_block_runs_and_prints_what_it_says() -> None:
    names = run_page(README)
    assert Path("sightline-out/report.html").is_file()
    assert Path("report/manifest.json").is_file()
    assert names["share"].value > 5 * names["scene"].masks["accessory"].mean()


def test_a_page_that_lies_is_caught(tmp_path: Path) -> None:
    compare("dog 97%\nand …\n", "dog  97%\nand more", "page")
    with pytest.raises(AssertionError, match="says"):
        compare("dog 97%", "dog 98%", "page")
    with pytest.raises(AssertionError, match="says"):
        compare("dog 97%", "dog 97%\nand a line that the page hides", "page")


def test_the_opening_pictures_are_those_of_the_commands_below_them() -> None:
    text = README.read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^]]+]\((docs/pictures/[\w-]+)\.webp\)", text)
    drawn = [name for block in blocks_of(README) for name in re.findall(r"--figure ([\w-]+)\.png", block.code)]
    assert pictures == [f"docs/pictures/{name}" for name in drawn]
    assert text.index("![") < text.index("## ")


@pytest.mark.parametrize("page", [README, *sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    for target in targets:
        assert target.startswith("https://") or (page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_has_the_targets_that_pages_name(page: str) -> None:
    named = set(re.findall(r"^make (\w+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert named
    assert named <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
