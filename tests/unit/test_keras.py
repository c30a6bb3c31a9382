"""Keras models on the torch backend: every family of methods gives what the same network built in torch gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import sightline
from sightline.errors import LayerError, MissingExtraError, ModelError, NotSupportedError
from sightline.models.catalogue import load
from sightline.models.classifier import Classifier, wrap
from sightline.models.from_keras import layers as keras_layers

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras")
L = keras.layers


def picture_model(head: str | None = "softmax", classes: int = 4) -> Any:
    """Every kind of layer that the applications are made of, from a seed; 32 × 24 pixels."""
    keras.utils.set_random_seed(0)
    given = keras.Input((32, 24, 3))
    x = L.Conv2D(6, 3, strides=2, padding="same", name="conv1")(given)
    x = L.BatchNormalization(name="bn1")(x)
    x = L.Activation("relu", name="relu1")(x)
    y = L.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = L.ReLU(name="relu2")(y)
    x = L.Concatenate(name="mixed")([x, y])
    x = L.MaxPooling2D(3, strides=2, padding="same", name="pool")(x)
    x = L.Conv2D(8, 3, padding="same", activation="relu", name="conv2")(x)
    x = L.Add(name="sum")([x, L.Conv2D(8, 1, name="shortcut")(x)])
    x = L.Activation("relu", name="res5c_branch2c")(x)
    x = L.GlobalAveragePooling2D(name="mean")(x)
    x = L.Dropout(0.5)(x)
    model = keras.Model(given, L.Dense(classes, activation=head, name="predictions")(x))
    for variable in model.get_layer("bn1").weights:
        variable.assign(keras.random.uniform(variable.shape, 0.5, 1.5, seed=1))
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(keras.random.normal(layer.bias.shape, 0, 0.1, seed=2))
    return model


class Twin(nn.Module):
    """The same in torch, with copied weights."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        weights = {layer.name: [np.array(one) for one in layer.get_weights()] for layer in model.layers}
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(12, 8, 3, padding=1)
        self.depthwise, self.shortcut = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(8, 8, 1)
        self.bn1, self.relu, self.pool = nn.BatchNorm2d(6, eps=1e-3), nn.ReLU(), nn.MaxPool2d(3, 2)
        self.mixed, self.last, self.mean, self.head = nn.Identity(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Linear(8, 4)
        for name in ("conv1", "conv2", "shortcut"):
            self._put(name, weights[name][0].transpose(3, 2, 0, 1), weights[name][1])
        self._put("depthwise", weights["depthwise"][0].transpose(2, 3, 0, 1), weights["depthwise"][1])
        self._put("head", weights["predictions"][0].T, weights["predictions"][1])
        self._put("bn1", *weights["bn1"][:2])
        self.bn1.running_mean, self.bn1.running_var = (torch.from_numpy(one) for one in weights["bn1"][2:])

    def _put(self, name: str, weight: Any, bias: Any) -> None:
        module = getattr(self, name)
        module.weight = nn.Parameter(torch.from_numpy(weight.copy()))
        module.bias = nn.Parameter(torch.from_numpy(bias.copy()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(functional.pad(x, (0, 1, 0, 1)))))
        x = self.mixed(torch.cat([x, self.relu(self.depthwise(x))], 1))
        x = self.relu(self.conv2(self.pool(functional.pad(x, (0, 1, 0, 1), mode="replicate"))))
        x = self.last(x + self.shortcut(x))
        scores: torch.Tensor = self.head(self.mean(x).flatten(1))
        return scores


PIXELS = torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def pair() -> tuple[Classifier, Classifier]:
    model = picture_model()
    return wrap(model), wrap(Twin(model), head="softmax")


@pytest.mark.parametrize(
    ("method", "layer"),
    [
        ("gradient", None), ("input-times-gradient", None), ("integrated-gradients(steps=4)", None),
        ("smooth-grad(samples=2)", None), ("guided-backpropagation", None), ("deconvnet", None), ("deep-lift", None),
        ("grad-cam", ("res5c_branch2c", "last")), ("grad-cam", ("mixed", "mixed")), ("grad-cam", (None, None)),
        ("hires-cam", (None, None)), ("score-cam", (None, None)), ("cam", (None, None)),
        ("eigen-cam", (None, None)), ("relevance-cam", (None, None)), ("guided-grad-cam", None),
        ("lrp", None), ("lrp(composite=epsilon-gamma-box)", None), ("excitation-backprop", ("mixed", "mixed")),
        ("full-grad", None), ("occlusion(window=8, stride=4)", None), ("rise(cells=4, samples=20)", None),
        ("lime(regions=grid(rows=4, columns=4), samples=40)", None),
        ("meaningful-perturbation(iterations=3, size=8)", None),
    ],
)  # fmt: skip
def test_every_family_gives_what_the_same_network_in_torch_gives(
    pair: tuple[Classifier, Classifier], method: str, layer: tuple[str | None, str | None] | None
) -> None:
    maps = []
    for place, classifier in enumerate(pair):
        options = {} if layer is None or layer[0] is None else {"layer": layer[place]}
        found = sightline.explain(classifier, list(PIXELS), [method], target=1, **options)
        maps.append(np.stack([one.map for one in found]))
    largest = np.abs(maps[1]).max()
    assert largest > 0
    assert np.abs(maps[0] - maps[1]).max() <= 1e-5 * max(1.0, largest) + 2e-4 * largest * method.startswith(
        ("lime", "meaningful", "rise")
    )


def test_a_wrong_twin_would_show() -> None:
    model = picture_model()
    twin = Twin(model)
    with torch.no_grad():
        twin.conv2.weight += 0.01
    maps = [sightline.explain(one, PIXELS[0], "gradient", target=1).map for one in (wrap(model), wrap(twin))]
    assert np.abs(maps[0] - maps[1]).max() > 1e-3 * np.abs(maps[1]).max()


def test_the_gradient_is_that_of_keras_itself() -> None:
    model = picture_model(head=None)
    leaf = PIXELS.clone().requires_grad_()
    scores = model(leaf.permute(0, 2, 3, 1), training=False)
    (own,) = torch.autograd.grad(scores[:, 2].sum(), leaf)
    found = sightline.explain(model, list(PIXELS), ["gradient(channels=sum)"], target=2)
    ours = torch.from_numpy(np.stack([one.map for one in found]))
    assert torch.allclose(ours, own.sum(1), atol=1e-5 * float(own.abs().max()))


def test_names_heads_and_layers() -> None:
    classifier = wrap(picture_model())
    assert classifier.head == "softmax"
    assert "logits" in classifier.notes[0]
    found = sightline.explain(classifier, PIXELS[0])
    assert found.layer == "res5c_branch2c"
    with pytest.raises(LayerError, match="did you mean 'res5c_branch2c'"):
        sightline.explain(classifier, PIXELS[0], "grad-cam(layer=res5c_branch2)")
    assert wrap(picture_model(head=None)).notes == ()
    assert wrap(picture_model("sigmoid")).head == "sigmoid"
    assert wrap(picture_model("sigmoid", 1)).head == "binary"
    own = wrap(picture_model(), head="probabilities")
    with torch.no_grad():
        assert torch.allclose(own.raw_scores(PIXELS).sum(1), torch.ones(2))


@pytest.mark.parametrize("name", ["outputs", "inputs", "last", "steps", "a-b", "_own"])
def test_a_layer_may_have_any_name(name: str) -> None:
    given = keras.Input((32, 24, 3))
    x = L.Conv2D(4, 3, activation="relu", name=name)(given)
    model = keras.Model(given, L.Dense(3, name="end")(L.GlobalAveragePooling2D()(x)))
    assert sightline.explain(model, PIXELS[0], f"grad-cam(layer={name})", target=1).layer == name
    head = keras.Sequential([keras.Input((32, 24, 3)), L.Flatten(), L.Dense(3, activation="softmax", name=name)])
    classifier = wrap(head)
    assert classifier.head == "softmax"
    with torch.no_grad():
        own = head(PIXELS.permute(0, 2, 3, 1))
        assert torch.allclose(classifier.raw_scores(PIXELS).softmax(1), own, atol=1e-6)


def test_a_word_of_torch_itself_is_a_name_with_a_line_behind_it() -> None:
    given = keras.Input((32, 24, 3))
    x = L.Conv2D(4, 3, activation="relu", name="half")(given)
    model = keras.Model(given, L.Dense(3)(L.GlobalAveragePooling2D()(x)))
    with pytest.raises(LayerError, match="did you mean 'half_'"):
        sightline.explain(model, PIXELS[0], "grad-cam(layer=half)", target=1)
    assert sightline.explain(model, PIXELS[0], "grad-cam(layer=half_)", target=1).layer == "half_"


def test_the_users_model_is_left_as_it_was() -> None:
    model = picture_model()
    before = [np.array(one) for one in model.get_weights()]
    calls = [len(layer._inbound_nodes) for layer in model.layers]
    sightline.explain(model, PIXELS[0], ["grad-cam", "lrp"])
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
    assert calls == [len(layer._inbound_nodes) for layer in model.layers]
    assert all(variable.value.requires_grad for variable in model.trainable_variables)
    model.get_layer("conv2").kernel.assign(keras.ops.zeros((3, 3, 12, 8)))
    with torch.no_grad():
        assert torch.allclose(wrap(model).raw_scores(PIXELS).softmax(1), model(PIXELS.permute(0, 2, 3, 1)), atol=1e-6)


class Own(keras.Model):
    """A model of the user's own class, with an operation that is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = L.Conv2D(5, 3, padding="same", name="first"), L.BatchNormalization(name="norm")
        self.mean, self.head = L.GlobalAveragePooling2D(name="mean"), L.Dense(3, name="head")

    def call(self, x: Any, training: Any = None) -> Any:
        x = keras.ops.relu(self.norm(self.conv(x), training=training)) * 2.0
        return self.head(self.mean(x))


def test_a_model_of_the_users_own_class() -> None:
    model = Own()
    with pytest.raises(ModelError, match="not built: call it once"):
        wrap(model)
    model(PIXELS.permute(0, 2, 3, 1))
    calls = [len(layer._inbound_nodes) for layer in model.layers]
    classifier = wrap(model)
    assert calls == [len(layer._inbound_nodes) for layer in model.layers]
    with torch.no_grad():
        own = model(PIXELS.permute(0, 2, 3, 1), training=False)
        assert torch.allclose(classifier.raw_scores(PIXELS), own, atol=1e-6)
    found = sightline.explain(
        classifier, PIXELS[0], ["grad-cam", "guided-backpropagation", "occlusion(window=8, stride=8)"]
    )
    assert found[0].layer in ("multiply", "relu")


def test_models_in_models_and_shared_layers() -> None:
    keras.utils.set_random_seed(1)
    inner = keras.Sequential([keras.Input((16, 16, 4)), L.Conv2D(4, 3, padding="same", name="twice")], name="body")
    shared = L.Conv2D(4, 3, padding="same", activation="relu", name="shared")
    given = keras.Input((16, 16, 3))
    x = L.Conv2D(4, 1, name="first")(L.Rescaling(1 / 255, name="bytes")(given))
    x = L.Flatten(name="flat")(L.AveragePooling2D(4, name="pool")(inner(shared(shared(x)))))
    model = keras.Model(given, L.Dense(3, name="head")(x))
    pixels = 255 * torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    classifier = wrap(model)
    with torch.no_grad():
        own = model(pixels.permute(0, 2, 3, 1), training=False)
        assert torch.allclose(classifier.raw_scores(pixels), own, atol=1e-5)
    assert sightline.explain(classifier, pixels[0], "grad-cam(layer=body.twice)").layer == "body.twice"
    with pytest.raises(LayerError, match="runs 2 times"):
        sightline.explain(classifier, pixels[0], "grad-cam(layer=shared.convolution)")


def test_a_layer_that_only_keras_knows_is_run_by_keras() -> None:
    given = keras.Input((16, 16, 3))
    x = L.Conv2DTranspose(4, 3, name="up")(L.Conv2D(4, 3, name="first")(given))
    model = keras.Model(given, L.Dense(3)(L.GlobalMaxPooling2D()(L.UnitNormalization(name="unit")(x))))
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    classifier = wrap(model)
    with torch.no_grad():
        own = model(pixels.permute(0, 2, 3, 1), training=False)
        assert torch.allclose(classifier.raw_scores(pixels), own, atol=1e-5)
    leaf = pixels.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf.permute(0, 2, 3, 1), training=False)[:, 1].sum(), leaf)
    found = sightline.explain(classifier, pixels[0], ["gradient(channels=sum)", "grad-cam(layer=up)"], target=1)
    assert np.allclose(found[0].map, slope[0].sum(0), atol=1e-5)
    for method in ("lrp", "full-grad", "relevance-cam"):
        with pytest.raises(sightline.errors.NotSupportedError, match="'up'"):
            sightline.explain(classifier, pixels[0], method, target=1)


@pytest.mark.parametrize(
    "layer",
    ["RandomFlip()", "RandomRotation(0.1)", "RandomZoom(0.1)", "RandomContrast(0.1)", "RandomBrightness(0.1)",
     "RandomTranslation(0.1, 0.1)", "RandomCrop(16, 12)", "RandomShear(0.3, 0.3)", "Dropout(0.5)"],
)  # fmt: skip
def test_layers_that_make_pictures_vary_do_nothing_where_one_is_looked_at(layer: str) -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((32, 24, 3))
    x = L.Conv2D(4, 3, activation="relu")(eval(f"L.{layer}", {"L": L})(given))
    model = keras.Model(given, L.Dense(3)(L.GlobalAveragePooling2D()(x)))
    pixels = PIXELS * 255
    with torch.no_grad():
        own = model(pixels.permute(0, 2, 3, 1), training=False)
        # Of a copy each: some work in place.
        varied = [model(pixels.permute(0, 2, 3, 1).clone(), training=True) for _ in range(6)]
    ours = wrap(model).raw_scores(pixels)
    assert torch.allclose(ours, own, atol=1e-5 * float(own.abs().max()))
    assert any(not torch.allclose(one, own, atol=1e-3 * float(own.abs().max())) for one in varied)


@pytest.mark.parametrize(("policy", "told"), [("mixed_float16", "float16"), ("mixed_bfloat16", "bfloat16")])
def test_mixed_precision_is_explained_in_the_numbers_of_the_weights(here: Path, policy: str, told: str) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        model = picture_model(head=None)
    finally:
        keras.config.set_dtype_policy("float32")
    full = picture_model(head=None)
    full.set_weights(model.get_weights())
    model.save(here / "mixed.keras")
    for found in (wrap(model), load(str(here / "mixed.keras"))):
        assert any(f"computes in {told}: it is explained in float32" in note for note in found.notes)
        ours, own = (sightline.explain(one, PIXELS[0], "gradient", target=1).map for one in (found, wrap(full)))
        assert np.abs(ours - own).max() <= 1e-5 * np.abs(own).max()
    assert {layer.dtype_policy.name for layer in model.layers} == {policy}
    with torch.no_grad():
        coarse = model(PIXELS.permute(0, 2, 3, 1), training=False).float()
    assert 1e-6 < float((coarse - wrap(full).raw_scores(PIXELS)).abs().max()) < 0.05


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float64"])
def test_other_numbers_are_the_models_own(policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        model = picture_model(head=None)
    finally:
        keras.config.set_dtype_policy("float32")
    found = sightline.explain(model, PIXELS[0], ["grad-cam", "gradient"], target=1)
    assert found[0].layer == "res5c_branch2c"
    assert found[1].origin.numbers == policy


def test_channels_first_and_several_inputs_are_refused() -> None:
    given = keras.Input((3, 16, 16))
    first = keras.Model(given, L.Flatten()(L.Conv2D(2, 3, data_format="channels_first", name="turned")(given)))
    with pytest.raises(ModelError, match="'turned' works channels first"):
        wrap(first)
    one, two = keras.Input((8, 8, 3)), keras.Input((2,))
    several = keras.Model([one, two], L.Concatenate()([L.Flatten()(one), two]))
    with pytest.raises(ModelError, match=r"2 inputs .*of which one is explained: give the others .*held="):
        wrap(several)
    with pytest.raises(ModelError, match="not pictures"):
        wrap(keras.Sequential([keras.Input((7,)), L.Dense(2)]))


# Several inputs


def picture_and_age(*, named: bool) -> Any:
    """A second picture, a picture that is explained, and a number; the last moves both scores and slopes."""
    keras.utils.set_random_seed(0)
    other, given = keras.Input((6, 6, 1), name="other"), keras.Input((16, 12, 3), name="picture")
    age = keras.Input((1,), name="age")
    x = L.Conv2D(5, 3, activation="relu", name="conv")(given)
    x = L.Multiply()([L.GlobalAveragePooling2D()(x), L.Dense(5)(age)])
    x = L.Concatenate()([x, L.Flatten()(L.Conv2D(2, 3)(other))])
    inputs = {"o": other, "p": given, "a": age} if named else [other, given, age]
    return keras.Model(inputs, L.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize(("named", "by_place"), [(False, False), (False, True), (True, False)])
def test_one_of_several_inputs_is_explained(named: bool, by_place: bool) -> None:
    model = picture_and_age(named=named)
    draw = torch.Generator().manual_seed(0)
    other, age = torch.rand(1, 6, 6, 1, generator=draw), torch.tensor([[1.5]])
    pixels = torch.rand(2, 3, 16, 12, generator=draw)
    words = {"o": other, "a": age} if named else {"other": other, "age": age}
    classifier = wrap(model, held=(other, ..., age) if by_place else words)
    leaf = pixels.clone().requires_grad_()
    rows = {"o": other.expand(2, -1, -1, -1), "p": leaf.permute(0, 2, 3, 1), "a": age.expand(2, -1)}
    own = model(rows if named else list(rows.values()), training=False)
    assert torch.allclose(classifier.raw_scores(pixels).softmax(1), own, atol=1e-6)
    (slope,) = torch.autograd.grad(own.log()[:, 2].sum() - own.log().logsumexp(1).sum(), leaf)
    ours = sightline.explain(classifier, list(pixels), ["gradient(channels=sum)"], target=2)
    logits = classifier.raw_scores(pixels)
    assert logits.std(1).min() > 0
    # The gradient of a logit is not that of its logarithm of a probability, but their differences between classes are.
    others = sightline.explain(classifier, list(pixels), ["gradient(channels=sum)"], target=0)
    (first,) = torch.autograd.grad(
        model(rows if named else list(rows.values()), training=False).log()[:, 0].sum(), leaf
    )
    difference = np.stack([one.map - zero.map for one, zero in zip(ours, others, strict=True)])
    assert np.abs(difference - (slope - first).sum(1).numpy()).max() < 1e-5
    assert sightline.explain(classifier, pixels[0], "grad-cam", layer="conv").map.max() > 0
    assert sightline.explain(classifier, pixels[0], "occlusion(window=4, stride=4)").map.any()


def test_inputs_that_do_not_fit_are_refused() -> None:
    model = picture_and_age(named=False)
    with pytest.raises(ModelError, match="unknown input of the Keras model 'agee': did you mean 'age'"):
        wrap(model, held={"agee": torch.ones(1, 1)})
    with pytest.raises(ModelError, match=r"3 inputs \(other, picture, age\)"):
        wrap(model, held={"age": torch.ones(1, 1)})
    own = OwnClass()
    own(PIXELS.permute(0, 2, 3, 1), torch.ones(2, 1))
    with pytest.raises(ModelError, match=r"class of your own, whose inputs have no names: make it functional"):
        wrap(own, held={"age": torch.ones(1, 1)})
    inputs = [keras.Input((32, 24, 3), name="picture"), keras.Input((1,), name="age")]
    made = wrap(keras.Model(inputs, own(*inputs)), held={"age": torch.full((1, 1), 2.0)})
    with torch.no_grad():
        expected = own(PIXELS.permute(0, 2, 3, 1), torch.full((2, 1), 2.0))
        assert torch.allclose(made.raw_scores(PIXELS), expected, atol=1e-6)


class OwnClass(keras.Model):
    """Of two inputs, one of which multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mean, self.head = L.Conv2D(4, 3), L.GlobalAveragePooling2D(), L.Dense(3)

    def call(self, picture: Any, age: Any) -> Any:
        return self.head(self.mean(self.conv(picture))) * age


def test_one_of_several_outputs_is_named() -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8, 3))
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(given))
    model = keras.Model(given, [L.Dense(2, name="small")(x), L.Dense(5, name="large")(x)])
    pixels = torch.rand(1, 3, 8, 8)
    assert wrap(model, output="large").raw_scores(pixels).shape == (1, 5)
    assert wrap(model, output=0).raw_scores(pixels).shape == (1, 2)


