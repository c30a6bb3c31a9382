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
from sightline.evaluation.masks import Boxes, as_mask
from sightline.images.prepare import Preparation
from sightline.models.classifier import wrap
from sightline.pictures.marks import Marks, marked
from sightline.pictures.outlines import loops_of_boxes, loops_of_mask, path
from sightline.reports.boxes import truth_path
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
    assert page.count('<svg class="truth"') == 3  # the built-in picture's own mask: on the picture and both maps
    assert "around what a map shows" in page
    assert "where the object is" in page
    assert main([*command[:-1]]) == 0  # an earlier run with its boxes is replaced by one without
    assert not (tmp_path / "out" / "boxes.csv").exists()
    assert "boxes" not in json.loads((tmp_path / "out" / "manifest.json").read_bytes())["records"][0]


def path_of_mask(mask: np.ndarray) -> str:
    return path(loops_of_mask(mask))


def filled(outline: str, size: tuple[int, int]) -> np.ndarray:
    """What a browser fills (even-odd) where a path of straight lines is drawn over a picture: slow and plain."""
    inside = np.zeros(size, bool)
    for loop in filter(None, outline.replace("L", " ").split("M")):
        numbers = [float(word) for word in loop.rstrip("Z").split()]
        corners = [(x * size[1] / 1000, y * size[0] / 1000) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
        part = as_mask(corners, size)
        assert part is not None
        inside ^= part
    return inside


def test_the_outline_of_a_mask_encloses_it() -> None:
    random = np.random.default_rng(0)
    for size in ((1, 1), (3, 5), (17, 9), (40, 23)):
        for share in (0.1, 0.5, 0.9, 1.0):
            mask = random.random(size) < share
            assert np.array_equal(filled(path_of_mask(mask), size), mask), (size, share)
    assert path_of_mask(np.zeros((4, 4), bool)) == ""
    ring = np.ones((9, 9), bool)
    ring[3:6, 3:6] = False
    assert path_of_mask(ring).count("M") == 2


def test_a_large_mask_is_outlined_within_a_cell_and_dust_in_few_words() -> None:
    disk = np.hypot(*np.ogrid[-300:300, -400:400]) < 250
    assert (filled(path_of_mask(disk), disk.shape) ^ disk).mean() < 0.02
    assert len(path_of_mask(np.random.default_rng(1).random((600, 800)) < 0.5)) < 60_000


def test_what_the_truth_is_drawn_from() -> None:
    assert truth_path(None, (40, 80)) == truth_path(False, (40, 80)) == ""
    assert (
        truth_path((20, 10, 60, 30), (40, 80))
        == path(loops_of_boxes([(20, 10, 60, 30)], (40, 80)))
        == ("M250 250L750 250L750 750L250 750Z")
    )
    assert truth_path(Boxes(boxes=[(0, 0, 40, 20), (40, 20, 80, 40)]), (40, 80)).count("M") == 2
    corners = truth_path([(20.0, 10.0), (60.0, 10.0), (60.0, 30.0), (20.0, 30.0)], (40, 80))
    assert filled(corners, (40, 80))[10:30, 20:60].all()


def test_the_truth_is_drawn_beside_boxes_of_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["compare", "demo:dog", "--methods", "grad-cam", "--quiet", "--out", "out", "--metrics"]
    assert main([*command, "iou"]) == 0
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert page.count('<svg class="truth"') == 5  # the picture, one method, three baselines
    assert '<span class="box" title="' in page
    assert main([*command, "gini"]) == 0  # nothing is held against the object: it is not drawn
    assert '<svg class="truth"' not in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_mask_is_taken_beside_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    white = np.zeros((192, 192), np.uint8)
    white[40:90, 30:80] = 255
    Image.fromarray(white).save("mask.png")
    command = ["explain", "demo:dog", "--method", "grad-cam", "--mask", "mask.png", "--quiet", "--out", "out"]
    assert main([*command, "--boxes"]) == 0
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert re.search(r'<path d="M156 208L417 208L417 469L156 469Z"', page)
    assert main(command) == 2  # without boxes or a metric, nothing would use it
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)).save("mask.png")
    capsys.readouterr()
    assert main([*command, "--boxes", "--model", "nowhere.py:make"]) == 2  # before a network is looked for
    assert "looks like a photograph" in capsys.readouterr().err


def test_overlays_carry_the_boxes_and_the_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["explain", "demo:dog-and-cat", "--method", "grad-cam", "--target", "cat", "--quiet", "--out", "out"]
    assert main([*command, "--boxes", "--figure", "out/figure.png"]) == 0
    (record,) = json.loads((tmp_path / "out" / "manifest.json").read_bytes())["records"]
    overlay = np.asarray(Image.open(tmp_path / "out" / record["files"]["overlay"]))
    figure = np.asarray(Image.open(tmp_path / "out" / "figure.png").convert("RGB"))
    for box in record["boxes"]:
        assert (overlay[box["top"], box["left"] : box["right"]] == 255).all()
        assert (overlay[box["top"] : box["bottom"], box["right"] - 1] == 255).all()
    green = np.array([77, 255, 77])
    assert (np.abs(overlay.astype(int) - green).max(-1) < 9).sum() > 20  # the built-in picture knows where the cat is
    assert (np.abs(figure.astype(int) - green).max(-1) < 9).sum() > 20
    assert main(command) == 0
    plain = np.asarray(Image.open(tmp_path / "out" / record["files"]["overlay"]))
    assert not (plain[box["top"], box["left"] : box["right"]] == 255).all()
    assert (np.abs(plain.astype(int) - green).max(-1) < 9).sum() == 0


def test_marks_lie_on_the_edges_and_leave_the_picture_as_it_was() -> None:
    picture = np.full((40, 80, 3), 99, np.uint8)
    marks = Marks(
        boxes=loops_of_boxes([(20, 10, 60, 30), (0, 0, 1, 1)], (40, 80)), truth=loops_of_mask(np.ones((4, 8)) > 0)
    )
    drawn = marked(picture, marks)
    assert (picture == 99).all()
    assert (drawn[10:12, 22:58] == 255).all()  # inside the box, which ends before row 30 and column 60
    assert (drawn[28:30, 22:58] == 255).all()
    assert (drawn[30, 22:58] == 0).all()
    assert (drawn[14:26, 24:56] == 99).all()
    assert (drawn == [77, 255, 77]).all(-1).sum() > 40  # an object as large as the picture is seen, too
    assert marked(picture, Marks()) is picture
    large = marked(np.full((1600, 2400, 3), 99, np.uint8), marks)
    assert (large[405, 1000] == 255).all()  # lines of five pixels in a picture five times as wide as the report's
