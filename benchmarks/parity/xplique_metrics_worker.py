"""What Xplique's metrics say of one map of one network; run by its own interpreter, which has TensorFlow.

Reads `asked.npz` in the folder that it is given, writes `answered.json` beside it (`xplique_metrics.py`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import tensorflow as tf
import torch
from xplique.metrics import Deletion, Insertion, MuFidelity
from xplique.metrics.complexity import Complexity, Sparseness
from xplique.metrics.fidelity import AverageDropMetric, AverageGainMetric, AverageIncreaseMetric
from xplique.wrappers import TorchWrapper

from parity.xplique_metrics import FALLING, SAMPLES, SHARE, STEPS, TARGET, network


def main(folder: Path) -> None:
    """Answer, and write the answers."""
    with np.load(folder / "asked.npz") as asked:
        picture, map, hidden = asked["picture"], asked["map"], asked["hidden"]
    model = TorchWrapper(network(), "cpu", is_channel_first=True)
    one_hot = np.eye(3, dtype=np.float32)[[TARGET]]
    given = {"model": model, "inputs": picture.transpose(0, 2, 3, 1).copy(), "targets": one_hot}
    curves: dict[str, Any] = {"steps": STEPS, "baseline_mode": 0.0, "activation": "softmax"}
    answers = {
        "deletion": Deletion(**given, **curves)(map[None]),
        "insertion": Insertion(**given, **curves)(map[None]),
    }
    metric = MuFidelity(**given, grid_size=6, subset_percent=SHARE, nb_samples=SAMPLES, batch_size=SAMPLES)
    kept = tf.constant(
        1.0 - hidden, tf.float32
    )  # which cells stay, in our draw: a number is let through if it is large
    with patch.object(tf.random, "uniform", lambda *_args, **_more: kept):
        answers["mu-fidelity"] = metric(map[None])
    seen = {
        "average-drop": AverageDropMetric,
        "average-increase": AverageIncreaseMetric,
        "average-gain": AverageGainMetric,
    }
    for name, kind in seen.items():
        target = np.eye(3, dtype=np.float32)[[FALLING if name == "average-drop" else TARGET]]
        answers[name] = kind(**{**given, "targets": target}, activation="softmax").evaluate(np.abs(map)[None])
    answers["gini"], answers["entropy"] = (kind().evaluate(map[None]) for kind in (Sparseness, Complexity))
    (folder / "answered.json").write_text(json.dumps({name: float(value) for name, value in answers.items()}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
