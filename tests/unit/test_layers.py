"""Layers: the one that suits, in networks of every make; names; what is refused, and what is offered instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import sightline
from sightline.errors import LayerError
from sightline.models.layers import full_name
from sightline.models.taps import capture
from sightline.models.targets import Target
from sightline.passes.clean import LayerView
from sightline.passes.passes import Passes
from sightline.testing.networks import Residual, Tokens, networks, seeded

torchvision = pytest.importorskip("torchvision").models
timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")


def look(network: nn.Module, size: tuple[int, int], name: str | None = None) -> LayerView:
    pixels = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with Passes(network) as passes:
        return passes.layer(pixels, name, Target.of(1))


def made(build: Callable[[], nn.Module]) -> nn.Module:
    """A network with random weights from a seed; a head that begins at zero is given some."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build()
        for parameter in network.parameters():
            if parameter.ndim == 2 and not parameter.any():
                nn.init.normal_(parameter, std=0.02)
    return network


@pytest.mark.parametrize(
    ("name", "size", "layer", "grid"),
    [
        ("resnet18", (96, 128), "layer4", (3, 4)),
        ("resnet50", (64, 96), "layer4", (2, 3)),
        ("vgg16", (64, 96), "features.29", (4, 6)),
        ("alexnet", (96, 128), "features.11", (5, 7)),
        ("densenet121", (64, 96), "features", (2, 3)),
        ("mobilenet_v2", (64, 96), "features", (2, 3)),
        ("squeezenet1_1", (64, 96), "features", (3, 5)),
        ("efficientnet_b0", (64, 96), "features", (2, 3)),
        ("convnext_tiny", (64, 96), "features", (2, 3)),
        ("swin_t", (64, 96), "permute", (2, 3)),
        ("inception_v3", (128, 160), "Mixed_7c", (2, 3)),
        ("googlenet", (64, 96), "inception5b", (2, 3)),
        ("shufflenet_v2_x0_5", (64, 96), "conv5", (2, 3)),
        ("regnet_y_400mf", (64, 96), "trunk_output", (2, 3)),
        ("vit_b_16", (224, 224), "encoder.layers.encoder_layer_11.ln_1", (14, 14)),
        ("mnasnet0_5", (64, 96), "layers", (2, 3)),
        ("mobilenet_v3_small", (64, 96), "features", (2, 3)),
        ("shufflenet_v2_x1_0", (64, 96), "conv5", (2, 3)),
        ("regnet_x_400mf", (64, 96), "trunk_output", (2, 3)),
        ("resnext50_32x4d", (64, 96), "layer4", (2, 3)),
    ],
)
def test_torchvision(name: str, size: tuple[int, int], layer: str, grid: tuple[int, int]) -> None:
    extra = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    view = look(made(lambda: getattr(torchvision, name)(**extra)), size)
    assert (view.layer.name, view.layer.height, view.layer.width) == (layer, *grid)
    assert view.activations.shape[2:] == view.gradients.shape[2:] == grid
    assert view.gradients.any()


