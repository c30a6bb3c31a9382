"""Class activation maps from activations and gradients against slow, plain re-derivations of their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from maps import result_of
from sightline.runs.explain import explain
from sightline.testing.networks import Tokens, seeded
from small import close, picture, pooled, smooth

Grid = np.ndarray
"""`K h w` or `h w` float64."""


def inside(network: nn.Module, place: int, x: torch.Tensor, target: int) -> tuple[Grid, Grid]:
    """Activations and gradients `K h w` of a network split by hand at a layer."""
    activations = network[: place + 1](x).detach().requires_grad_()  # type: ignore[index]
    (gradient,) = torch.autograd.grad(network[place + 1 :](activations)[0, target], activations)  # type: ignore[index]
    return activations.detach()[0].double().numpy(), gradient[0].double().numpy()


def enlarged(low: Grid, x: torch.Tensor) -> torch.Tensor:
    given = torch.tensor(low, dtype=torch.float32)[None, None]
    return functional.interpolate(given, x.shape[-2:], mode="bilinear", align_corners=False)[0, 0]


def slow_plus_plus(a: Grid, g: Grid, form: str) -> Grid:
    """Second and third derivatives of exp(score) as the paper writes them, cell by cell."""
    channels, height, width = a.shape
    low = np.zeros((height, width))
    for k in range(channels):
        total = a[k].sum() / (height * width if form == "mean" else 1)
        alpha = np.zeros((height, width))
        for i in range(height):
            for j in range(width):
                second, third = g[k, i, j] ** 2, g[k, i, j] ** 3
                alpha[i, j] = second / (2 * second + total * third) if g[k, i, j] > 0 else 0
        if form == "author" and alpha.sum() > 0:
            alpha = alpha / alpha.sum()
        if form == "squared":
            alpha = g[k] ** 2
        weight = sum(alpha[i, j] * max(g[k, i, j], 0) for i in range(height) for j in range(width))
        low += (weight / (height * width) if form == "mean" else weight) * a[k]
    return np.maximum(low, 0)


def slow_hires(a: Grid, g: Grid, relu: bool) -> Grid:
    low = np.zeros(a.shape[1:])
    for k in range(len(a)):
        low += a[k] * g[k]
    return np.maximum(low, 0) if relu else low


def slow_element_wise(a: Grid, g: Grid) -> Grid:
    low = np.zeros(a.shape[1:])
    for k in range(len(a)):
        low += np.maximum(a[k] * g[k], 0)
    return low


def slow_xgrad(a: Grid, g: Grid, relu: bool) -> Grid:
    low = np.zeros(a.shape[1:])
    for k in range(len(a)):
        if a[k].sum() != 0:
            low += (a[k] / a[k].sum() * g[k]).sum() * a[k]
    return np.maximum(low, 0) if relu else low


def slow_layer_cam(a: Grid, g: Grid) -> Grid:
    low = np.zeros(a.shape[1:])
    for k in range(len(a)):
        low += np.where(g[k] > 0, g[k], 0) * a[k]
    return np.maximum(low, 0)


def rows_of(a: Grid) -> Grid:
    return np.array([[a[k, i, j] for k in range(len(a))] for i in range(a.shape[1]) for j in range(a.shape[2])])


def slow_eigen(x: Grid, towards: Grid, shape: tuple[int, ...], centred: bool) -> Grid:
    """numpy's SVD; the sign by the stated rule."""
    x = x - x.mean(0) if centred else x
    low = x @ np.linalg.svd(x, full_matrices=False)[2][0]
    return (low if (low * towards).sum() >= 0 else -low).reshape(shape)


def slow_fem(a: Grid, deviations: float) -> Grid:
    low = np.zeros(a.shape[1:])
    for channel in a:
        cells = channel.flatten().tolist()
        mean = sum(cells) / len(cells)
        spread = math.sqrt(sum((cell - mean) ** 2 for cell in cells) / len(cells))
        low += sum(cell > mean + deviations * spread for cell in cells) / len(cells) * channel
    return low