# Transformers


def transformer_model() -> Any:
    """A small ViT of Keras's own layers: patches by a convolution, no class token, the mean of all tokens."""
    keras.utils.set_random_seed(0)
    given = keras.Input((32, 48, 3))
    x = L.Conv2D(16, 8, strides=8, name="patches")(given)
    x = L.Reshape((24, 16), name="tokens")(x)
    for number in range(2):
        y = L.LayerNormalization(epsilon=1e-6, name=f"norm_{number}_1")(x)
        y = L.MultiHeadAttention(2, 8, name=f"attention_{number}")(y, y)
        x = L.Add(name=f"sum_{number}_1")([x, y])
        y = L.LayerNormalization(epsilon=1e-6, name=f"norm_{number}_2")(x)
        y = L.Dense(32, activation="gelu", name=f"up_{number}")(y)
        x = L.Add(name=f"sum_{number}_2")([x, L.Dense(16, name=f"down_{number}")(y)])
    x = L.GlobalAveragePooling1D()(L.LayerNormalization(epsilon=1e-6, name="norm")(x))
    return keras.Model(given, L.Dense(4, name="head")(x))


class TransformerTwin(nn.Module):
    """The same in torch: attention written out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.w = {layer.name: [torch.tensor(one) for one in layer.get_weights()] for layer in model.layers}

    def _norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, (16,), *self.w[name], eps=1e-6)

    def _attention(self, name: str, x: torch.Tensor) -> torch.Tensor:
        qw, qb, kw, kb, vw, vb, ow, ob = self.w[name]
        q, k, v = (torch.einsum("bnd,dhe->bhne", x, w) + b[None, :, None] for w, b in ((qw, qb), (kw, kb), (vw, vb)))
        seen = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1) @ v
        return torch.einsum("bhne,hed->bnd", seen, ow) + ob

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        kernel, bias = self.w["patches"]
        x = functional.conv2d(pixels, kernel.permute(3, 2, 0, 1), bias, stride=8)
        self.tokens = x = x.flatten(2).transpose(1, 2)
        for n in range(2):
            x = x + self._attention(f"attention_{n}", self._norm(f"norm_{n}_1", x))
            y = functional.gelu(self._norm(f"norm_{n}_2", x) @ self.w[f"up_{n}"][0] + self.w[f"up_{n}"][1])
            x = x + y @ self.w[f"down_{n}"][0] + self.w[f"down_{n}"][1]
        self.last = x
        scores: torch.Tensor = self._norm("norm", x).mean(1) @ self.w["head"][0] + self.w["head"][1]
        return scores


TRANSFORMER = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def test_a_transformer_of_keras_gives_what_the_same_in_torch_gives() -> None:
    model = transformer_model()
    classifier, twin = wrap(model), TransformerTwin(model)
    assert torch.allclose(classifier.raw_scores(TRANSFORMER), twin(TRANSFORMER), atol=1e-5)
    for method in ("gradient", "integrated-gradients(steps=4)", "occlusion(window=8, stride=8)"):
        one, other = (sightline.explain(model, TRANSFORMER[0], method, target=1).map for model in (classifier, twin))
        assert np.abs(one - other).max() <= 1e-4 * np.abs(other).max(), method


def test_grad_cam_of_a_transformer_of_keras_is_that_of_its_tokens() -> None:
    model = transformer_model()
    classifier, twin = wrap(model), TransformerTwin(model)
    scores = twin(TRANSFORMER.clone().requires_grad_())
    (slope,) = torch.autograd.grad(scores[0, 1], twin.last)
    cells = torch.relu((twin.last * slope.mean(1, keepdim=True)).sum(-1)).reshape(1, 1, 4, 6)
    own = functional.interpolate(cells, (32, 48), mode="bilinear")[0, 0].detach().numpy()
    found = sightline.explain(classifier, TRANSFORMER[0], "grad-cam", target=1, layer="sum_1_2")
    assert np.abs(found.map - own).max() <= 1e-5 * max(1e-3, own.max())
    chosen = sightline.explain(classifier, TRANSFORMER[0], "grad-cam", target=1)
    assert chosen.layer in ("norm", "sum_1_2")


# Files


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_file_is_the_model(here: Path, name: str) -> None:
    model = picture_model()
    model.save(here / name)
    classifier = load(str(here / name), labels=["a", "b", "c", "d"])
    with torch.no_grad():
        own = model(PIXELS.permute(0, 2, 3, 1), training=False)
        assert torch.allclose(classifier.raw_scores(PIXELS).softmax(1), own, atol=1e-6)
    assert classifier.preparation.resize == (32, 24)
    assert "does not say how its pictures are prepared" in classifier.notes[0]
    assert len(classifier.weights_sha256) == 64
    assert sightline.explain(classifier, PIXELS[0]).target.label in "abcd"


def test_depthwise_convolutions_as_keras_2_wrote_them(here: Path) -> None:
    import h5py

    model = picture_model()
    model.save(here / "old.h5")
    before = load(str(here / "old.h5")).raw_scores(PIXELS)
    with h5py.File(here / "old.h5", "r+") as opened:
        config = json.loads(opened.attrs["model_config"])
        (depthwise,) = [one for one in config["config"]["layers"] if one["class_name"] == "DepthwiseConv2D"]
        depthwise["config"]["groups"] = 1
        opened.attrs["model_config"] = json.dumps(config)
    written = (here / "old.h5").read_bytes()
    assert torch.equal(load(str(here / "old.h5")).raw_scores(PIXELS), before)
    assert (here / "old.h5").read_bytes() == written
    with h5py.File(here / "old.h5", "r+") as opened:
        depthwise["config"]["groups"] = 2
        opened.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ModelError, match="cannot be loaded by Keras"):
        load(str(here / "old.h5"))


def test_files_with_code_are_refused_and_nothing_runs(here: Path) -> None:
    mark = here / "ran"
    given = keras.Input((8, 8, 3))
    poison = keras.Model(given, L.Flatten()(L.Lambda(eval(f"lambda x: (open({str(mark)!r}, 'w'), x)[1]"))(given)))
    mark.unlink(missing_ok=True)
    for name in ("poison.keras", "poison.h5"):
        poison.save(here / name)
        with pytest.raises(ModelError, match=r"code of its own \(Lambda\).*trust=True"):
            load(str(here / name))
        assert not mark.exists()
    wrapped = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.TorchModuleWrapper(nn.Flatten())])
    wrapped.save(here / "torch.keras")
    with pytest.raises(ModelError, match="TorchModuleWrapper"):
        load(str(here / "torch.keras"))


def test_a_lambda_layer_runs_where_the_file_is_trusted(here: Path) -> None:
    given = keras.Input((8, 8, 3))
    model = keras.Model(given, L.Dense(2)(L.Flatten()(L.Lambda(lambda x: x * 2.0, name="twice")(given))))
    model.save(here / "l.keras")
    classifier = load(str(here / "l.keras"), trust=True)
    with torch.no_grad():
        pixels = PIXELS[:, :, :8, :8]
        assert torch.allclose(classifier.raw_scores(pixels), model(pixels.permute(0, 2, 3, 1)), atol=1e-6)


def test_classes_of_the_users_own_are_not_imported_for_a_file(here: Path) -> None:
    model = picture_model()
    model.save(here / "m.keras")
    with zipfile.ZipFile(here / "m.keras") as held:
        parts = {name: held.read(name) for name in held.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1]["module"] = "os"
    with zipfile.ZipFile(here / "m.keras", "w") as held:
        for name, part in (parts | {"config.json": json.dumps(config).encode()}).items():
            held.writestr(name, part)
    with pytest.raises(ModelError, match=r"needs the class Conv2D of os"):
        load(str(here / "m.keras"))


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "no Keras file"), (b"PK\x03\x04 broken", "no Keras file"), (b"\x89HDF\r\n\x1a\n0", "Keras file")],
)
def test_damaged_files_are_refused(here: Path, content: bytes, says: str) -> None:
    (here / "m.keras").write_bytes(content)
    with pytest.raises(ModelError, match=says):
        load(str(here / "m.keras"))
    with pytest.raises(ModelError, match="no file"):
        load(str(here / "not-there.keras"))


def test_an_archive_that_swells_is_refused_before_it_is_read(here: Path) -> None:
    with zipfile.ZipFile(here / "m.keras", "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("config.json", b" " * (80 * 2**20))
    with pytest.raises(ModelError, match=r"refused: it unpacks to 80 MB from 0\.1 MB"):
        load(str(here / "m.keras"))


def test_lists_without_end_are_no_defect(here: Path) -> None:
    with zipfile.ZipFile(here / "m.keras", "w") as held:
        held.writestr("config.json", b"[" * 200_000)
    with pytest.raises(ModelError, match="damaged or no Keras file"):
        load(str(here / "m.keras"))


def test_what_is_checked_is_what_keras_reads(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of HDF5 with a harmless archive behind it: by its name Keras would read the part nobody looked at."""
    mark = here / "ran"
    given = keras.Input((8, 8, 3))
    poison = keras.Model(given, L.Flatten()(L.Lambda(eval(f"lambda x: (open({str(mark)!r}, 'w'), x)[1]"))(given)))
    mark.unlink(missing_ok=True)
    poison.save(here / "both.h5")
    picture_model().save(here / "good.keras")
    with zipfile.ZipFile(here / "good.keras") as good, zipfile.ZipFile(here / "both.h5", "a") as both:
        for name in good.namelist():
            both.writestr(name, good.read(name))
    assert load(str(here / "both.h5"), trust=True).network is not None
    assert not mark.exists()


