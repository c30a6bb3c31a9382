"""A file can hold code that runs where it is opened: no loader runs it, whatever the file is called."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sightline
from sightline.errors import SightlineError
from sightline.models.catalogue import _FILES
from sightline.models.weights import SUFFIXES

NAMES = sorted({*_FILES, *SUFFIXES, ".ckpt", ".json", ".model", ""})


class Canary:
    """Makes a file where it is unpickled."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return (open, (self.place, "w"))


def plain(canary: Canary) -> bytes:
    return pickle.dumps(canary)


def saved(canary: Canary) -> bytes:
    held = io.BytesIO()
    torch.save({"state_dict": {"weight": canary}}, held)
    return held.getvalue()


def saved_in_the_old_way(canary: Canary) -> bytes:
    held = io.BytesIO()
    torch.save({"weight": canary}, held, _use_new_zipfile_serialization=False)
    return held.getvalue()


def array(canary: Canary) -> bytes:
    held = io.BytesIO()
    np.save(held, np.array([canary], dtype=object), allow_pickle=True)
    return held.getvalue()


def archive(canary: Canary) -> bytes:
    """What TorchScript, torch.export and Keras look for in an archive, each of them the canary."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version", "byteorder", "config.json",
                     "metadata.json", "model.weights.h5", "data/sample_inputs/model.pt", "archive_format",
                     "serialized_state_dict.pt", "serialized_constants.pt",
                     "serialized_example_inputs.pt"):  # fmt: skip
            made.writestr(f"archive/{name}", plain(canary))
            made.writestr(name, plain(canary))
    return held.getvalue()


BROODS = [plain, saved, saved_in_the_old_way, array, archive]


@pytest.mark.parametrize("brood", BROODS)
@pytest.mark.parametrize("suffix", NAMES)
def test_a_canary_stays_in_its_egg(suffix: str, brood: Any, tmp_path: Path) -> None:
    canary, file = tmp_path / "canary", tmp_path / f"file{suffix}"
    (tmp_path / "file.bin").write_bytes(brood(Canary(str(canary))))  # also where .xml looks for weights
    file.write_bytes(brood(Canary(str(canary))))
    for attempt in (
        lambda: sightline.load(str(file)),
        lambda: sightline.load("demo", weights=file),
        lambda: sightline.load(f"hf/{file}"),
    ):
        with pytest.raises(SightlineError):
            attempt()
    assert not canary.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "config.json"])
@pytest.mark.parametrize("brood", BROODS)
def test_a_canary_stays_in_a_folder_of_the_hub(name: str, brood: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "config.json").write_text('{"model_type": "vit", "architectures": ["ViTForImageClassification"]}')
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "ViTImageProcessor"}')
    (tmp_path / name).write_bytes(brood(Canary(str(canary))))
    with pytest.raises(SightlineError):
        sightline.load(f"hf/{tmp_path}")
    assert not canary.exists()


def test_code_of_a_folder_of_the_hub_is_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "config.json").write_text(
        '{"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForImageClassification": "own.Own"}}'
    )
    (tmp_path / "own.py").write_text(f"open({str(canary)!r}, 'w')\nclass Own: pass\n")
    with pytest.raises(SightlineError):
        sightline.load(f"hf/{tmp_path}")
    assert not canary.exists()


def test_the_canary_flies_where_it_is_let(tmp_path: Path) -> None:
    for number, brood in enumerate((plain, saved, saved_in_the_old_way, array)):
        canary = tmp_path / f"canary{number}"
        held = io.BytesIO(brood(Canary(str(canary))))
        if brood is plain:
            pickle.load(held)
        elif brood is array:
            np.load(held, allow_pickle=True)
        else:
            torch.load(held, weights_only=False)
        assert canary.exists()