METHODS: dict[str, Callable[[Grid, Grid], Grid]] = {
    "grad-cam-plus-plus": lambda a, g: slow_plus_plus(a, g, "paper"),
    "grad-cam-plus-plus(form=author)": lambda a, g: slow_plus_plus(a, g, "author"),
    "grad-cam-plus-plus(form=mean)": lambda a, g: slow_plus_plus(a, g, "mean"),
    "grad-cam-plus-plus(form=squared)": lambda a, g: slow_plus_plus(a, g, "squared"),
    "hires-cam": lambda a, g: slow_hires(a, g, False),
    "hires-cam(relu=true)": lambda a, g: slow_hires(a, g, True),
    "grad-cam-element-wise": slow_element_wise,
    "xgrad-cam": lambda a, g: slow_xgrad(a, g, True),
    "xgrad-cam(relu=false)": lambda a, g: slow_xgrad(a, g, False),
    "layer-cam": slow_layer_cam,
    "fem": lambda a, g: slow_fem(a, 2),
    "fem(deviations=0.5)": lambda a, g: slow_fem(a, 0.5),
    "eigen-cam": lambda a, g: slow_eigen(rows_of(a), (rows_of(a) ** 2).sum(1), a.shape[1:], False),
    "eigen-cam(centred=true)": lambda a, g: slow_eigen(rows_of(a), (rows_of(a) ** 2).sum(1), a.shape[1:], True),
    "eigen-grad-cam": lambda a, g: slow_eigen(rows_of(a * g), rows_of(a * g).sum(1), a.shape[1:], False),
    "eigen-grad-cam(centred=true)": lambda a, g: slow_eigen(rows_of(a * g), rows_of(a * g).sum(1), a.shape[1:], True),
}
POSITIVE = ("grad-cam-plus-plus", "xgrad-cam")
"""Where activations of both signs make the formula unstable, as the docs say: compared behind ReLU only."""


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_at_every_layer(method: str, place: int) -> None:
    network, x = smooth(), picture(9, 12)
    result = result_of(network, x, method, layer=str(place), target=2)
    expected = enlarged(METHODS[method](*inside(network, place, x, 2)), x)
    assert result.layer == str(place)
    assert close(torch.from_numpy(result.map), expected, 1e-3 if method.startswith(POSITIVE) else 1e-4)
    agnostic = method.startswith(("fem", "eigen-cam"))
    assert (result.passes.forward, result.passes.backward) == (1, 0 if agnostic else 1)
    assert any("both signs" in said for said in result.warnings) == (agnostic or method.startswith(POSITIVE))


@pytest.mark.parametrize("method", METHODS)
def test_behind_relu_and_for_a_batch_with_a_target_each(method: str) -> None:
    network, x = pooled(), picture(11, 8, pictures=2)
    found = explain(network, x, method, layer="1", target=[0, 3])
    assert isinstance(found, list)
    for place, target in ((0, 0), (1, 3)):
        one = x[place : place + 1]
        expected = enlarged(METHODS[method](*inside(network, 1, one, target)), one)
        assert close(torch.from_numpy(found[place].map), expected, 1e-4)
        assert not any("both signs" in said for said in found[place].warnings)


@pytest.mark.parametrize(
    "method", ["layer-cam", "grad-cam-element-wise", "xgrad-cam", "eigen-cam", "fem(deviations=1)"]
)
def test_tokens_are_laid_out_without_the_class_token(method: str) -> None:
    network, x = seeded(lambda: Tokens(1))().eval(), picture(16, 24)
    tokens = torch.cat([network.prefix, network.patch_embed(x).flatten(2).transpose(1, 2)], 1)
    tokens = network.blocks[0](tokens).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network.head(network.norm(network.blocks[1](tokens))[:, 0])[0, 3], tokens)
    a, g = (part[0, 1:].T.reshape(16, 4, 6).detach().double().numpy() for part in (tokens, gradient))
    slow = METHODS.get(method, lambda a, g: slow_fem(a, 1))
    found = result_of(network, x, method, layer="blocks.0", target=3)
    assert close(torch.from_numpy(found.map), enlarged(slow(a, g), x), 1e-3)


