"""Transformers of timm and Hugging Face, whole architectures made small: every method finds its layer by itself.

What is refused is refused by name, and a layer whose gradient is zero by construction names one that works.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sightline.attribution.table import METHODS
from sightline.errors import LayerError, NotSupportedError
from sightline.models.targets import Target
from sightline.passes.passes import Passes
from small import picture

CLASSES = 5
SIZE = 64


def timm(name: str, **options: object) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        network: nn.Module = pytest.importorskip("timm").create_model(name, num_classes=CLASSES, **options)
        return network

    return made


def hugging_face(kind: str, **options: object) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        transformers = pytest.importorskip("transformers")
        config = getattr(transformers, f"{kind}Config")(image_size=SIZE, num_labels=CLASSES, **options)
        for suffix in ("ForImageClassificationWithTeacher", "ForImageClassification"):
            if hasattr(transformers, kind + suffix):
                network: nn.Module = getattr(transformers, kind + suffix)(config)
                return network
        raise AssertionError(kind)

    return made


def torchvision_vit() -> nn.Module:
    options = {"image_size": SIZE, "patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 48}
    network: nn.Module = pytest.importorskip("torchvision.models").VisionTransformer(**options, num_classes=CLASSES)
    return network


SMALL = {"img_size": SIZE, "depth": 2}
FEW = {"patch_size": 16, "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 48}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "timm vit": timm("vit_tiny_patch16_224", **SMALL),
    "timm deit": timm("deit_tiny_patch16_224", **SMALL),
    "timm distilled": timm("deit_tiny_distilled_patch16_224", **SMALL),
    "timm registers": timm("vit_small_patch14_reg4_dinov2", **SMALL | {"patch_size": 16, "embed_dim": 48}),
    "timm registers, mean": timm("vit_betwixt_patch16_reg4_gap_256", **SMALL | {"embed_dim": 64, "num_heads": 2}),
    "timm mean": timm("vit_tiny_patch16_224", **SMALL, global_pool="avg", class_token=False),
    "timm swin": timm(
        "swin_tiny_patch4_window7_224", img_size=SIZE, window_size=4, depths=(2, 2), embed_dim=24, num_heads=(2, 4)
    ),
    "torchvision vit": torchvision_vit,
    "hf vit": hugging_face("ViT", **FEW),
    "hf deit": hugging_face("DeiT", **FEW),
    "hf registers": hugging_face("Dinov2WithRegisters", **FEW),
    "hf swin": hugging_face("Swin", patch_size=4, window_size=4, depths=[2, 2], num_heads=[2, 4], embed_dim=24),
}

CHEAP = {
    "integrated-gradients": "(steps=2)",
    "expected-gradients": "(samples=2)",
    "blur-ig": "(steps=2, largest=4)",
    "guided-ig": "(steps=2)",
    "idgi": "(of=integrated-gradients(steps=2))",
    "smooth-grad": "(samples=2)",
    "smooth-grad-squared": "(samples=2)",
    "var-grad": "(samples=2)",
    "xrai": "(steps=1)",
    "smooth-grad-cam-plus-plus": "(samples=2)",
    "score-cam": "(channels=2)",
    "ss-cam": "(samples=1)",
    "is-cam": "(steps=1)",
    "group-cam": "(groups=2)",
    "poly-cam": "(channels=2)",
    "opti-cam": "(steps=1)",
}
SLOW = {"ss-cam", "is-cam", "guided-ig", "xrai", "opti-cam", "poly-cam", "recipro-cam"}
"""Versions of score-cam and of walks, which ask a network nothing that others do not: run on one network only."""
SPECS = [
    f"{name}{CHEAP.get(name, '')}"
    for name in METHODS
    if METHODS.make(name).traits.family in ("gradient", "activation", "attention") or name == "attn-lrp"
]
RULES_FOR_RELU = {"deconvnet", "guided-backpropagation", "deep-lift"}
WINDOWED = {"timm swin", "hf swin"}


@pytest.fixture(scope="module", params=NETWORKS)
def named_network(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = NETWORKS[request.param]()
        with torch.no_grad():
            for parameter in network.parameters():
                noise = torch.randn(parameter.shape)
                parameter.copy_(
                    noise / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 0.5 * parameter + 0.2 * noise
                )
    return request.param, network.eval()


def may_refuse(spec: str, name: str) -> bool:
    """Whether the method is not defined for the network; what no one can know beforehand is not listed."""
    method = METHODS.make(spec)
    windowed = method.traits.family == "attention" and name in WINDOWED
    return windowed or method.name in RULES_FOR_RELU


def test_every_method_runs_without_a_word_about_the_network(named_network: tuple[str, nn.Module]) -> None:
    name, network = named_network
    pixels = picture(SIZE, SIZE, pictures=2)
    wrong = []
    with Passes(network) as passes:
        for spec in SPECS:
            if spec.partition("(")[0] in SLOW and name != "hf vit":
                continue
            try:
                values = METHODS.make(spec)(passes, pixels, 1).values
            except NotSupportedError as refused:
                expected = spec.partition("(")[0] in ("cam", "relevance-cam") or may_refuse(spec, name)
                if not (expected and re.search(r": (use|give) ", str(refused))):
                    wrong.append(f"{spec}: {refused}")
                continue
            if may_refuse(spec, name):
                wrong.append(f"{spec} is not defined here, and gave a map")
            if len(values) != 2 or values.shape[-1] < 4 or not torch.isfinite(values).all():
                wrong.append(f"{spec}: {tuple(values.shape)}")
    assert not wrong, "\n".join(wrong)


PREFIX = {
    "timm vit": 1, "timm deit": 1, "timm distilled": 2, "timm registers": 5, "timm registers, mean": 4, "timm mean": 0,
    "torchvision vit": 1, "hf vit": 1, "hf deit": 2, "hf registers": 5,
}  # fmt: skip
"""Tokens before the cells: class token, distillation token, registers."""
READS_ITS_CLASS_TOKEN = {
    "timm vit",
    "timm deit",
    "timm distilled",
    "timm registers",
    "torchvision vit",
    "hf vit",
    "hf deit",
}
LAST = {
    "timm": "blocks.1",
    "torchvision vit": "encoder.layers.encoder_layer_1",
    "hf vit": "vit.layers.1",
    "hf deit": "deit.layers.1",
}


def test_cells_are_told_from_prefix_tokens(named_network: tuple[str, nn.Module]) -> None:
    name, network = named_network
    view = Passes(network).layer(picture(SIZE, SIZE), None, Target.of(1, 1))
    assert view.layer.prefix == PREFIX.get(name, 0)
    assert (view.layer.height, view.layer.width) == ((8, 8) if name in WINDOWED else (4, 4))
    assert bool(view.gradients.abs().sum((1, 2, 3)).all())


READ = {
    "timm distilled": [0.5] * 2 + [0] * 16,
    "timm registers, mean": [0] * 4 + [1 / 16] * 16,
    "timm mean": [1 / 16] * 16,
    "hf deit": [0.5] * 2 + [0] * 16,
    "hf registers": [1 / 17] + [0] * 4 + [1 / 17] * 16,
}  # fmt: skip
"""The tokens that the score is read from; of the other networks the first alone."""


def test_tokens_that_the_score_is_read_from(named_network: tuple[str, nn.Module]) -> None:
    name, network = named_network
    if name in WINDOWED:
        return
    pixels = picture(SIZE, SIZE, pictures=3)
    found = torch.cat(Passes(network).attention(pixels, Target.of(1, 3), "last", lambda attended: attended.read()))
    expected = READ.get(name, [1] + [0] * (PREFIX[name] + 15))
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float32).expand(3, -1), atol=1e-6)


def test_layer_behind_the_last_attention_is_refused_and_one_before_is_named(
    named_network: tuple[str, nn.Module],
) -> None:
    name, network = named_network
    passes, pixels = Passes(network), picture(SIZE, SIZE)
    if name not in READS_ITS_CLASS_TOKEN:
        assert bool(passes.layer(pixels, None, Target.of(1, 1)).gradients.any())
        return
    last = LAST.get(name, LAST["timm"])
    with pytest.raises(LayerError, match="zero by construction") as refused:
        METHODS.make(f"grad-cam(layer={last})")(passes, pixels, 1)
    works = re.findall(r"'([\w.]+)'", str(refused.value).partition("these work: ")[2])
    assert works
    for layer in works[:2]:
        assert bool(passes.layer(pixels, layer, Target.of(1, 1)).gradients.any())


def test_full_grad_tells_whose_windows_are_whose(named_network: tuple[str, nn.Module]) -> None:
    """Swin runs windows as pictures of a batch: the sums of a batch must be those of its pictures alone."""
    _, network = named_network
    pixels = picture(SIZE, SIZE, pictures=2)
    together: Any = METHODS.make("full-grad")(network, pixels, 1)
    alone: list[Any] = [METHODS.make("full-grad")(network, one, 1) for one in pixels.split(1)]
    missing = torch.cat([maps.numbers["missing_from_score"] for maps in alone])
    assert torch.allclose(together.numbers["missing_from_score"], missing, rtol=1e-3, atol=1e-4)