def test_weights_go_into_the_users_own_model(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = picture_model()
    model.save_weights(here / "w.weights.h5")
    (here / "own_keras.py").write_text(
        "import keras\nL = keras.layers\n"
        "def make():\n"
        "    return keras.Sequential([keras.Input((32, 24, 3)), L.Conv2D(2, 3), L.Flatten(), L.Dense(2)])\n"
    )
    classifier = load(f"{here}/own_keras.py:make")
    assert classifier.gradients
    with pytest.raises(ModelError, match="do not fit"):
        load(f"{here}/own_keras.py:make", weights=here / "w.weights.h5")


# Applications


def test_an_application_with_weights_of_a_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None, classes=5)
    model.save_weights(here / "m.weights.h5")
    classifier = load("keras/mobilenetv2", weights=here / "m.weights.h5")
    pixels = 2 * torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)) - 1
    with torch.no_grad():
        own = model(pixels.permute(0, 2, 3, 1), training=False)
        assert torch.allclose(classifier.raw_scores(pixels).softmax(1), own, atol=1e-5)
    assert (classifier.preparation.mean, classifier.preparation.scale) == ((1.0, 1.0, 1.0), 127.5)
    assert sightline.explain(classifier, pixels[0]).layer == "out_relu"


@pytest.mark.parametrize("name", ["resnet", "inception_v3", "vgg16", "mobilenet_v3", "densenet", "efficientnet"])
def test_preprocess_input_is_the_preparation(name: str) -> None:
    from PIL import Image

    from sightline.images.load import load as read
    from sightline.models.from_keras.preprocessing import preparation_of

    preprocess = getattr(keras.applications, name).preprocess_input
    array = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    pixels, _ = preparation_of(preprocess, (32, 24)).prepare(read(Image.fromarray(array)))
    resized = np.asarray(Image.fromarray(array).resize((24, 32), Image.Resampling.BILINEAR), dtype=np.float32)
    theirs = np.asarray(preprocess(resized[None].copy()))
    assert np.abs(pixels.permute(0, 2, 3, 1).numpy() - theirs).max() < 1e-4
    with pytest.raises(ModelError, match="no plain normalisation"):
        preparation_of(lambda x: x**2, (8, 8))


