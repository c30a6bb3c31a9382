"""What all tests share: one thread, and the real material beside the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: small tensors gain nothing from more

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real weights and photographs; tests that use it are marked `real`."""
    if not DATA.is_dir():
        pytest.skip(f"no real weights and photographs at {DATA}")
    return DATA


@pytest.fixture(scope="session")
def expanded_weights(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `resnet50.safetensors` and `resnet18.safetensors`: float16, torchvision's names."""
    folder = tmp_path_factory.mktemp("weights")
    subprocess.run([sys.executable, str(data_dir / "expand.py"), str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if matplotlib were not installed."""
    for name in ["matplotlib", *(name for name in sys.modules if name.startswith("matplotlib."))]:
        monkeypatch.setitem(sys.modules, name, None)