@pytest.mark.parametrize(
    ("name", "size", "extra", "layer", "grid", "prefix"),
    [
        ("vit_tiny_patch16_224", (64, 96), {"img_size": (64, 96)}, "blocks.11.norm1", (4, 6), 1),
        ("deit_tiny_distilled_patch16_224", (64, 96), {"img_size": (64, 96)}, "blocks.11.norm1", (4, 6), 2),
        (
            "vit_small_patch14_reg4_dinov2",
            (56, 84),
            {"img_size": (56, 84), "num_classes": 5},
            "blocks.11.norm1",
            (4, 6),
            5,
        ),
        ("vit_little_patch16_reg1_gap_256", (64, 96), {"img_size": (64, 96)}, "blocks", (4, 6), 1),
        ("swin_tiny_patch4_window7_224", (112, 224), {"img_size": (112, 224)}, "norm", (4, 7), 0),
        ("xcit_nano_12_p16_224", (64, 96), {}, "cls_attn_blocks.1.norm1", (4, 6), 1),
        ("twins_svt_small", (64, 96), {"img_size": (64, 96)}, "norm", (2, 3), 0),
        ("pit_ti_224", (224, 224), {}, "transformers.2.blocks.3.norm1", (7, 7), 1),
        ("regnetx_002", (64, 96), {}, "s4", (2, 3), 0),
        ("efficientnet_lite0", (64, 96), {}, "bn2", (2, 3), 0),
        ("repvgg_a0", (64, 96), {}, "stages", (2, 3), 0),
        ("ghostnet_100", (64, 96), {}, "blocks", (2, 3), 0),
        ("poolformer_s12", (64, 96), {}, "stages", (2, 3), 0),
        ("convnext_atto", (64, 96), {}, "stages", (2, 3), 0),
        ("mobilevit_xxs", (64, 96), {}, "final_conv", (2, 3), 0),
        ("mixer_s32_224", (224, 224), {}, "norm", (7, 7), 0),
        ("resnet10t", (64, 96), {}, "layer4", (2, 3), 0),
        ("edgenext_xx_small", (64, 96), {}, "stages", (2, 3), 0),
        ("levit_128s", (224, 224), {}, "stages", (4, 4), 0),
        ("efficientformerv2_s0", (224, 224), {}, "norm", (7, 7), 0),
        ("deit3_small_patch16_224", (64, 96), {"img_size": (64, 96)}, "blocks.11.norm1", (4, 6), 1),
        ("cait_xxs24_224", (64, 96), {"img_size": (64, 96)}, "blocks_token_only.1.norm1", (4, 6), 1),
        ("fastvit_t8", (64, 96), {}, "final_conv", (2, 3), 0),
        ("pvt_v2_b0", (64, 96), {}, "stages", (2, 3), 0),
        ("cspresnet50", (64, 96), {}, "stages", (2, 3), 0),
        ("ese_vovnet19b_dw", (64, 96), {}, "stages", (2, 3), 0),
        ("eva02_tiny_patch14_224", (56, 84), {"img_size": (56, 84)}, "blocks.11", (4, 6), 1),
        ("dla34", (64, 96), {}, "level5", (2, 3), 0),
        ("mobilenetv4_conv_small", (64, 96), {}, "blocks", (2, 3), 0),
        ("convit_tiny", (224, 224), {}, "blocks.11.norm1", (14, 14), 1),
        ("crossvit_tiny_240", (240, 240), {}, "blocks.2.fusion.1.norm1", (20, 20), 1),
        ("vit_relpos_small_patch16_224", (64, 96), {"img_size": (64, 96)}, "blocks.11", (4, 6), 0),
        ("rexnet_100", (64, 96), {}, "features", (2, 3), 0),
        ("tnt_s_patch16_224", (64, 96), {"img_size": (64, 96)}, "blocks.11.norm_out", (4, 6), 1),
        ("resnetv2_18", (64, 96), {}, "norm", (2, 3), 0),
        ("regnetz_005", (64, 96), {}, "final_conv", (2, 3), 0),
        ("mixnet_s", (64, 96), {}, "bn2", (2, 3), 0),
        ("ese_vovnet19b_slim_dw", (64, 96), {}, "stages", (2, 3), 0),
        ("repvit_m0_9", (64, 96), {}, "stages", (2, 3), 0),
        ("mobileone_s1", (64, 96), {}, "stages", (2, 3), 0),
        ("convnextv2_atto", (64, 96), {}, "stages", (2, 3), 0),
        ("inception_next_atto", (64, 96), {}, "stages", (2, 3), 0),
        ("mobilenetv1_100", (64, 96), {}, "blocks", (2, 3), 0),
        ("test_mambaout", (64, 96), {}, "stages", (2, 3), 0),
        ("starnet_s050", (64, 96), {}, "norm", (2, 3), 0),
        ("hgnetv2_b0", (64, 96), {}, "stages", (2, 3), 0),
        ("gmlp_ti16_224", (224, 224), {}, "norm", (14, 14), 0),
        ("skresnet18", (64, 96), {}, "layer4", (2, 3), 0),
        ("fasternet_t0", (64, 96), {}, "stages", (2, 3), 0),
        ("nf_resnet26", (64, 96), {}, "final_act", (2, 3), 0),
        ("res2net50_14w_8s", (64, 96), {}, "layer4", (2, 3), 0),
        ("gcvit_xxtiny", (224, 224), {}, "stages", (7, 7), 0),
        ("efficientvit_b0", (64, 96), {}, "head.in_conv", (2, 3), 0),
        ("test_vit4", (160, 160), {}, "blocks", (10, 10), 1),
        ("coat_tiny", (64, 96), {"img_size": (64, 96)}, "parallel_blocks.5.norm14", (2, 3), 1),
    ],
)
def test_timm(
    name: str, size: tuple[int, int], extra: dict[str, Any], layer: str, grid: tuple[int, int], prefix: int
) -> None:
    view = look(made(lambda: timm.create_model(name, pretrained=False, **extra)), size)
    assert (view.layer.name, view.layer.height, view.layer.width, view.layer.prefix) == (layer, *grid, prefix)


