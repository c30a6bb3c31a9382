"""Photographs, found once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image


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
