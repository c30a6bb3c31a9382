"""Metrics that explain again, against slow plain loops over the network itself, and broken twins that are caught."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sightline.attribution.result import Attribution
from sightline.errors import NotSupportedError
from sightline.evaluation.evaluate import evaluate
from sightline.evaluation.result import Judgement
from sightline.evaluation.robustness.nearby import Nearby
from sightline.evaluation.sanity.redrawn import from_the_top, redraw
from sightline.evaluation.similarity import similarity
from sightline.models.classifier import wrap
from sightline.models.survey import survey_of
from sightline.models.taps import watch
from sightline.runs.explain import explain
from small import flat, gradient_of, picture, seeded, smooth

TARGET = 2


def explained(model: Any, method: Any, x: torch.Tensor, target: Any = TARGET) -> Attribution:
    found = explain(model, x, method, target=target)
    assert isinstance(found, Attribution)
    return found


def judged(model: Any, metric: str, x: torch.Tensor, method: Any = "gradient", target: Any = TARGET) -> Judgement:
    found = evaluate(model, explained(model, method, x, target), metric)
    assert isinstance(found, Judgement)
    return found


def plain(model: nn.Module, x: torch.Tensor, target: int = TARGET) -> torch.Tensor:
    """The gradient's map by one plain call of autograd, `h w`."""
    return gradient_of(model, x, lambda scores: scores[:, target])[0].sum(0)


# ---- sensitivity and the local Lipschitz estimate --------------------------------------------------------------------


def offsets(x: torch.Tensor, radius: float, samples: int, noise: str = "uniform", seed: int = 0) -> list[torch.Tensor]:
    nearby = Nearby(torch.ones(1), radius, noise, seed, samples)
    return [nearby.offset(place, x) for place in range(samples)]


def test_sensitivity_is_a_loop_over_pictures_nearby() -> None:
    model, x = smooth(), picture(10, 12)
    own = plain(model, x)
    moved = [float((plain(model, x + one) - own).norm() / own.norm()) for one in offsets(x, 0.1, 7, seed=5)]
    fields = "(radius=0.1, samples=7, seed=5)"
    assert judged(model, f"max-sensitivity{fields}", x).value == pytest.approx(max(moved), rel=1e-4)
    assert judged(model, f"average-sensitivity{fields}", x).value == pytest.approx(np.mean(moved), rel=1e-4)
    not_relative = max(float((plain(model, x + one) - own).norm()) for one in offsets(x, 0.1, 7, seed=5))
    assert not_relative != pytest.approx(max(moved), rel=1e-2)  # twins
    assert judged(model, "max-sensitivity(radius=0.1, samples=7, seed=6)", x).value != pytest.approx(max(moved))


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_local_lipschitz_is_the_steepest_of_the_same_loop(relative: bool, noise: str) -> None:
    model, x = smooth(), picture(10, 12)
    own = plain(model, x)
    each = [
        float((plain(model, x + one) - own).norm() / one.norm() / (own.norm() if relative else 1))
        for one in offsets(x, 0.1, 9, noise)
    ]
    found = judged(model, f"local-lipschitz(samples=9, noise={noise}, relative={str(relative).lower()})", x)
    assert found.value == pytest.approx(max(each), rel=1e-4)
    assert found.details["mean"] == pytest.approx(np.mean(each), rel=1e-4)


def test_the_noise_is_what_it_says_and_the_same_however_many_run_at_once() -> None:
    x = picture(40, 40)
    uniform = torch.cat(offsets(x, 0.2, 20))
    assert uniform.abs().max() <= 0.2 < 1.02 * uniform.abs().max()
    assert float(uniform.std()) == pytest.approx(0.2 / 3**0.5, rel=0.02)
    assert float(torch.cat(offsets(x, 0.2, 20, "normal")).std()) == pytest.approx(0.2, rel=0.02)
    nearby = Nearby(torch.ones(1), 0.2, "uniform", 0, 20)
    whole = nearby.make(x, slice(0, 20))
    assert torch.equal(whole[7:12], nearby.make(x, slice(7, 12)))
    assert not torch.equal(whole[0], whole[1])


