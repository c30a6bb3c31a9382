"""What Xplique says of photographs, as files; run by its own interpreter, which has TensorFlow.

torch, torchvision, timm and Sightline's dependencies are those of the environment that asks (`xplique.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import tensorflow as tf
import torch
import xplique.attributions as xp
from torch.quasirandom import SobolEngine
from xplique.attributions.global_sensitivity_analysis.hsic_estimators import BinaryEstimator
from xplique.attributions.global_sensitivity_analysis.replicated_designs import ReplicatedSampler
from xplique.attributions.global_sensitivity_analysis.samplers import Sampler
from xplique.attributions.global_sensitivity_analysis.sobol_estimators import JansenEstimator
from xplique.attributions.gradient_statistics.gradient_statistic import GradientStatistic
from xplique.wrappers import TorchWrapper

from parity.injected import noise_of
from parity.rows import MANY, Case
from parity.subjects import Data, case
from parity.xplique_rows import CELLS, COPIES, RISE, WIDTH
from sightline.attribution.perturbation.rise import CellMasks, Rise
from sightline.attribution.table import METHODS
from sightline.images.segments import Grid
from sightline.images.values import ValueRange


class Design(ReplicatedSampler):
    """Our rows A, B and C of Sobol's method."""

    def __call__(self, dimension: int, nb_design: int) -> Any:
        a, b = SobolEngine(2 * dimension, scramble=True, seed=3).draw(nb_design).split(dimension, 1)
        each = torch.eye(dimension, dtype=torch.bool)[:, None]
        return tf.constant(torch.cat([a, b, torch.where(each, b, a).flatten(0, 1)]).numpy())


class Halves(Sampler):
    """Our rows of HSIC."""

    def __call__(self, dimension: int, nb_design: int) -> Any:
        return tf.constant(SobolEngine(dimension, scramble=True, seed=3).draw(nb_design).round().numpy())


def grid(rows: int) -> Any:
    """A function that cuts a picture into our grid."""

    def cut(picture: Any) -> Any:
        size = torch.zeros(1, 3, *picture.shape[:2])
        return tf.constant(Grid(rows=rows, columns=rows).make(size, ValueRange.unit())[0].numpy(), tf.int32)

    return cut


class Contiguous(TorchWrapper):
    """The wrapper, but pictures lie in memory as everywhere else, so that sums are made in the same order."""

    def np_img_to_torch(self, np_inputs: Any) -> torch.Tensor:
        return torch.from_numpy(np.array(np_inputs)).permute(0, 3, 1, 2).contiguous()


def near(picture: Any, _shown: Any, pictures: Any) -> Any:
    """LIME's kernel of the cosine distance between pictures: exp(−d² / (2 width²))."""
    one, others = tf.reshape(picture, (1, -1)), tf.reshape(pictures, (len(pictures), -1))
    lengths = tf.norm(one, axis=1) * tf.norm(others, axis=1)
    return tf.exp(-((1 - tf.reduce_sum(one * others, 1) / lengths) ** 2) / (2 * WIDTH**2))