def test_tokens_that_lie_unit_by_unit_are_no_grid() -> None:
    from timm.models.hiera import Hiera

    network = made(lambda: Hiera((96, 64), num_classes=4, embed_dim=16, num_heads=1, stages=(1, 1, 1, 1))).eval()
    assert look(network, (96, 64)).layer == look(network, (96, 64), "blocks.3").layer
    assert (look(network, (96, 64)).layer.height, look(network, (96, 64)).layer.width) == (3, 2)
    with pytest.raises(LayerError, match=r"'blocks\.1' gives 96×32, no grid over the picture"):
        look(network, (96, 64), "blocks.1")
    # A square moved by 8 pixels along the first row of 8 cells is not moved by one token.
    pixels = torch.zeros(2, 3, 96, 64)
    pixels[0, :, :8, :8] = pixels[1, :, :8, 32:40] = 1.0
    with torch.no_grad(), capture(network, ["blocks.1"]) as found:
        network(torch.cat([torch.zeros(1, 3, 96, 64), pixels]))
    (tokens,) = found["blocks.1"]
    places = (tokens[1:] - tokens[:1]).norm(dim=2).argmax(1).tolist()
    assert places[1] - places[0] != 4


TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SWIN = {"embed_dim": 12, "depths": [1, 1, 2], "num_heads": [1, 2, 2], "window_size": 2, "image_size": (32, 64)}


@pytest.mark.parametrize(
    ("kind", "fields", "size", "layer", "grid", "prefix"),
    [
        ("ViT", {**TINY, "image_size": (32, 48), "patch_size": 8}, (32, 48), "layernorm_before", (4, 6), 1),
        ("DeiT", {**TINY, "image_size": (32, 48), "patch_size": 8}, (32, 48), "layernorm_before", (4, 6), 2),
        ("Swin", {**SWIN, "patch_size": 4}, (32, 64), "swin.layernorm", (2, 4), 0),
        ("Swinv2", {**SWIN, "patch_size": 4}, (32, 64), "swinv2.layernorm", (2, 4), 0),
        ("ConvNext", {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}, (64, 96), "stages.3", (2, 3), 0),
        ("ResNet", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}, (64, 96), "stages.1", (8, 12), 0),
    ],
)
def test_hugging_face(
    kind: str, fields: dict[str, Any], size: tuple[int, int], layer: str, grid: tuple[int, int], prefix: int
) -> None:
    config = getattr(transformers, f"{kind}Config")(**fields)
    view = look(made(lambda: getattr(transformers, f"{kind}ForImageClassification")(config)), size)
    assert view.layer.name.endswith(layer)
    assert (view.layer.height, view.layer.width, view.layer.prefix) == (*grid, prefix)


# ---- names ---------------------------------------------------------------------------------------------------------


def test_brackets_count_from_either_end() -> None:
    known = ["layer1.0.conv1", "layer1.1.conv1", "layer1.10.conv1", "head"]
    assert full_name("layer1[-1].conv1", known) == "layer1.10.conv1"
    assert full_name("layer1[0]", known) == "layer1.0"
    assert full_name("layer1[1].conv1", known) == "layer1.1.conv1"
    assert full_name("layer1[3]", known) == "layer1[3]"
    assert full_name("head", known) == "head"


def test_a_block_counted_from_the_end_is_the_block_itself() -> None:
    network = made(torchvision.resnet18)
    one, other = look(network, (64, 96), "layer4[-1]"), look(network, (64, 96), "layer4.1")
    assert one.layer.name == other.layer.name == "layer4.1"
    assert torch.equal(one.activations, other.activations)


def test_a_shared_relu_is_refused_and_others_are_offered() -> None:
    with pytest.raises(LayerError, match=r"'layer4.2.relu' runs 3 times in one pass.*'layer4'"):
        look(made(torchvision.resnet50), (64, 96), "layer4.2.relu")