def test_a_linear_network_moves_no_gradient_and_a_quadratic_one_as_much_as_the_picture() -> None:
    x = picture(6, 7)
    assert judged(flat(6, 7), "max-sensitivity", x).value == 0
    assert judged(flat(6, 7), "local-lipschitz", x).value == 0

    class Half(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            grey = pixels[:, :1]
            return torch.stack([grey.sum((1, 2, 3)) * 0, (grey**2).sum((1, 2, 3)) / 2], 1)

    grey = picture(6, 7)[:, :1]
    found = judged(Half(), "local-lipschitz(relative=false)", grey, target=1)
    assert found.value == pytest.approx(1, rel=1e-4)  # the gradient is the picture itself


def test_what_is_a_part_of_the_range_does_not_depend_on_the_normalisation() -> None:
    model, x = smooth(), picture(10, 12)

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = model

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.inside(pixels / 4)

    from sightline.images.prepare import Preparation

    wide = wrap(Wide(), preparation=Preparation(mean=(0.0,) * 3, std=(0.25,) * 3))
    for metric in ("max-sensitivity(radius=0.1)", "local-lipschitz(samples=5)"):
        assert judged(wide, metric, 4 * x).value == pytest.approx(judged(model, metric, x).value, rel=1e-3)


# ---- stability -------------------------------------------------------------------------------------------------------


def test_stability_is_the_similarity_after_each_change() -> None:
    model, x = smooth(), picture(16, 20)
    own = plain(model, x).numpy()
    down = torch.cat([x[:, :, :1], x[:, :, :-1]], 2)
    right = torch.cat([x[..., :1], x[..., :-1]], 3)
    file = io.BytesIO()
    values = (x[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(values).save(file, "JPEG", quality=90)
    jpeg = torch.from_numpy(np.asarray(Image.open(file), np.float32) / 255).permute(2, 0, 1)[None]
    slow = {
        "down": similarity(own[:-1], plain(model, down).numpy()[1:], "spearman"),
        "right": similarity(own[:, :-1], plain(model, right).numpy()[:, 1:], "spearman"),
        "brighter": similarity(own, plain(model, (x + 0.05).clamp(max=1)).numpy(), "spearman"),
        "darker": similarity(own, plain(model, (x - 0.05).clamp(min=0)).numpy(), "spearman"),
        "jpeg": similarity(own, plain(model, jpeg).numpy(), "spearman"),
    }
    found = judged(model, "stability", x)
    for name, value in slow.items():
        assert found.details[name] == pytest.approx(value, abs=1e-3), name
    assert found.value == pytest.approx(np.mean(list(slow.values())), abs=1e-3)
    not_moved = similarity(own, plain(model, down).numpy(), "spearman")
    assert abs(not_moved - slow["down"]) > 0.1  # a twin that does not move the map along
    with torch.no_grad():
        scores = model(torch.cat([x, down]))
    change = float((scores[1, TARGET] - scores[0, TARGET]).abs() / scores[0].abs().max())
    assert found.details["score down"] == pytest.approx(change, abs=1e-5)


def test_stability_of_other_channels_than_a_jpeg_has_is_refused_and_the_way_out_works() -> None:
    model, x = flat(8, 8, channels=2), torch.rand(1, 2, 8, 8)
    with pytest.raises(NotSupportedError, match="JPEG"):
        judged(model, "stability", x)
    assert judged(model, "stability(changes=brightness, similarity=cosine)", x).value == pytest.approx(1)


# ---- input invariance ------------------------------------------------------------------------------------------------


def shifted(model: nn.Sequential, shift: float) -> nn.Sequential:
    """Kindermans' own form: the first layer's bias takes the shift away (no padding, so it does so exactly)."""
    other = copy.deepcopy(model)
    first = other[0]
    assert isinstance(first, nn.Conv2d)
    assert first.bias is not None
    with torch.no_grad():
        first.bias -= first.weight.sum((1, 2, 3)) * shift
    return other


def unpadded() -> nn.Sequential:
    layers = [nn.Conv2d(3, 5, 3), nn.Tanh(), nn.Conv2d(5, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    made = seeded(nn.Sequential(*layers, nn.Linear(4, 3)))
    assert isinstance(made, nn.Sequential)
    return made


@pytest.mark.parametrize("method", ["gradient", "input-times-gradient", "integrated-gradients(steps=3)", "grad-cam"])
def test_input_invariance_is_that_of_a_first_layer_whose_bias_absorbs_the_shift(method: str) -> None:
    model, x = unpadded(), picture(12, 14)
    target = 1 if method == "grad-cam" else TARGET
    own = explained(model, method, x, target).map
    other = explained(shifted(model, 0.8), method, x + 0.8, target).map
    slow = float(np.linalg.norm(own - other) / np.linalg.norm(own))
    assert judged(model, "input-invariance(shift=0.8)", x, method, target).value == pytest.approx(slow, abs=1e-4)
    if method in ("gradient", "grad-cam"):
        assert slow < 1e-4
    else:
        assert slow > 0.05


def test_a_layer_that_was_named_is_found_behind_the_shift() -> None:
    model, x = unpadded(), picture(12, 14)
    found = judged(model, "input-invariance", x, "layer-cam(layer=0)")
    assert found.value < 1e-4
    assert found.details["spearman"] == pytest.approx(1, abs=1e-3)


def test_input_invariance_of_a_function_and_of_arrays() -> None:
    x = picture(20, 20)
    method = "occlusion(window=10, stride=10, fill=grey)"
    function = wrap(lambda pixels: torch.stack([pixels[:, 0].mean((1, 2)), pixels[:, 1].amax((1, 2))], 1))
    arrays = wrap(lambda pixels: np.stack([pixels[:, 0].mean((1, 2)), pixels[:, 1].max((1, 2))], 1), takes="array")
    one, other = (judged(model, "input-invariance", x, method, target=1).value for model in (function, arrays))
    assert one == pytest.approx(other, rel=1e-3)
    assert one > 0.01  # grey is no longer grey


# ---- randomisation of parameters -------------------------------------------------------------------------------------


class Branched(nn.Module):
    """Layers defined in another order than they run, one used without a call, one never used, a parameter on top."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.inner = nn.Sequential(nn.Conv2d(6, 6, 1), nn.ReLU())
        self.mixing = nn.Linear(6, 6)
        self.scale = nn.Parameter(torch.ones(1, 3, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.second(torch.tanh(self.first(pixels * self.scale)))
        x = self.inner(self.norm(x)).mean((2, 3))
        return self.head(torch.nn.functional.linear(x, self.mixing.weight, self.mixing.bias))


def order_of(model: nn.Module, x: torch.Tensor) -> list[str]:
    with watch(model) as events, torch.no_grad():
        model(x)
    return from_the_top(model, survey_of(events, x))


def test_layers_are_ordered_as_they_run_and_what_is_not_called_follows_its_neighbour() -> None:
    names = order_of(seeded(Branched()), picture(8, 8))
    assert names[0] == "head"
    assert [name for name in names if name != "mixing"] == ["head", "inner.0", "norm", "second", "first", ""]
    assert names.index("mixing") == 1
    attention = nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(16, 2, 8, batch_first=True))
    names = order_of(attention.eval(), torch.rand(1, 3, 4, 4))
    assert set(names) == {
        f"1.{part}" for part in ("norm2", "linear2", "linear1", "norm1", "self_attn", "self_attn.out_proj")
    }


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(7, 5),
        nn.Linear(7, 5, bias=False),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.ConvTranspose2d(4, 6, 3),
        nn.BatchNorm2d(5),
        nn.LayerNorm(5),
        nn.GroupNorm(2, 4),
        nn.Embedding(5, 3),
    ],
    ids=lambda module: type(module).__name__,
)
def test_what_is_drawn_is_what_torch_draws_for_a_new_layer(module: nn.Module) -> None:
    other = copy.deepcopy(module)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            tensor.fill_(9)
    redraw(module, torch.Generator().manual_seed(11))
    with torch.random.fork_rng():
        torch.manual_seed(11)
        other.reset_parameters()  # type: ignore[operator]
    for key, value in other.state_dict().items():
        assert torch.equal(module.state_dict()[key], value), key


def test_parameters_of_unknown_modules_keep_their_mean_and_deviation() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.randn(4000, generator=torch.Generator().manual_seed(0)) * 0.3 + 2)
            self.many = nn.Parameter(torch.arange(3), requires_grad=False)

    module = Scale()
    before = module.factor.detach().clone()
    redraw(module, torch.Generator().manual_seed(0))
    assert float(module.factor.detach().mean()) == pytest.approx(2, abs=0.03)
    assert float(module.factor.detach().std()) == pytest.approx(0.3, abs=0.02)
    assert not torch.equal(module.factor, before)
    assert torch.equal(module.many, torch.arange(3))


def slow_randomised(model: nn.Module, x: torch.Tensor, names: list[str], order: str, seed: int) -> list[np.ndarray]:
    """The gradient's map after each stage, one layer a stage."""
    other, maps = copy.deepcopy(model).eval(), []
    for place, name in enumerate(names):
        if order == "independent":
            other = copy.deepcopy(model).eval()
        redraw(dict(other.named_modules())[name], torch.Generator().manual_seed(seed * 1_000_003 + place))
        maps.append(plain(other, x).numpy())
    return maps


@pytest.mark.parametrize("order", ["top-down", "bottom-up", "independent"])
@pytest.mark.parametrize("kind", ["spearman", "ssim"])
def test_randomisation_is_a_loop_over_copies(order: str, kind: Any) -> None:
    model, x = seeded(Branched()), picture(14, 15)
    names = order_of(model, x)
    names = names[::-1] if order == "bottom-up" else names
    own = plain(model, x).numpy()
    slow = [similarity(own, map, kind) for map in slow_randomised(model, x, names, order, seed=4)]
    found = judged(model, f"parameter-randomisation(order={order}, similarity={kind}, stages=0, seed=4)", x)
    assert found.curve is not None
    np.testing.assert_allclose(found.curve.y, [1, *slow], atol=2e-3)
    assert found.value == pytest.approx(np.mean(slow), abs=2e-3)
    assert found.details[f"mean {kind}"] == pytest.approx(found.value)
    shown = [key for key in found.details if not key.startswith("mean ")]
    assert shown == [name or "(top level)" for name in names]
    twin = "top-down" if order == "independent" else "independent"
    other = [similarity(own, map, kind) for map in slow_randomised(model, x, names, twin, seed=4)]
    assert np.abs(np.array(other) - slow).max() > 0.02


def test_stages_are_groups_of_layers_and_draw_the_same_as_one_by_one() -> None:
    model, x = seeded(Branched()), picture(14, 15)
    every = judged(model, "parameter-randomisation(stages=0)", x)
    three = judged(model, "parameter-randomisation(stages=3)", x)
    assert every.curve is not None
    assert three.curve is not None
    np.testing.assert_allclose(three.curve.y[1:], every.curve.y[[3, 5, 7]], atol=1e-6)
    assert three.passes.forward == 1 + 1 + 3  # the shared one, the map again, and the stages


def test_a_method_that_does_not_look_at_the_network_does_not_change() -> None:
    """The picture itself as a map: similarity 1 whatever is drawn; eMPRT 0; sensitivity that of the picture."""
    from dataclasses import dataclass

    from sightline.attribution.base import Maps, Method, Needs, Traits

    @dataclass(frozen=True, kw_only=True)
    class Edges(Method):
        """Where the picture has edges."""

        traits = Traits(family="none", needs=Needs.SCORES, cost="none", paper="none", class_sensitive=False)

        def attribute(self, passes: Any, pixels: torch.Tensor, target: Any) -> Maps:
            return Maps(values=(pixels - pixels.roll(1, 2)).abs())

    model, x = seeded(Branched()), picture(14, 15)
    assert judged(model, "parameter-randomisation", x, Edges()).value == pytest.approx(1)
    assert judged(model, "efficient-parameter-randomisation", x, Edges()).value == 0
    assert judged(model, "random-logit", x, Edges()).value == pytest.approx(1)
    assert judged(model, "input-invariance", x, Edges()).value < 1e-5
    assert judged(model, "parameter-randomisation", x).value < 0.6


def test_the_smooth_form_compares_means_over_noisy_copies() -> None:
    model, x = seeded(Branched()), picture(14, 15)
    found = judged(model, "parameter-randomisation(samples=4, spread=0.2, stages=2, order=bottom-up)", x)
    of_smooth = judged(
        model,
        "parameter-randomisation(stages=2, order=bottom-up)",
        x,
        "smooth-grad(of=gradient, samples=4, spread=0.2)",
    )
    assert found.value == pytest.approx(of_smooth.value, abs=1e-6)
    assert found.value != pytest.approx(judged(model, "parameter-randomisation(stages=2, order=bottom-up)", x).value)


def test_the_efficient_form_compares_entropies_with_all_drawn_anew() -> None:
    model, x = seeded(Branched()), picture(14, 15)
    names = order_of(model, x)
    last = slow_randomised(model, x, names, "top-down", seed=2)[-1]

    def entropy(map: np.ndarray) -> float:
        counts, _ = np.histogram(np.abs(map), 20)
        return -sum(count / map.size * np.log(count / map.size) for count in counts if count)

    own = plain(model, x).numpy()
    found = judged(model, "efficient-parameter-randomisation(bins=20, seed=2)", x)
    assert found.details["entropy"] == pytest.approx(entropy(own), abs=0.02)
    slow = (entropy(last) - entropy(own)) / entropy(own)
    assert found.value == pytest.approx(slow, abs=0.02)
    assert entropy(last) != pytest.approx(entropy(own), abs=0.02)


def test_randomisation_after_which_nothing_is_answered_says_so() -> None:
    class Gate(nn.Module):
        """Answers by a factor that is 0 in any new normalisation without its bias."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.norm = nn.LayerNorm(1)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.layer(pixels.mean((2, 3))) * self.norm.bias

    model = Gate()
    with torch.no_grad():
        model.norm.bias.fill_(1)
    found = judged(model, "parameter-randomisation", picture(8, 8), target=1)
    assert any("flat after" in warning for warning in found.warnings)


# ---- another class ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [2, (0, 3)])
def test_random_logit_compares_maps_of_other_classes(target: Any) -> None:
    model, x = smooth(classes=6), picture(14, 15)
    one, against = target if isinstance(target, tuple) else (target, None)

    def map_of(index: int) -> np.ndarray:
        rest = 0 if against is None else plain(model, x, against)
        return (plain(model, x, index) - rest).numpy()

    found = judged(model, "random-logit(classes=3, seed=1)", x, target=target)
    slow = {f"class {k}": similarity(map_of(one), map_of(k), "ssim") for k in range(6) if k not in (one, against)}
    assert len(found.details) == 3
    for name, value in found.details.items():
        assert value == pytest.approx(slow[name], abs=1e-3)
    assert found.value == pytest.approx(np.mean(list(found.details.values())))
    every = judged(model, "random-logit(classes=99)", x, target=target)
    assert set(every.details) == set(slow)
    assert "other classes" in every.warnings[0]


def test_a_flat_map_of_another_class_is_told() -> None:
    class Last(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen = (pixels**2).mean((1, 2, 3))
            return torch.stack([seen, torch.zeros_like(seen) + 0 * seen], 1)

    found = judged(Last(), "random-logit", picture(8, 8), target=0)
    assert found.value == 0
    assert "is flat" in found.warnings[0]


def test_a_network_with_no_other_class_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="no other class"):
        judged(smooth(classes=2), "random-logit", picture(8, 8), target=(0, 1))