class Asked:
    """One case in Xplique's form: pictures `1 h w c`, targets one-hot."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.model = Contiguous(case.network.eval(), "cpu", is_channel_first=True)
        self.picture = case.pixels.permute(0, 2, 3, 1).contiguous().numpy()
        scores = case.network(case.pixels).shape[1]
        self.target = np.eye(scores, dtype=np.float32)[[case.target]]

    def says(self, method: Any) -> np.ndarray[Any, Any]:
        """The map of a method: `c h w` where it has a value a channel, else `h w`."""
        found = np.asarray(method.explain(self.picture, self.target))[0]
        return found.transpose(2, 0, 1).squeeze() if found.ndim == 3 else found

    def gradients(self) -> dict[str, Any]:
        """What stands on gradients."""
        plain = {"reducer": None, "batch_size": 8}
        found = {
            "gradient": self.says(xp.Saliency(self.model, **plain)),
            "input-times-gradient": self.says(xp.GradientInput(self.model, **plain)),
            "integrated-gradients": self.says(xp.IntegratedGradients(self.model, steps=16, **plain)),
        }
        noise = noise_of(f"smooth-grad{COPIES}", self.case.pixels).permute(0, 2, 3, 1).numpy()

        def noisy(inputs: Any, _copies: int, _noise: float) -> Any:
            return inputs + tf.constant(noise)

        with patch.object(GradientStatistic, "_perturb_samples", staticmethod(noisy)):
            for name, cls in (("smooth-grad", xp.SmoothGrad), ("square-grad", xp.SquareGrad), ("var-grad", xp.VarGrad)):
                found[name] = self.says(cls(self.model, nb_samples=len(noise), **plain))
        return found

    def rise(self) -> Any:
        """Rise through our masks."""
        method = METHODS.make(RISE)
        assert isinstance(method, Rise)
        size = self.case.pixels.shape[-2:]
        drawn = CellMasks.draw(method.samples, method.cells, method.shown, size, method.seed)
        masks = drawn.make(slice(0, method.samples))[:, 0, 0, :, :, None].numpy()

        def apply(picture: Any, rows: Any, _value: float) -> tuple[Any, Any]:
            some = tf.gather(tf.constant(masks), rows)
            return some * picture[None], some

        indices = staticmethod(lambda *_given: tf.range(method.samples))
        with patch.object(xp.Rise, "_get_masks", indices), patch.object(xp.Rise, "_apply_masks", staticmethod(apply)):
            return self.says(xp.Rise(self.model, batch_size=16, nb_samples=method.samples))

    def regions(self) -> dict[str, Any]:
        """What stands on hiding regions."""
        shown = (torch.rand(40, CELLS**2, generator=torch.Generator().manual_seed(2)) < 0.5).int()
        shown[0] = 1
        black = np.zeros(3, np.float32)
        given = {
            "batch_size": 16,
            "pertub_func": lambda _count, _samples: tf.constant(shown.numpy()),
            "map_to_interpret_space": grid(CELLS),
            "ref_value": black,
            "nb_samples": len(shown),
        }
        lime = xp.Lime(self.model, similarity_kernel=near, **given)
        # Xplique's kernel has no ½ in it.
        own = xp.Lime(self.model, distance_mode="cosine", kernel_width=WIDTH * 2**0.5, **given)
        shap = {"map_to_interpret_space": grid(2), "ref_value": black, "nb_samples": 64, "batch_size": 16}
        tf.random.set_seed(0)
        return {
            "occlusion": self.says(xp.Occlusion(self.model, 16, patch_size=56, patch_stride=56)),
            "lime": self.says(lime),
            "lime-own-kernel": self.says(own),
            "kernel-shap": self.says(xp.KernelShap(self.model, **shap)),
        }

    def sensitivities(self) -> dict[str, Any]:
        """Sobol's and HSIC's values on the grid, before they are enlarged."""
        found: dict[str, Any] = {}

        class Jansen(JansenEstimator):
            def __call__(self, *given: Any) -> Any:
                found["sobol"] = np.asarray(super().__call__(*given)).squeeze()
                return tf.constant(found["sobol"])

        class Binary(BinaryEstimator):
            def __call__(self, *given: Any) -> Any:
                found["hsic"] = np.asarray(super().__call__(*given)).squeeze()
                return tf.constant(found["hsic"])

        asked = {"grid_size": CELLS, "batch_size": 16}
        self.says(xp.SobolAttributionMethod(self.model, nb_design=4, sampler=Design(), estimator=Jansen(), **asked))
        halves = Halves(binary=True)
        self.says(xp.HsicAttributionMethod(self.model, nb_design=63, sampler=halves, estimator=Binary(), **asked))
        return found


def main(folder: str, weights: str, network: str, photographs: str, first: str, out: str) -> None:
    """Write the answers about one network: `network-photograph.npz`."""
    torch.set_num_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.run_functions_eagerly(True)
    data = Data(Path(folder), Path(weights))
    for place in range(min(MANY, int(photographs), int(first))):
        kept = Path(out) / f"{network}-{data.photographs(int(photographs))[place][0].name}.npz"
        if kept.is_file():
            continue
        asked = Asked(case(data, network, place, int(photographs)))
        found = {**asked.gradients(), "rise": asked.rise(), **asked.regions(), **asked.sensitivities()}
        maps: Any = {name: np.asarray(map, np.float32) for name, map in found.items()}
        np.savez_compressed(kept, **maps)


if __name__ == "__main__":
    main(*sys.argv[1:])