def slow_kpca(cells: Grid, kernel: str) -> Grid:
    """The kernel pair by pair, centred by the matrix H = 1 − 1/n, and numpy's eigenvectors."""
    n, channels = cells.shape
    given = cells - cells.mean(0)
    alike = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            product, apart = given[i] @ given[j], ((given[i] - given[j]) ** 2).sum()
            alike[i, j] = {
                "sigmoid": math.tanh(product / channels + 1),
                "rbf": math.exp(-apart / channels),
                "linear": product,
            }[kernel]
    h = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(h @ alike @ h)
    low = math.sqrt(max(values[-1], 0)) * vectors[:, -1]
    return low if (low * (cells**2).sum(1)).sum() >= 0 else -low


@pytest.mark.parametrize("kernel", ["sigmoid", "rbf", "linear"])
@pytest.mark.parametrize("place", [1, 3])
def test_kpca_cam(kernel: str, place: int) -> None:
    network, x = smooth(), picture(9, 12)
    a, _ = inside(network, place, x, 0)
    found = result_of(network, x, f"kpca-cam(kernel={kernel})", layer=str(place), target=0)
    assert close(torch.from_numpy(found.map), enlarged(slow_kpca(rows_of(a), kernel).reshape(a.shape[1:]), x), 1e-4)
    assert found.passes.backward == 0


def test_a_kernel_of_too_many_cells_is_refused() -> None:
    from sightline.errors import NotSupportedError

    with pytest.raises(NotSupportedError, match=r"5000.*eigen-cam"):
        explain(smooth(), picture(50, 100), "kpca-cam(layer=1)", target=0)


def test_channels_that_are_silent_have_no_weight() -> None:
    network, x = pooled(), picture(9, 12)
    with torch.no_grad():
        network[0].bias[:] = -100  # every ReLU is silent
        network[0].bias[2] = 1
    for method, slow in METHODS.items():
        map = torch.from_numpy(result_of(network, x, method, layer="1", target=1).map)
        expected = enlarged(slow(*inside(network, 1, x, 1)), x)
        assert close(map, expected, 1e-4), method


def test_the_share_of_a_cell_is_not_that_of_its_negative_twin() -> None:
    """A broken twin: shares from |gradient|, as if the sign did not matter, give another map."""
    network, x = smooth(), picture(9, 12)
    a, g = inside(network, 3, x, 2)
    found = torch.from_numpy(result_of(network, x, "grad-cam-plus-plus", layer="3", target=2).map)
    assert not close(found, enlarged(slow_plus_plus(a, np.abs(g), "paper"), x), 1e-2)


# ---- noise, other targets, several layers --------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 2])
def test_smooth_grad_cam_plus_plus(place: int) -> None:
    network, x = smooth(), picture(9, 12)
    a, _ = inside(network, place, x, 2)
    generator, sigma = torch.Generator().manual_seed(4), 0.2 * (x.max() - x.min())
    gradients = [inside(network, place, x + sigma * torch.randn(3, 9, 12, generator=generator), 2)[1] for _ in range(5)]
    first, second, third = (sum(g**power for g in gradients) / 5 for power in (1, 2, 3))
    low = np.zeros(a.shape[1:])
    for k in range(len(a)):
        alpha = second[k] / (2 * second[k] + a[k].sum() * third[k])
        low += (alpha * np.maximum(first[k], 0)).sum() * a[k]
    result = result_of(
        network, x, "smooth-grad-cam-plus-plus(samples=5, spread=0.2, seed=4)", layer=str(place), target=2
    )
    assert close(torch.from_numpy(result.map), enlarged(np.maximum(low, 0), x), 1e-3)
    assert (result.passes.forward, result.passes.backward) == (6, 6)


