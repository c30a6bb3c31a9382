"""Real weights and photographs, made ready once for all tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def expanded_weights(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `resnet50.safetensors` and `resnet18.safetensors`: float16, torchvision's names."""
    folder = tmp_path_factory.mktemp("weights")
    subprocess.run([sys.executable, str(data_dir / "expand.py"), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def photographs(data_dir: Path) -> list[Path]:
    """Twelve photographs without transparency, most of them not square, upright and wide."""
    coco = sorted((data_dir / "photos" / "coco").glob("*.jpg"))[:6]
    imagenet = sorted((data_dir / "photos" / "imagenet").glob("*"))[:2]
    found = [*coco, *imagenet]
    for path in sorted((data_dir / "photos" / "classic").iterdir()):
        with Image.open(path) as image:
            if image.mode in ("RGB", "L") and image.width != image.height and len(found) < 12:
                found.append(path)
    assert len(found) == 12
    return found
