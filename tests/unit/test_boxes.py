"""Boxes around what a map shows: of a result, in the manifest, in `boxes.csv`, and on the page."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sightline.attribution.result import Attribution
from sightline.cli.main import main
from sightline.images.prepare import Preparation
from sightline.models.classifier import wrap
from sightline.runs.explain import explain


class Corner(nn.Module):
    """Evidence for class 1 in one square of the input."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        seen = pixels[:, :, 4:10, 2:8].mean((1, 2, 3))
        return torch.stack([torch.zeros_like(seen), seen], 1)


def in_picture() -> Attribution:
    """An input of 16 × 16, cut from the middle of a picture of 40 × 80 that is halved."""
    model = wrap(Corner(), preparation=Preparation(resize=20, crop=(16, 16)))
    found = explain(model, Image.fromarray(np.full((40, 80, 3), 99, np.uint8)), "gradient", target=1)
    assert isinstance(found, Attribution)
    return found


def test_boxes_masks_and_points_are_in_the_picture() -> None:
    result = in_picture()
    (box,) = result.boxes("fixed(share=0.5)")
    # rows 4 … 9 of the input: 2 cut off above, doubled; columns 2 … 7: 12 cut off on the left
    assert box.box == (28, 12, 40, 24)
    assert box.pixels == 144
    assert box.mass > 0.8
    mask = result.mask("fixed(share=0.5)")
    assert mask.shape == (40, 80)
    assert mask[12:24, 28:40].all()
    assert mask.sum() == 144
    (point,) = result.points()
    assert mask[point.row, point.column]
    assert [one.box for one in result.boxes()] == [box.box]  # Otsu's, in a map of two levels


def test_the_command_writes_and_draws_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["explain", "demo:dog-and-cat", "--method", "grad-cam", "--method", "occlusion", "--target", "cat"]
    command += ["--quiet", "--out", "out", "--boxes"]
    assert main(command) == 0
    records = json.loads((tmp_path / "out" / "manifest.json").read_bytes())["records"]
    rows = list(csv.DictReader((tmp_path / "out" / "boxes.csv").open(encoding="utf-8")))
    assert [len(record["boxes"]) for record in records] == [
        sum(row["method"] == record["method"]["spec"] for row in rows) for record in records
    ]
    assert len(rows) >= 2
    first = rows[0]
    assert (first["picture"], first["target"], first["method"]) == ("demo:dog-and-cat", "cat", "grad-cam")
    assert [int(first[side]) for side in ("left", "top", "right", "bottom")] == [
        records[0]["boxes"][0][side] for side in ("left", "top", "right", "bottom")
    ]
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    drawn = re.findall(r'<div class="box" title="(\d+)% of[^"]*" style="left: ([\d.]+)%', page)
    assert len(drawn) == len(rows)
    assert float(drawn[0][1]) == pytest.approx(100 * int(first["left"]) / 192)
    assert main([*command[:-1]]) == 0  # an earlier run with its boxes is replaced by one without
    assert not (tmp_path / "out" / "boxes.csv").exists()
    assert "boxes" not in json.loads((tmp_path / "out" / "manifest.json").read_bytes())["records"][0]