def test_class_names_are_those_of_decode_predictions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sightline.models.sources import keras as source

    index = {str(i): [f"n{i:08d}", f"golden_thing_{i}"] for i in range(1000)}
    (tmp_path / "index.json").write_text(json.dumps(index))
    utils = sys.modules["keras.src.applications.imagenet_utils"]
    monkeypatch.setattr(utils, "CLASS_INDEX", None)
    monkeypatch.setattr(utils.file_utils, "get_file", lambda *_, **__: str(tmp_path / "index.json"))
    names, notes = source._names(keras.applications.resnet)
    assert (names[207], notes) == ("golden thing 207", ())

    def offline(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(utils, "CLASS_INDEX", None)
    monkeypatch.setattr(utils.file_utils, "get_file", offline)
    names, notes = source._names(keras.applications.resnet)
    assert names is None
    assert "give them with labels" in notes[0]


# Which Keras


def test_another_backend_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for ask in (lambda: load("keras/ResNet50"), lambda: wrap(picture_model())):
        with pytest.raises(ModelError, match=r"Keras runs on jax.*KERAS_BACKEND=torch"):
            ask()


def test_an_old_keras_reads_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keras, "__version__", "3.11.3")
    with pytest.raises(ModelError, match=r"3\.11\.3 can be made to run code.*keras>=3\.15\.1"):
        load(str(tmp_path / "m.keras"))


