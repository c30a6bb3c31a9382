"""Weights files: what can be read is read whole, what could run code or does not fit is refused in one line."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sightline.errors import ModelError, UsageError
from sightline.models.weights import classes_in, load_into, read_weights, sha256_of, sha256_of_file


def network(classes: int = 4, seed: int = 0) -> nn.Sequential:
    made = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, classes)
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator))
    return made


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th", ".bin", ".safetensors", ".PTH"])
def test_every_kind_of_file_gives_the_tensors(tmp_path: Path, suffix: str) -> None:
    state, file = network().state_dict(), tmp_path / f"weights{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    assert same(read_weights(file), state)


WRAPPINGS: dict[str, Callable[[dict], object]] = {
    "state_dict": lambda state: {"epoch": 3, "state_dict": state, "best": 0.5},
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}, "ema": {}},
    "model_state_dict": lambda state: {"model_state_dict": state},
    "net": lambda state: {"net": state, "acc": 93.1},
    "ema": lambda state: {"ema": state},
    "twice": lambda state: {"model": {"state_dict": state}},
    "module.": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "_orig_mod.": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    "both": lambda state: {"state_dict": {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()}},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_common_wrappings_are_unwrapped(tmp_path: Path, wrapping: str) -> None:
    state, file = network().state_dict(), tmp_path / "weights.pth"
    torch.save(WRAPPINGS[wrapping](state), file)
    assert same(read_weights(file), state)


class Canary:
    """A pickle that would make a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("old_format", [False, True])
def test_a_file_that_wants_to_run_code_is_refused_and_runs_nothing(tmp_path: Path, old_format: bool) -> None:
    sprung, file = tmp_path / "sprung", tmp_path / "weights.pth"
    torch.save({"state_dict": network().state_dict(), "extra": Canary(sprung)}, file,
               _use_new_zipfile_serialization=not old_format)  # fmt: skip
    with pytest.raises(ModelError, match=r"refused.*mkdir"):
        read_weights(file)
    assert not sprung.exists()
    torch.load(file, weights_only=False)  # the trap is a real one: read in the weaker way, it springs
    assert sprung.exists()


def test_a_plain_pickle_is_refused(tmp_path: Path) -> None:
    sprung, file = tmp_path / "sprung", tmp_path / "weights.bin"
    file.write_bytes(pickle.dumps(Canary(sprung), protocol=2))
    with pytest.raises(ModelError):
        read_weights(file)
    assert not sprung.exists()


def test_a_whole_network_in_a_pickle_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "network.pt")
    with pytest.raises(ModelError, match="state dict alone"):
        read_weights(tmp_path / "network.pt")


def spoilt(folder: Path, kind: str) -> Path:
    file = folder / "weights.pth"
    torch.save(network().state_dict(), file)
    if kind == "missing":
        return folder / "other.pth"
    if kind == "folder":
        return folder
    if kind == "empty":
        file.write_bytes(b"")
    if kind == "truncated":
        file.write_bytes(file.read_bytes()[:-400])
    if kind == "text":
        file.write_text("weights")
    if kind == "suffix":
        return file.rename(folder / "weights.onnx")
    if kind in ("safetensors", "cut safetensors"):
        file = folder / "weights.safetensors"
        save_file(network().state_dict(), file)
        file.write_bytes(b"x" * 200 if kind == "safetensors" else file.read_bytes()[:-8])
    if kind == "tensor":
        torch.save(torch.zeros(3), file)
    if kind == "nothing known":
        torch.save({"epoch": 3, "lr": 0.1}, file)
    return file


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no weights file"), ("folder", "is a folder"), ("empty", "is empty"), ("truncated", "truncated"),
        ("text", "refused|truncated"), ("suffix", "expected .safetensors"), ("safetensors", "truncated or no"),
        ("cut safetensors", "truncated or no"), ("tensor", "holds a Tensor"), ("nothing known", "epoch, lr"),
    ],
)  # fmt: skip
def test_what_is_no_weights_file_is_refused_in_one_line(tmp_path: Path, kind: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        read_weights(spoilt(tmp_path, kind))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UsageError)  # exit code 2


def test_half_precision_is_cast_to_the_networks_type() -> None:
    half = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in network().state_dict().items()
    }
    other = network(seed=1)
    load_into(other, half)
    assert all(parameter.dtype == torch.float32 for parameter in other.parameters())
    assert torch.equal(other[0].weight, network()[0].weight.half().float())


def test_names_that_do_not_fit_are_listed_and_nothing_is_changed() -> None:
    state = network().state_dict()
    state = {name.replace("0.", "conv."): tensor for name, tensor in state.items()}
    other = network(seed=1)
    before = sha256_of(other)
    with pytest.raises(ModelError, match=r"missing: 0\.weight, 0\.bias; unexpected: conv\.weight, conv\.bias"):
        load_into(other, state)
    assert sha256_of(other) == before


def test_many_names_that_do_not_fit_are_counted() -> None:
    with pytest.raises(ModelError, match=r"missing: 0\.weight, 0\.bias, 1\.weight and 5 more"):
        load_into(network(), {})


def test_shapes_that_do_not_fit_are_listed() -> None:
    with pytest.raises(ModelError, match=r"4\.weight is 7×5, expected 4×5, 4\.bias is 7, expected 4"):
        load_into(network(4), network(7).state_dict())


def test_prefixes_on_either_side_are_forgiven() -> None:
    state = network().state_dict()
    wrapped = nn.DataParallel(network(seed=1))
    load_into(wrapped, state)
    assert same(wrapped.module.state_dict(), state)
    other = network(seed=1)
    load_into(other, {f"model.{name}": tensor for name, tensor in state.items()})
    assert same(other.state_dict(), state)


def test_a_counter_of_batch_normalisation_may_be_missing_but_no_statistic() -> None:
    state = network().state_dict()
    del state["1.num_batches_tracked"]
    load_into(network(seed=1), state)
    del state["1.running_mean"]
    with pytest.raises(ModelError, match=r"missing: 1\.running_mean"):
        load_into(network(seed=1), state)


def test_the_number_of_classes_is_read_from_the_last_layer() -> None:
    assert classes_in(network(4), network(7).state_dict(), 4) == 7
    assert classes_in(network(4), network(4).state_dict(), 4) is None
    assert classes_in(network(4), {"4.weight": torch.zeros(7, 6)}, 4) is None


def test_the_hash_is_of_the_numbers_and_not_of_their_order() -> None:
    one, other = network(), network()
    other._modules = dict(reversed(other._modules.items()))
    assert sha256_of(one) == sha256_of(other)
    with torch.no_grad():
        next(other.parameters()).mul_(1 + 1e-6)
    assert sha256_of(one) != sha256_of(other)
    assert sha256_of(one) != sha256_of(network().half())
    assert len(sha256_of(network().bfloat16())) == 64


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"abc")
    assert sha256_of_file(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