class Again(nn.Module):
    """Both of its layers on a grid run twice; behind each run of the second there is a module that runs once."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.head = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Linear(4, 3),
        )
        self.here, self.there = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x) + self.first(x.flip(1))
        x = self.here(self.again(x).relu())
        x = self.there(self.again(x).relu())
        scores: torch.Tensor = self.head(x.mean((2, 3)))
        return scores


@pytest.mark.parametrize("method", ["grad-cam", "score-cam", "excitation-backprop", "craft", "relevance-cam"])
@pytest.mark.parametrize("layer", [None, "again"])
def test_where_every_layer_runs_twice_the_refusal_says_so_and_what_to_do(layer: str | None, method: str) -> None:
    pixels = torch.rand(3, 8, 12, generator=torch.Generator().manual_seed(0))
    says = r"run several times in one pass \('again' 2 times, 'first' 2 times\): put a module of its own.*layer="
    if layer is not None:
        says = f"'again' runs 2 times in one pass.*{says}"
    with pytest.raises(LayerError, match=says):
        sightline.explain(seeded(Again)(), pixels, method, target=1, layer=layer)


class CutOff(Again):
    """No gradient of its scores comes back to any layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.again(self.again(self.first(x))).mean((2, 3)).detach())
        return scores


def test_where_no_gradient_comes_back_layers_that_run_twice_are_not_blamed() -> None:
    pixels = torch.rand(3, 8, 12, generator=torch.Generator().manual_seed(0))
    with pytest.raises(LayerError, match="influences the score by a gradient: use a perturbation method"):
        sightline.explain(seeded(CutOff)(), pixels, "grad-cam", target=1)


def test_a_run_that_has_a_module_of_its_own_behind_it_can_be_looked_at() -> None:
    """By hand: where only a mean and a linear layer follow, the gradient of class 1 is its weights over the cells."""
    network = seeded(Again)()
    here, there = look(network, (8, 12), "here"), look(network, (8, 12), "there")
    assert torch.allclose(there.activations, network.again(here.activations).relu(), atol=1e-6)
    assert torch.allclose(there.gradients[0, :, 3, 4], network.head.weight[1] / 96, atol=1e-6)
    assert not torch.allclose(here.gradients, there.gradients, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("layr4", "runs no layer 'layr4': did you mean 'layer4'"),
        ("layer4[5]", r"runs no layer 'layer4\[5\]'"),
        ("fc", "gives 1000, no grid over the picture.*'layer4'"),
        ("avgpool", "gives 512×1×1, no grid"),
    ],
)
def test_a_layer_that_does_not_suit_is_refused(name: str, words: str) -> None:
    with pytest.raises(LayerError, match=words):
        look(made(torchvision.resnet18), (64, 96), name)


@pytest.mark.parametrize("name", ["norm", "blocks.1", "blocks.1.norm2"])
def test_a_layer_behind_the_last_attention_is_refused_and_a_working_one_is_named(name: str) -> None:
    with pytest.raises(LayerError, match=r"zero by construction.*these work: 'blocks\.1\.norm1'"):
        look(seeded(lambda: Tokens(1))(), (16, 24), name)


def test_the_layer_is_chosen_again_when_the_weights_have_changed() -> None:
    """A new head of zeros tells nothing about the layers; when it is trained, the right one is found."""
    network = seeded(lambda: Tokens(1))()
    weights = network.head.weight.detach().clone()
    with torch.no_grad():
        network.head.weight.zero_()
    assert not look(network, (16, 24)).gradients.any()
    with torch.no_grad():
        network.head.weight.copy_(weights)
    view = look(network, (16, 24))
    assert view.layer.name == "blocks.1.norm1"
    assert view.gradients.any()


class Aside(nn.Module):
    """A branch at the side runs last and is thrown away."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.aside = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        body = self.body(x)
        self.aside(body)
        scores: torch.Tensor = self.head(body.mean((2, 3)))
        return scores


def test_a_layer_that_does_not_lead_to_the_score_is_neither_chosen_nor_taken() -> None:
    assert look(seeded(Aside)(), (8, 12)).layer.name == "body"
    with pytest.raises(LayerError, match=r"'aside' is not on the way.*'body'"):
        look(seeded(Aside)(), (8, 12), "aside")


class Eager(nn.Module):
    """A class token and an attention whose softmax is a module: n × n numbers, which are no grid over the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.softmax = nn.Conv2d(3, 8, 4, stride=4), nn.Softmax(-1)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1)
        y = self.norm(x)[:, None]
        x = x + (self.softmax(y @ y.transpose(-1, -2)) @ y)[:, 0]
        scores: torch.Tensor = self.head(x[:, 0])
        return scores