def test_without_noise_it_is_grad_cam_plus_plus() -> None:
    network, x = smooth(), picture(9, 12)
    plain = result_of(network, x, "grad-cam-plus-plus", layer="2", target=0).map
    still = result_of(network, x, "smooth-grad-cam-plus-plus(samples=3, spread=0)", layer="2", target=0).map
    assert close(torch.from_numpy(still), torch.from_numpy(plain), 1e-4)


@pytest.mark.parametrize("weights", ["equal", "likely"])
def test_finer_cam(weights: str) -> None:
    network, x = pooled(), picture(9, 12)
    scores = network(x)[0].detach()
    rivals = sorted((c for c in range(4) if c != 2), key=lambda c: abs(float(scores[c] - scores[2])))[:2]
    shares = scores.softmax(0)[rivals] if weights == "likely" else torch.ones(2)
    shares = 0.7 * shares / shares.sum()
    activations = network[:2](x).detach().requires_grad_()
    found = network[2:](activations)[0]
    score = found[2] - shares[0] * found[rivals[0]] - shares[1] * found[rivals[1]]
    (gradient,) = torch.autograd.grad(score, activations)
    low = (gradient.mean((2, 3), keepdim=True) * activations).sum(1)[0].relu().detach().double().numpy()
    spec = f"finer-cam(classes=2, strength=0.7, weights={weights})"
    result = result_of(network, x, spec, layer="1", target=2)
    assert close(torch.from_numpy(result.map), enlarged(low, x), 1e-4)
    assert (result.passes.forward, result.passes.backward) == (1, 1)
    assert (result.target.index, result.target.against) == (2, None)


def test_finer_cam_of_a_batch_gives_each_picture_its_own_rivals() -> None:
    network, x = pooled(), picture(9, 12, pictures=3)
    together = explain(network, x, "finer-cam(classes=1)", target=[0, 1, 2], layer="1")
    assert isinstance(together, list)
    for place, one in enumerate(together):
        alone = result_of(network, x[place], "finer-cam(classes=1)", target=place, layer="1")
        assert close(torch.from_numpy(one.map), torch.from_numpy(alone.map), 1e-5)


def test_finer_cam_of_a_probability_is_refused() -> None:
    from sightline.errors import NotSupportedError

    with pytest.raises(NotSupportedError, match="such as grad-cam"):
        explain(smooth(), picture(9, 12), "finer-cam(of=occlusion(window=4, stride=4))", target=0)


@pytest.mark.parametrize("join", ["max", "mean"])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_fused_cam(join: str, gamma: float) -> None:
    network, x = smooth(), picture(9, 12)
    each = []
    for place in (1, 3):
        low = slow_layer_cam(*inside(network, place, x, 1))
        low = low / low.max()
        each.append(enlarged(np.tanh(gamma * low) if gamma else low, x))
    expected = {"max": torch.maximum(*each), "mean": (each[0] + each[1]) / 2}[join]
    result = result_of(network, x, f"fused-cam(layers=(1, 3), join={join}, gamma={gamma})", target=1)
    assert close(torch.from_numpy(result.map), expected, 1e-4)
    assert result.layer == "1, 3"
    assert (result.passes.forward, result.passes.backward) == (1, 2)


def test_refine_cam() -> None:
    network, x = smooth(), picture(9, 12)
    expected = torch.ones(9, 12)
    for place in (1, 3):
        low = slow_hires(*inside(network, place, x, 1), relu=False)
        expected *= enlarged((low - low.min()) / (low.max() - low.min()), x)
    result = result_of(network, x, "refine-cam(of=hires-cam, layers=(1, 3))", target=1)
    assert close(torch.from_numpy(result.map), expected, 1e-4)


