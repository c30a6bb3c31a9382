"""Rows I1 and I4: what reading a picture costs, and CMYK as another reader sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.errors import PictureError
from sightline.images.load import load

PEAK = """
import resource, sys
from sightline.images.load import load
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
height, width = load(sys.argv[1]).size
print(peak() - before, 4 * height * width * 3 / 1e6 + 64)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "F"])
def test_i1_reading_needs_no_more_memory_than_stated(mode: str, tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (2500, 16))
    kinds = {"I;16": ramp.astype(np.uint16) * 257, "F": ramp.astype(np.float32)}
    values = kinds.get(mode, np.dstack([ramp] * len(mode)))
    file = tmp_path / ("x.tif" if mode == "F" else "x.png")
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(values).save(file, exif=exif)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(file)], capture_output=True, text=True, timeout=60, check=True
    )
    used, allowed = map(float, done.stdout.split())
    assert used <= allowed


@pytest.mark.real
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_i4_cmyk_and_ycck_jpegs_are_what_another_reader_makes_of_them(data_dir: Path) -> None:
    torch, torchvision = pytest.importorskip("torch"), pytest.importorskip("torchvision.io")
    compared = set()
    for file in sorted((data_dir / "hostile").glob("*.jp*g")):
        try:
            ours = load(file)
            encoded = torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8)
            theirs = torchvision.decode_jpeg(encoded, mode=torchvision.ImageReadMode.RGB).permute(1, 2, 0).numpy()
        except (PictureError, RuntimeError):
            continue
        if ours.mode == "CMYK":
            assert np.abs(ours.stored().astype(int) - theirs).max() <= 3, file.name
            compared.add(file.name)
    assert len(compared) >= 3
