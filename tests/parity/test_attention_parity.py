"""LeGrad equals torch-cam's, and rollout vit-explain's formula, where definitions coincide: 1e-4 relative at most."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.attribution.table import METHODS
from small import close, picture

AGREED = 1e-4


def torchvision_vit() -> nn.Module:
    """Two blocks with weights from a seed; torchvision leaves its head at zero."""
    models = pytest.importorskip("torchvision.models")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        options = {"image_size": 32, "patch_size": 8, "num_layers": 3, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 24}
        network: nn.Module = models.VisionTransformer(**options, num_classes=4).eval()
        nn.init.normal_(network.heads.head.weight)
    return network


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("target", [0, 2])
def test_legrad_is_torch_cams(blocks: int, target: int) -> None:
    methods = pytest.importorskip("torchcam.methods")
    network, x = torchvision_vit(), picture(32, 32)
    layers = list(network.encoder.layers)[-blocks:]
    with methods.LeGrad(network, layers) as extractor:
        (theirs,) = extractor(target, network(x), normalized=False)
    assert float(theirs.max()) > 0
    assert close(METHODS.make(f"legrad(blocks={blocks})")(network, x, target).values[0], theirs.detach(), AGREED)


@pytest.mark.parametrize("build", ["sdpa", "eager"])
def test_rollout_and_relevance_from_the_attentions_that_hugging_face_gives(build: str) -> None:
    transformers = pytest.importorskip("transformers")
    options = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        config = transformers.ViTConfig(
            **options, image_size=32, patch_size=8, num_labels=4, attn_implementation="eager"
        )
        asked = transformers.ViTForImageClassification(config).eval()
        for weight in asked.parameters():
            nn.init.normal_(weight, std=0.3)
    x = picture(32, 32)
    answer = asked(x, output_attentions=True)
    matrix = flow = torch.eye(17)
    for weights, gradient in zip(
        answer.attentions, torch.autograd.grad(answer.logits[0, 1], answer.attentions), strict=True
    ):
        mixed = (weights[0].mean(0) + torch.eye(17)) / 2
        matrix = mixed @ matrix
        flow = flow + (gradient[0] * weights[0]).clamp(min=0).mean(0) @ flow
    config._attn_implementation = build
    network = transformers.ViTForImageClassification(config).eval()
    network.load_state_dict(asked.state_dict())
    for method, expected in (("attention-rollout", matrix), ("chefer", flow)):
        found = METHODS.make(method)(network, x, 1).values[0, 0]
        assert close(found, expected[0, 1:].reshape(4, 4).detach(), AGREED), method