def test_fused_cam_chooses_the_last_layer_of_each_finer_grid() -> None:
    network, x = smooth(), picture(9, 12)
    chosen = result_of(network, x, "fused-cam", target=1)
    assert chosen.layer == "3, 1"
    named = result_of(network, x, "fused-cam(layers=(3, 1))", target=1)
    assert close(torch.from_numpy(chosen.map), torch.from_numpy(named.map), 1e-5)
    from_the_middle = result_of(network, x, "fused-cam", layer="1", target=1)
    assert from_the_middle.layer == "1"
    assert any("only one layer" in said for said in from_the_middle.warnings)


def test_fused_cam_of_what_looks_at_no_layer_is_refused() -> None:
    from sightline.errors import SpecError

    with pytest.raises(SpecError, match="gradient looks at none"):
        explain(smooth(), picture(9, 12), "fused-cam(of=gradient)", target=0)


def test_a_layer_that_the_shared_pass_did_not_keep_is_asked_for_anew() -> None:
    """Once, another layer's view was given for it."""
    from sightline.models.targets import Target
    from sightline.passes.passes import Passes

    network, x = smooth(), picture(9, 12)
    with Passes(network) as passes, passes.shared(x, layers=["3"]):
        view = passes.layer(x, "1", Target.of(0))
    assert view.layer.name == "1"
    assert torch.allclose(view.activations, network[:2](x).detach(), atol=1e-6)


def test_hires_cam_before_a_normalisation_is_not_passed_off_as_a_map() -> None:
    """What goes into layer normalisation alone has Σ_k g_k A_k = 0 at every cell: rounding errors are no evidence."""
    from sightline.errors import LayerError

    network, x = seeded(lambda: Tokens(1))().eval(), picture(16, 24)
    with pytest.raises(LayerError, match=r"sums to zero.*blocks\.1\.norm1"):
        explain(network, x, "hires-cam(layer=blocks.0)", target=3)
    result = result_of(network, x, "hires-cam", target=3)
    assert np.abs(result.map).max() > 1e-4


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize(("score", "target"), [("rest", 2), ("logit", 2), ("rest", "0-vs-2")])
def test_shapley_cam(place: int, score: str, target: int | str) -> None:
    """The Hessian written out, row by row, in float64."""
    network, x = smooth(), picture(5, 6)
    double = smooth().double()
    activations = double[: place + 1](x.double()).detach()

    def value(a: torch.Tensor) -> torch.Tensor:
        z = double[place + 1 :](a.view_as(activations))[0]
        own = z[2] if target == 2 else z[0] - z[2]
        chance = z.softmax(0)[2] if target == 2 else z.softmax(0)[0] / (z.softmax(0)[0] + z.softmax(0)[2])
        return own + chance.log() if score == "rest" else own

    flat = activations.flatten()
    gradient = torch.autograd.functional.jacobian(value, flat)
    hessian = torch.autograd.functional.hessian(value, flat)
    weights = (gradient - 0.5 * hessian @ flat).view_as(activations).mean((2, 3))[0]
    low = (weights[:, None, None] * activations[0]).sum(0).relu()
    result = result_of(network, x, f"shapley-cam(score={score})", layer=str(place), target=target)
    assert close(torch.from_numpy(result.map), enlarged(low.numpy(), x), 1e-4)
    assert (result.passes.forward, result.passes.backward) == (2, 3)


def test_shapley_cam_of_a_linear_score_is_grad_cam() -> None:
    network, x = pooled(), picture(9, 12)
    for target in range(4):
        plain = torch.from_numpy(result_of(network, x, "grad-cam", layer="1", target=target).map)
        found = torch.from_numpy(result_of(network, x, "shapley-cam(score=logit)", layer="1", target=target).map)
        assert close(found, plain, 1e-5)
    bent = result_of(network, x, "shapley-cam", layer="1", target=1).map
    assert not close(torch.from_numpy(bent), plain, 1e-3)


def test_shapley_cam_of_probabilities_is_refused() -> None:
    from sightline.errors import NotSupportedError

    network = nn.Sequential(*smooth(), nn.Softmax(1))
    with pytest.raises(NotSupportedError, match="score=logit"):
        explain(network, picture(9, 12), "shapley-cam", target=0)
