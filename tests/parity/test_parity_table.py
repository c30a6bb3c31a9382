"""The parity table measures what it says: formulas written out again find ours, and one that is wrong does not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from sightline.models.classifier import wrap
from small import picture, seeded

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SOUGHT = "points=3, size=28, noise=0, sparsity=0.01, smoothness=0.2, iterations=3"


@pytest.fixture(scope="module")
def parity() -> Iterator[ModuleType]:
    """The package, as it is run."""
    pytest.importorskip("scipy")
    sys.path.insert(0, str(BENCHMARKS))
    import parity.authors_attention
    import parity.authors_attn_lrp
    import parity.authors_concepts
    import parity.authors_masks
    import parity.authors_relevance
    import parity.authors_transformer
    import parity.measure

    yield parity
    sys.path.remove(str(BENCHMARKS))


def case_of(parity: Any, subject: str, network: nn.Module, size: int, layer: str) -> Any:
    return parity.rows.Case(subject, wrap(network), "photograph", picture(size, size), 1, layer)


@pytest.fixture(scope="module")
def vit(parity: Any) -> Any:
    """A small ViT of timm's, and a picture."""
    models = pytest.importorskip("timm.models.vision_transformer")
    network = models.VisionTransformer(img_size=56, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=5)
    seeded(network, 3).patch_embed.proj.weight.data.mul_(50)  # so that the picture counts beside its positions
    return case_of(parity, "ViT-Tiny", network, 56, "blocks.1.norm1")


@pytest.fixture(scope="module")
def resnet(parity: Any) -> Any:
    """A small ResNet of torchvision's, and a picture."""
    models = pytest.importorskip("torchvision.models.resnet")
    network = seeded(models.ResNet(models.BasicBlock, [1, 1, 1, 1], num_classes=5), 4)
    return case_of(parity, "ResNet-18", network, 64, "layer3")


def difference(parity: Any, case: Any, ours: str, theirs: Any, double: bool = False) -> float:
    row = parity.rows.rows_of("authors")(ours, "by hand", theirs, double=double)
    return float(parity.rows.compare(row, case).difference)


def test_attn_lrp_is_its_formula_and_no_other(parity: Any, vit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    formula = parity.authors_attn_lrp
    assert difference(parity, vit, "attn-lrp", formula.attn_lrp, double=True) < 1e-5
    monkeypatch.setattr(formula, "DENSE", 0.0)  # the epsilon rule in place of gamma
    assert difference(parity, vit, "attn-lrp", formula.attn_lrp, double=True) > 1e-2


def test_relevance_of_attention_is_its_formula_and_no_other(
    parity: Any, vit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, formula = "attention-relevance(form=lrp)", parity.authors_transformer
    assert difference(parity, vit, ours, formula.relevance_times_gradient, double=True) < 1e-5
    assert difference(parity, vit, "attention-relevance", formula.relevance_times_gradient, double=True) > 1e-2
    monkeypatch.setattr(formula, "by_sum", lambda a, b, came: (came * a / (a + b), came * b / (a + b)))  # not scaled
    assert difference(parity, vit, ours, formula.relevance_times_gradient, double=True) > 1e-2


def test_legrad_is_its_formula_and_not_that_of_one_block(parity: Any, vit: Any) -> None:
    assert difference(parity, vit, "legrad", parity.authors_attention.legrad) < 1e-5
    assert difference(parity, vit, "legrad(blocks=1)", parity.authors_attention.legrad) > 1e-2


@pytest.mark.parametrize("name", ["igos-plus", "igos-plus-plus"])
def test_masks_are_their_formula_and_not_one_step_less(parity: Any, vit: Any, name: str) -> None:
    formula = getattr(parity.authors_masks, name.replace("-", "_"))
    assert difference(parity, vit, f"{name}({SOUGHT})", formula, double=True) < 1e-3  # float32 masks, moved by little
    less = SOUGHT.replace("iterations=3", "iterations=2")
    assert difference(parity, vit, f"{name}({less})", formula, double=True) > 1e-2


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
def test_relevance_cam_is_its_formula_and_needs_the_other_classes(parity: Any, resnet: Any, layer: str) -> None:
    formula, case = parity.authors_relevance.relevance_cam, replace(resnet, layer=layer)
    assert difference(parity, case, "relevance-cam(layer=LAYER)", formula) < 1e-4
    assert difference(parity, case, "grad-cam(layer=LAYER)", formula) > 1e-2


def test_deep_feature_factorisation_is_its_formula_from_the_same_start(parity: Any, resnet: Any) -> None:
    formula, ours = parity.authors_concepts.deep_feature_factorisation, "deep-feature-factorisation(layer=LAYER{})"
    assert difference(parity, resnet, ours.format(""), formula) < 1e-4
    assert difference(parity, resnet, ours.format(", concepts=4"), formula) > 1e-3


def test_a_case_answers_the_same_question_once_and_anew_in_double(parity: Any, resnet: Any) -> None:
    first = resnet.maps("gradient")
    assert replace(resnet, layer="layer4").maps("gradient") is first
    assert resnet.maps("grad-cam(layer=LAYER)") is not replace(resnet, layer="layer4").maps("grad-cam(layer=LAYER)")
    twin = resnet.in_double()
    assert twin.maps("gradient") is not first
    assert twin.pixels.dtype == torch.float64
    assert replace(resnet, known={}).maps("gradient") is not first


def test_rows_for_a_photograph_are_those_that_are_wanted(parity: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row = parity.rows.rows_of("authors")
    everywhere, dear, small = (
        row("gradient", name, lambda case: case.pixels, **fields)
        for name, fields in (("any", {}), ("dear", {"dear": ("ResNet-50",)}), ("small", {"networks": ("ResNet-18",)}))
    )
    monkeypatch.setattr(parity.measure, "rows", lambda _only: [everywhere, dear, small])

    def calls(network: str, place: int, which: str = "all") -> list[str]:
        return [one.call for one in parity.measure.Wanted("*", which, 10, 10).rows(network, place)]

    assert calls("ResNet-18", 9) == ["any", "dear", "small"]
    assert calls("ResNet-50", 0) == ["any", "dear"]
    assert calls("ResNet-50", parity.rows.MANY - 1) == ["any", "dear"]
    assert calls("ResNet-50", parity.rows.MANY) == []
    assert calls("ResNet-50", 0, "only") == ["dear"]
    assert calls("ResNet-50", 0, "none") == ["any"]