def test_keras_is_set_to_torch_where_it_is_not_imported_yet(tmp_path: Path) -> None:
    picture_model().save(tmp_path / "m.keras")
    code = f"import sightline; print(sightline.load({str(tmp_path / 'm.keras')!r}).head)"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert ran.stdout.strip() == "softmax", ran.stderr[-800:]


def test_a_missing_keras_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.models.sources import base

    real = base.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "keras" else real(name))
    with pytest.raises(MissingExtraError, match=r"sightline\[keras\]"):
        load("keras/ResNet50")


def test_unknown_applications_are_refused() -> None:
    with pytest.raises(ModelError, match="did you mean 'ResNet50'"):
        load("keras/ResNet5")
    with pytest.raises(ModelError, match=r"not be downloaded|cannot make"):
        load("keras/NASNetMobile")


def transformer() -> Any:
    """Patches, two blocks with attention of several heads, their mean; from a seed, 32 × 24 pixels."""
    keras.utils.set_random_seed(0)
    given = keras.Input((32, 24, 3))
    x = L.Reshape((12, 16), name="tokens")(L.Conv2D(16, 8, strides=8, name="patches")(given))
    for block in ("a", "b"):
        y = L.LayerNormalization(epsilon=1e-6, name=f"{block}_norm1")(x)
        heads = 2 if block == "a" else 4
        x = L.Add(name=f"{block}_sum1")(
            [x, L.MultiHeadAttention(heads, 6, value_dim=5, name=f"{block}_attention")(y, y)]
        )
        y = L.Dense(32, activation="gelu", name=f"{block}_wide")(L.LayerNormalization(name=f"{block}_norm2")(x))
        x = L.Add(name=f"{block}_sum2")([x, L.Dense(16, name=f"{block}_narrow")(y)])
    x = L.GlobalAveragePooling1D()(L.LayerNormalization(name="norm")(x))
    model = keras.Model(given, L.Dense(4, name="head")(x))
    for layer in model.layers:
        for variable in layer.weights:
            if variable.path.endswith("bias"):
                variable.assign(keras.random.normal(variable.shape, 0, 0.1, seed=3))
    return model


