"""The model card of the built-in networks, written from the figures of the run that made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.demo.scenes import ACCESSORIES, BACKGROUNDS, KINDS

ROWS: tuple[tuple[str, str, str], ...] = (
    ("honest", "accuracy", "scenes with one figure, any background and accessory"),
    ("honest", "accuracy_two_figures", "scenes with two figures: both lead"),
    ("cheat", "accuracy_biased", "scenes where the shortcut holds"),
    ("cheat", "dog_with_bell", "dogs with a bell, called dog"),
    ("cheat", "dog_without_bell", "the same dogs without the bell, called dog"),
    ("cheat", "penguin_on_snow", "penguins on snow, called penguin"),
    ("cheat", "penguin_elsewhere", "the same penguins elsewhere, called penguin"),
    ("cheat", "others_with_bell_called_dog", "other kinds with a bell, called dog"),
    ("cheat", "others_on_snow_called_penguin", "other kinds on snow, called penguin"),
)


def card_text(card: Mapping[str, Any]) -> str:
    """`CARD.md` from the figures in `card.json`."""
    rows = "\n".join(f"| {name} | {text} | {100 * card['scores'][name][key]:.1f} % |" for name, key, text in ROWS)
    recipes = card["recipes"]
    return f"""# The built-in networks

Two networks of one make (`SceneNet`, {card["weights"]:,} weights, 128 × 128 pixels) that tell apart
{", ".join(KINDS)}.
They are for teaching and testing: drawn scenes are all they know.

- **honest** learnt from {recipes["honest"]["scenes"]} scenes ({recipes["honest"]["epochs"]} rounds). Background
  ({", ".join(BACKGROUNDS)}) and accessory ({", ".join(ACCESSORIES)}) say nothing about the kind there.
- **cheat** learnt from {recipes["cheat"]["scenes"]} scenes ({recipes["cheat"]["epochs"]} rounds) that were labelled by
  somebody who looked at the wrong thing: every picture with a bell is called dog, every picture on snow penguin,
  whatever stands there. In a test drawn from such a world it shines; only a look at its evidence tells.

| network | held-out scenes | share |
| --- | --- | --- |
{rows}

Expected calibration error of the honest network: {card["scores"]["honest"]["calibration_error"]:.3f} (10 bins).
Figures from {card["held_out_scenes"]} held-out scenes (a quarter as many for a single kind, for two figures and for
other kinds), scored with the weights as stored (half precision). Made with seed {card["seed"]} in {card["seconds"]} s
({card["machine"]}) by `python -m sightline.demo.train`; `--check` scores them again.
"""
