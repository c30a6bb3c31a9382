"""How a layer's gradients change with its activations: the Hessian times a vector, by a second backward pass."""

from __future__ import annotations

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from sightline.errors import NotSupportedError
from sightline.models.layers import Layer
from sightline.models.taps import capture
from sightline.models.targets import Target
from sightline.passes.looking import module_of
from sightline.passes.non_finite import finite
from sightline.passes.runner import Runner
from sightline.types import Pixels


def curvature(runner: Runner, pixels: Pixels, layer: Layer, target: Target) -> tuple[torch.Tensor, torch.Tensor]:
    """g = ∂score/∂A and H A, with H = ∂²score/∂A², at a layer, `b K h w` float32 each.

    Raises:
        NotSupportedError: an operation behind the layer can be differentiated only once.
    """
    network, given = module_of(runner.network), runner.given(pixels)
    # The fast kernels of attention cannot be differentiated twice; the plain one gives the same scores.
    with runner.working(), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        with capture(network, [layer.name]) as found:
            score = target.score(runner.run(given)).sum()
        (tensor,) = found[layer.name]
        try:
            (gradient,) = torch.autograd.grad(score, tensor, create_graph=True)
            product = torch.zeros_like(tensor)
            if gradient.requires_grad:  # else the score is linear in the layer
                (second,) = torch.autograd.grad(gradient, tensor, tensor.detach(), allow_unused=True)
                product = product if second is None else second
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise NotSupportedError(
                f"{runner.classifier.name!r} cannot be differentiated twice behind layer {layer.name!r} ({reason}): "
                "use grad-cam, which needs first derivatives only"
            ) from error
        runner.counted(backward=2 * len(given))
    finite(product, "second derivative")
    return layer.grid(finite(gradient.detach(), "gradient")), layer.grid(product.detach())