def test_attention_weights_are_no_grid() -> None:
    view = look(seeded(Eager)(), (16, 16))
    assert (view.layer.name, view.layer.layout, view.layer.prefix) == ("norm", "tokens", 1)


@pytest.mark.parametrize(("height", "width"), [(16, 24), (24, 16), (32, 32), (8, 40)])
def test_channels_last_is_told_from_channels_first(height: int, width: int) -> None:
    network = next(one for one in networks() if one.name == "channels last").build()
    view = look(network, (height, width), "block")
    assert view.layer.layout == "channels-last"
    assert view.activations.shape[2:] == (height // 4, width // 4)


class Cut(nn.Module):
    """A transformer whose patches are cut by no convolution: by Unfold, or by reshaping."""

    def __init__(self, unfold: bool) -> None:
        super().__init__()
        self.unfold = nn.Unfold(4, stride=4) if unfold else None
        self.embed, self.norm, self.head = nn.Linear(48, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        if self.unfold is not None:
            cut = self.unfold(x).transpose(1, 2)
        else:
            cut = x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(b, -1, 48)
        x = self.embed(cut)
        x = torch.cat([x.mean(1, keepdim=True), x], 1)
        y = self.norm(x)
        x = x + (y @ y.transpose(1, 2)).softmax(-1) @ y
        scores: torch.Tensor = self.head(x[:, 0])
        return scores


@pytest.mark.parametrize("unfold", [False, True])
@pytest.mark.parametrize(("height", "width"), [(16, 24), (32, 16), (20, 20)])
def test_patches_cut_by_no_convolution_show_their_grid(unfold: bool, height: int, width: int) -> None:
    network = seeded(lambda: Cut(unfold))()
    view = look(network, (height, width))
    assert (view.layer.name, view.layer.height, view.layer.width, view.layer.prefix) == (
        "norm", height // 4, width // 4, 1,
    )  # fmt: skip
    with torch.no_grad():
        pixels = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        cells = network.embed(nn.functional.unfold(pixels, 4, stride=4).transpose(1, 2))
        own = network.norm(cells)[0, width // 4 + 2]  # second row, third column
    assert torch.allclose(view.activations[0, :, 1, 2], own, atol=1e-5)


def test_channels_that_could_be_rows_are_channels_where_nothing_works_on_the_last_axis() -> None:
    """6 channels of 4 × 3 cells over 8 × 5 pixels could also be 6 × 4 cells of 3 channels, of better proportions."""
    view = look(nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)), (8, 5))
    assert view.layer.layout == "channels-first"
    assert view.activations.shape == (1, 6, 4, 3)


@pytest.mark.parametrize("size", [(97, 61), (33, 100), (63, 224), (1, 60), (224, 33)])
def test_grids_of_odd_sizes_are_grids(size: tuple[int, int]) -> None:
    view = look(seeded(Residual)(), size)
    assert (view.layer.height, view.layer.width) == ((size[0] + 1) // 2, (size[1] + 1) // 2)


def test_views_of_parts_are_the_view_of_all() -> None:
    network, pixels = seeded(Residual)(), torch.rand(5, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    target = Target.of([0, 1, 2, 3, 0])
    with Passes(network) as passes:
        together = passes.layer(pixels, None, target)
    with Passes(network, memory=1) as passes:
        parts = passes.layer(pixels, None, target)
    assert torch.allclose(together.activations, parts.activations, atol=1e-6)
    assert torch.allclose(together.gradients, parts.gradients, atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_inside_a_network_is_passed_over() -> None:
    from torch import nn

    import sightline
    from sightline.errors import LayerError

    scripted = torch.jit.script(nn.Conv2d(3, 8, 3))
    network = nn.Sequential(scripted, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    pixels = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    found = sightline.explain(network, pixels, "grad-cam")
    assert isinstance(found, sightline.Attribution)
    assert found.layer == "1"
    with pytest.raises(LayerError, match=r"no layer '0'.*these work: '1'"):
        sightline.explain(network, pixels, "grad-cam(layer=0)")