@pytest.mark.parametrize(
    "method",
    ["gradient", "integrated-gradients(steps=3)", "grad-cam", "attention-rollout", "attention-relevance", "legrad"],
)
def test_attention_is_that_of_keras(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the same model whose attention Keras itself runs."""
    model = transformer()
    ours = wrap(model)
    assert ours.network.foreign == []
    monkeypatch.delitem(keras_layers._MAKERS, "MultiHeadAttention")
    keras_runs = wrap(model)
    assert keras_runs.network.foreign == ["a_attention", "b_attention"]
    one, other = (sightline.explain(each, PIXELS[0], method, target=2).map for each in (ours, keras_runs))
    assert np.abs(other).max() > 1e-4
    assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max()


def test_relevance_goes_through_attention_and_is_all_there() -> None:
    model = transformer()
    classifier = wrap(model)
    found = sightline.explain(classifier, PIXELS[0], "attn-lrp", target=2)
    assert np.abs(found.map).max() > 1e-3
    with torch.no_grad():
        scores = classifier.raw_scores(PIXELS[:1])[0]
    assert found.numbers["score"] == pytest.approx(float(scores[2]), rel=1e-4)
    kernel = model.get_layer("a_attention").query_dense.kernel
    kernel.assign(kernel.value * 3)  # what is assigned later holds here, too
    with torch.no_grad():
        own = model(PIXELS[:1].permute(0, 2, 3, 1), training=False)[0]
        assert torch.allclose(classifier.raw_scores(PIXELS[:1])[0], own, atol=1e-5)
        assert not torch.allclose(own, scores, atol=1e-3)


@pytest.mark.parametrize("what", [{"use_gate": True}, {"sliding_window": 3}])
def test_attention_that_does_more_is_run_by_keras(what: dict[str, Any]) -> None:
    given = keras.Input((32, 24, 3))
    x = L.Reshape((12, 16))(L.Conv2D(16, 8, strides=8)(given))
    model = keras.Model(
        given, L.Dense(4)(L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 8, name="more", **what)(x, x)))
    )
    classifier = wrap(model)
    assert classifier.network.foreign == ["more"]
    with torch.no_grad():
        own = model(PIXELS.permute(0, 2, 3, 1), training=False)
    assert torch.allclose(classifier.raw_scores(PIXELS).detach(), own, atol=1e-5)
    with pytest.raises(NotSupportedError, match="does not know layer 'more'"):
        sightline.explain(classifier, PIXELS[0], "attn-lrp", target=1)
