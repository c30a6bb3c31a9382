"""Photographs with truth: every form gives the same objects, and a broken file is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.cli.main import main
from sightline.cli.maps import folders_of
from sightline.demo.scenes import PICTURES, render
from sightline.errors import UsageError
from sightline.evaluation.masks import as_mask
from sightline.runs.pictures import given_pictures
from sightline.runs.truth.coco import run_lengths
from sightline.runs.truth.found import entries_of, truth_of
from sightline.runs.truth.given import with_truth
from sightline.runs.truth.maps import maps_of

WIDTH, HEIGHT = 40, 30
BOX = (5, 4, 25, 20)  # left, top, right, bottom: 20 × 16 of 40 × 30


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (WIDTH, HEIGHT), "red").save(folder / name)
    return folder


def coco(segmentation: object = None, **more: object) -> str:
    left, top, right, bottom = BOX
    one = {"image_id": 7, "category_id": 3, "bbox": [left, top, right - left, bottom - top], **more}
    if segmentation is not None:
        one["segmentation"] = segmentation
    images = [{"id": 7, "file_name": "a.png"}]
    return json.dumps({"images": images, "annotations": [one], "categories": [{"id": 3, "name": "dog"}]})


def corners() -> list[float]:
    left, top, right, bottom = BOX
    return [left, top, right, top, right, bottom, left, bottom]


def runs() -> list[int]:
    """The box down the columns: off and on in turn."""
    left, top, right, bottom = BOX
    columns = right - left
    return [left * HEIGHT + top, *([bottom - top, HEIGHT - bottom + top] * (columns - 1)), bottom - top,
            (WIDTH - right) * HEIGHT + HEIGHT - bottom]  # fmt: skip


def packed(counts: list[int]) -> str:
    """COCO's text of runs, from the authors' `rleToString`."""
    text = ""
    for place, count in enumerate(counts):
        number = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits = number & 31
            number >>= 5
            more = number != -1 if bits & 16 else number != 0
            text += chr((bits | 32 if more else bits) + 48)
    return text


def voc() -> str:
    left, top, right, bottom = BOX
    box = f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    hard = f"<object><name>cat</name><difficult>1</difficult><bndbox>{box}</bndbox></object>"
    one = f"<object><name>dog</name><bndbox>{box}</bndbox></object>"
    return f"<annotation><filename>a.png</filename>{one}{hard}</annotation>"


FORMS = {
    "corners.csv": "file,label,x0,y0,x1,y1\na.png,dog,5,4,25,20\n",
    "sizes.csv": "filename;class".replace(";", ",") + ",x,y,w,h\na.png,dog,5,4,20,16\n",
    "boxes.json": coco(),
    "polygons.json": coco([corners()]),
    "runs.json": coco({"size": [HEIGHT, WIDTH], "counts": runs()}),
    "packed.json": coco({"size": [HEIGHT, WIDTH], "counts": packed(runs())}),
    "short.json": json.dumps(
        {"a.png": {"objects": [{"name": "dog", "polygon": list(zip(corners()[::2], corners()[1::2], strict=True))}]}}
    ),
    "a.xml": voc(),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_object(data: Path, name: str) -> None:
    (data / name).write_text(FORMS[name])
    found = entries_of(data, truth_of(data, None), ("cat", "dog"))
    (entry,) = found.entries
    assert entry.target == 1
    mask = as_mask(entry.mask, (HEIGHT, WIDTH))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    assert mask is not None
    assert np.array_equal(mask, expected)
    assert found.difficult == (False,)  # 320 of 1200 pixels


@pytest.mark.parametrize("where", ["masks/a.png", "a_mask.png"])
def test_mask_pictures(data: Path, where: str) -> None:
    white = np.zeros((HEIGHT, WIDTH), np.uint8)
    white[10:20, 10:20] = 255
    (data / where).parent.mkdir(exist_ok=True)
    Image.fromarray(white).save(data / where)
    found = entries_of(data, truth_of(data, None), None)
    (entry,) = found.entries
    assert (entry.target, found.difficult) == ("top", (True,))
    assert Path(entry.path).name == "a.png"
    mask = as_mask(entry.mask, (HEIGHT, WIDTH))
    assert mask is not None
    assert mask.sum() == 100


def test_classes_of_the_truth_are_asked_where_the_network_has_them(data: Path) -> None:
    lines = "a.png,dog,1,1,9,9\na.png,dog,20,1,29,9\na.png,cat,1,20,9,29\na.png,sofa,1,1,9,9\nb.png,sofa,1,1,99,29\n"
    (data / "boxes.csv").write_text("file,label,x0,y0,x1,y1\n" + lines)
    truth = truth_of(data, None)
    found = entries_of(data, truth, ("cat", "dog"))
    assert [(Path(one.path).name, one.target) for one in found.entries] == [
        ("a.png", 1), ("a.png", 0), ("b.png", "top"),
    ]  # fmt: skip
    assert any("names no class of this network" in note for note in found.notes)
    assert any("cut at the edge" in note for note in found.notes)
    both = as_mask(found.entries[0].mask, (HEIGHT, WIDTH))
    assert both is not None
    assert both.sum() == 64 + 72
    assert [one.target for one in entries_of(data, truth, ("cat", "dog"), "top").entries] == ["top", "top"]
    assert len(entries_of(data, truth, ("cat", "dog"), most=1).entries) == 1


WRONG = [
    ("t.csv", "file,label\na.png,dog\n", "its columns are file, label; expected file, x0"),
    ("t.csv", "file,x0,y0,x1,y1\na.png,1,2,x,4\n", "t.csv, line 2: x1 must be a number"),
    ("t.csv", "file,x0,y0,x1,y1\na.png,5,2,1,4\n", "has no inside"),
    ("t.csv", "file,x0,y0,x1,y1\n,5,2,7,4\n", "no picture is named"),
    ("t.csv", "file,x0,y0,x1,y1\n", "holds no box"),
    ("t.csv", "file,x0,y0,x1,y1\na.png,50,2,70,4\n", "a.png: the box (50, 2, 70, 4) lies outside"),
    ("t.csv", "file,x0,y0,x1,y1\nc.png,5,2,7,4\n", "none of the 1 pictures of the truth is in the folder"),
    ("t.json", "{", "is not JSON"),
    ("t.json", "[]", "is no COCO file"),
    ("t.json", coco([[1, 2, 3]]), "annotation 0: a polygon is"),
    ("t.json", coco({"size": [2, 2], "counts": [1]}), "its runs hold 1 pixels, and its size is 2 × 2"),
    ("t.json", coco({"size": [2, 2], "counts": "o"}), "broken at letter 1"),
    ("t.json", coco(image_id=9), "its image_id is none of the images"),
    ("t.json", coco(image_id=[7]), "its image_id is none of the images"),
    ("t.json", coco(category_id=4), "its category_id is none of the categories"),
    ("t.json", coco("none"), "a segmentation is a list of polygons"),
    ("t.json", coco(bbox=[1, 2, -3, 4]), "its size is -3 × 4"),
    ("t.json", coco(bbox=[1, 2, 0, 0]), "holds no object"),
    ("t.json", coco([[90, 90, 99, 90, 99, 99]]), "a.png: its objects lie outside of the picture"),
    ("t.json", coco({"size": ["a", 2], "counts": [1]}), "whole numbers"),
    ("t.json", coco({"size": [1 << 40, 1 << 40], "counts": [1 << 80]}), "at most 268,435,456 pixels"),
    ("t.json", json.dumps({"images": [{"id": [1]}], "annotations": []}), "image 0: it has no id, or no file_name"),
    ("t.json", json.dumps({"images": [], "annotations": []}), "holds no object"),
    ("t.json", json.dumps({"a.png": {"objects": []}}), "t.json holds no object"),
    ("t.json", coco([[1e300, 1, 5, 5, 1, 5]]), "annotation 0: a corner must be a number"),
    ("t.json", json.dumps({"a.png": {"objects": ["x"]}}), "an object has a name, and a polygon or a box"),
    ("t.json", json.dumps({"a.png": {"objects": [{"polygon": [1, 2]}]}}), "a list of corners [x, y]"),
    ("t.csv", "file,x0,y0,x1,y1\na.png,0.1,0.2,0.5,0.9\nb.png,0,0,1,1\n", "parts of the picture: multiply x"),
    ("t.csv", "file,x0,y0,x1,y1,x2,y2,x3,y3\na.png,1,1,9,1,9,9,1,9\n", "more than two corners"),
    ("t.csv", "file,x0,y0,x1,y1,label\na.png,1,1,9,9,tiger, cat\n", "line 2: it has not as many cells"),
    ("t.csv", "file,width,height,x0,y0,x1,y1\na.png,80,60,1,1,9,9\n", "is for a picture of 80 × 60"),
    ("t.json", coco(bbox=[0.1, 0.1, 0.5, 0.5]), "parts of the picture: multiply x"),
    ("t.json", coco().replace('"id": 7,', '"id": 7, "width": 80, "height": 60,'), "is for a picture of 80 × 60"),
    (
        "t.json",
        json.dumps({"images": [{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "a"}], "annotations": []}),
        "two images have the file_name a",
    ),
    (
        "t.xml",
        voc().replace("<object>", "<size><width>80</width><height>60</height></size><object>", 1),
        "is for a picture of 80 × 60",
    ),
    ("t.xml", voc().replace("<xmax>25</xmax>", "<xmax>2</xmax>"), "xmin 6, ymin 5, xmax 2, ymax 20 has no inside"),
    ("t.xml", "<annotation>", "is not XML"),
    ("t.xml", "<html></html>", "its root is 'html'"),
    ("t.xml", '<!DOCTYPE x [<!ENTITY a "b">]><annotation></annotation>', "declares entities"),
    ("t.xml", "<annotation><object><name>x</name></object></annotation>", "an object has no bndbox"),
]


@pytest.mark.parametrize(("name", "content", "said"), WRONG)
def test_broken_truth_is_refused_with_its_place(data: Path, name: str, content: str, said: str) -> None:
    (data / name).write_text(content)
    with pytest.raises(UsageError) as refused:
        entries_of(data, truth_of(data, None), None)
    assert said in str(refused.value)


@pytest.mark.parametrize("between", [";", "\t"])
def test_other_marks_between_columns(data: Path, between: str) -> None:
    (data / "boxes.csv").write_text(FORMS["corners.csv"].replace(",", between))
    assert len(entries_of(data, truth_of(data, None), ("cat", "dog")).entries) == 1


def test_a_box_without_an_inside_is_left_out_and_told(data: Path) -> None:
    content = json.loads(coco())
    content["annotations"].append({"image_id": 7, "category_id": 3, "bbox": [3, 3, 0, 4]})  # as in COCO's own files
    (data / "t.json").write_text(json.dumps(content))
    found = entries_of(data, truth_of(data, None), ("cat", "dog"))
    assert len(found.entries) == 1
    assert "boxes without an inside (width or height 0) that were left out: 1" in found.notes


def test_truth_of_pictures_that_were_named(data: Path) -> None:
    (data / "boxes.csv").write_text("file,label,x0,y0,x1,y1\na.png,dog,5,4,25,20\nb.png,dog,1,1,9,9\n")
    truth = truth_of(data / "boxes.csv", None)
    one = given_pictures([str(data / "b.png")])
    found = with_truth(one, truth, ("cat", "dog"))
    assert [(Path(entry.path).name, entry.target) for entry in found.entries] == [("b.png", 1)]
    assert with_truth(one, truth, ("cat", "dog"), "cat").entries[0].target == "cat"
    Image.new("RGB", (WIDTH, HEIGHT)).save(data / "bb.png")
    with pytest.raises(UsageError, match=r"know nothing of bb\.png; did you mean b\.png"):
        with_truth(given_pictures([str(data / "bb.png")]), truth, None)


def test_several_forms_ask_which(data: Path) -> None:
    (data / "a.csv").write_text(FORMS["corners.csv"])
    (data / "a.json").write_text(FORMS["boxes.json"])
    with pytest.raises(UsageError, match="say which with --truth"):
        truth_of(data, None)
    assert truth_of(data, data / "a.csv").form == "boxes of a.csv"


def test_run_lengths_are_read_as_they_are_written() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((7, 5)) < 0.4
        flat = mask.T.ravel()
        ends = np.flatnonzero(np.diff(flat.astype(int))) + 1
        counts = np.diff([0, *ends, len(flat)]).tolist()
        counts = [0, *counts] if flat[0] else counts
        for given in (counts, packed(counts)):
            assert np.array_equal(run_lengths({"size": [7, 5], "counts": given}, "here"), mask)


def test_maps_of_another_tool(data: Path, tmp_path: Path) -> None:
    (data / "t.csv").write_text("file,x0,y0,x1,y1\na.png,5,4,25,20\nb.png,5,4,25,20\n")
    entries = entries_of(data, truth_of(data, None), None).entries
    folder = tmp_path / "maps"
    folder.mkdir()
    with pytest.raises(UsageError, match="holds no map of these pictures"):
        maps_of(folder, entries)
    np.save(folder / "b.npy", np.ones((HEIGHT, WIDTH)))
    one, other = maps_of(folder, entries)
    assert one is None
    assert other.shape == (HEIGHT, WIDTH)
    (folder / "a.npy").write_bytes(b"no array")
    with pytest.raises(UsageError, match=r"the map a\.npy is no array"):
        maps_of(folder, entries)


def test_a_map_of_another_tool_is_never_taken_for_another_pictures(data: Path, tmp_path: Path) -> None:
    (data / "t.csv").write_text("file,x0,y0,x1,y1\na.png,5,4,25,20\na.jpg,5,4,25,20\n")
    Image.open(data / "a.png").save(data / "a.jpg")
    entries = entries_of(data, truth_of(data, None), None).entries
    folder = tmp_path / "maps"
    folder.mkdir()
    np.save(folder / "a.npy", np.ones((HEIGHT, WIDTH)))
    with pytest.raises(UsageError, match=r"a\.npy could be the map of 2 pictures of that name: call it a\."):
        maps_of(folder, entries)
    for place, entry in enumerate(entries):
        np.save(folder / f"{Path(entry.path).name}.npy", np.full((HEIGHT, WIDTH), place))
    assert [one.max() for one in maps_of(folder, entries)] == [0, 1]


def test_folders_of_maps_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one/maps", "two/maps", "theirs"):
        Path(name).mkdir(parents=True)
    assert list(folders_of(["one/maps", "two/maps/", "./theirs"])) == ["one/maps", "two/maps/", "theirs"]
    with pytest.raises(UsageError, match="given twice"):
        folders_of(["theirs", "./theirs/"])
    with pytest.raises(UsageError, match="no such folder"):
        folders_of(["ours"])


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Drawn scenes with their masks: the network's own maps, and those of another tool that points at the object."""
    monkeypatch.chdir(tmp_path)
    Path("photos/masks").mkdir(parents=True)
    Path("theirs").mkdir()
    for name in ("dog", "cat", "owl"):
        scene = render(PICTURES[name])
        Image.fromarray(np.asarray(scene.image)).save(f"photos/{name}.png")
        Image.fromarray(np.uint8(255) * scene.masks["object"].astype(np.uint8)).save(f"photos/masks/{name}.png")
        np.save(f"theirs/{name}.npy", scene.masks["object"].astype(np.float32))
    words = ["evaluate", "photos", "--quiet", "--metrics", "pointing-game,relevance-mass", "--out", "run"]
    assert main([*words, "--methods", "grad-cam", "--maps", "theirs"]) == 0
    assert "[theirs]" in capsys.readouterr().out
    found = json.loads(Path("run/comparison.json").read_text())
    mass = next(one for one in found["metrics"] if one["metric"]["name"] == "relevance-mass")
    assert mass["values"]["theirs"] == pytest.approx([1, 1, 1], abs=0.05)
    assert mass["best"] == "theirs"
    assert [one["target"] for one in found["pictures"]] == ["cat", "dog", "owl"]
    assert main([*words, "--maps", "theirs", "--target", "top"]) == 0
    assert "grad-cam" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        "path,class_name,x1,y1,x2,y2\n/elsewhere/a.png,dog,5,4,25,20\n",
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,30,1.0,5,4,25,20\n",
        "image,ymax,xmax,ymin,xmin,name\nC:\\\\x\\\\a.png,20,25,4,5,dog\n",
        "name,label,x,y,width,height\na,dog,5,4,20,16\n",
    ],
)
def test_other_headings_orders_and_paths(data: Path, content: str) -> None:
    (data / "t.csv").write_text(content)
    (entry,) = entries_of(data, truth_of(data, None), ("cat", "dog")).entries
    mask = as_mask(entry.mask, (HEIGHT, WIDTH))
    assert mask is not None
    assert (entry.target, mask.sum()) == (1, 320)
    assert mask[4:20, 5:25].all()


def test_a_voc_file_as_tools_write_it(data: Path) -> None:
    """Floats, no size (written as 0), a part with a box of its own, truncated, difficult as a word, no file name."""
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    content = voc().replace("<filename>a.png</filename>", "<size><width>0</width><height>0</height></size>")
    content = content.replace("<xmin>6</xmin>", "<xmin>6.0</xmin>").replace("<difficult>1<", "<difficult>True<")
    content = content.replace("<object><name>dog</name>", f"<object><name>dog</name><truncated>1</truncated>{part}")
    (data / "a.xml").write_text(content)
    found = entries_of(data, truth_of(data, None), ("cat", "dog"))
    (entry,) = found.entries
    mask = as_mask(entry.mask, (HEIGHT, WIDTH))
    assert mask is not None
    assert mask.sum() == 320
    assert any("marked difficult" in note for note in found.notes)


def test_coco_with_gaps(data: Path) -> None:
    """Ids with gaps, a crowd, a picture without an object, an object between the middles of pixels, no categories."""
    content = json.loads(coco([corners()]))
    content["images"] += [{"id": 900, "file_name": "b.png"}, {"id": 12, "file_name": "c.png"}]
    content["categories"].append({"id": 90, "name": "cat"})
    content["annotations"] += [
        {"image_id": 900, "category_id": 3, "iscrowd": 1, "segmentation": {"size": [30, 40], "counts": [1200]}},
        {"image_id": 7, "category_id": 90, "segmentation": [[3.6, 3.6, 4.4, 3.6, 4.4, 4.4]]},
    ]
    (data / "t.json").write_text(json.dumps(content))
    found = entries_of(data, truth_of(data, None), ("cat", "dog"))
    assert [(Path(one.path).name, one.target) for one in found.entries] == [("a.png", 1)]
    assert "crowds (many objects in one outline) that were left out: 1" in found.notes
    assert "pictures of the truth without an object, which cannot be judged: 2" in found.notes
    assert "objects without the middle of one pixel that were left out: 1" in found.notes
    del content["categories"]
    (data / "t.json").write_text(json.dumps(content))
    found = entries_of(data, truth_of(data, None), ("cat", "dog"))
    assert [one.target for one in found.entries] == ["top"]
    assert any("categories have no names" in note for note in found.notes)


def test_pictures_of_one_name_are_told_apart_by_their_folders(data: Path) -> None:
    for name in ("train", "val"):
        (data / name).mkdir()
        Image.new("RGB", (WIDTH, HEIGHT)).save(data / name / "1.png")
    line = "{},1,1,9,9\n"
    heading = "file,x0,y0,x1,y1\n"
    (data / "t.csv").write_text(heading + line.format("val/1.png"))
    (entry,) = entries_of(data, truth_of(data, None), None).entries
    assert Path(entry.path).parent.name == "val"
    (data / "t.csv").write_text(heading + line.format("1.png"))
    with pytest.raises(UsageError, match=r"1\.png of the truth could be .*train/1\.png or .*val/1\.png"):
        entries_of(data, truth_of(data, None), None)
    (data / "train" / "1.png").unlink()
    (data / "t.csv").write_text(heading + line.format("train/1.png") + line.format("val/1.png").replace("9,9", "5,5"))
    (entry,) = entries_of(data, truth_of(data, None), None).entries  # not the other's object, too
    mask = as_mask(entry.mask, (HEIGHT, WIDTH))
    assert mask is not None
    assert mask.sum() == 16
    (data / "val" / "1.png").rename(data / "1.png")
    with pytest.raises(UsageError, match=r"train/1\.png and val/1\.png of the truth would both be 1\.png"):
        entries_of(data, truth_of(data, None), None)


def test_truth_of_a_photograph_that_exif_turns(data: Path) -> None:
    """Stored 40 wide and 30 high, shown 30 wide and 40 high."""
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(data / "a.jpg", exif=exif)
    (data / "t.csv").write_text("file,x0,y0,x1,y1\na.jpg,4,5,20,25\n")
    found = entries_of(data, truth_of(data, None), None)
    mask = as_mask(found.entries[0].mask, (WIDTH, HEIGHT))
    assert mask is not None
    assert mask[5:25, 4:20].all()
    assert "photographs that their EXIF turns: 1; the truth is read as that of the upright picture" in found.notes
    sized = "file,width,height,x0,y0,x1,y1\na.jpg,{},{},4,5,20,25\n"
    (data / "t.csv").write_text(sized.format(30, 40))
    assert not entries_of(data, truth_of(data, None), None).notes
    (data / "t.csv").write_text(sized.format(40, 30))
    with pytest.raises(UsageError, match="for the picture as it is stored"):
        entries_of(data, truth_of(data, None), None)


def classes(palette: bool) -> Image.Image:
    """A mask as Pascal VOC draws it: class 8, whose colour is dark, and a border of void."""
    numbers = np.zeros((HEIGHT, WIDTH), np.uint8)
    numbers[9:21, 9:21] = 255
    numbers[10:20, 10:20] = 8
    image = Image.fromarray(numbers, "L")
    if palette:
        image = image.convert("P")
        colours = np.zeros((256, 3), np.uint8)
        colours[8], colours[255] = (64, 0, 0), (224, 224, 192)
        image.putpalette(colours.tobytes())
        image.putdata(numbers.ravel().tolist())
    return image


def test_mask_pictures_of_every_mode(data: Path) -> None:
    square = np.zeros((HEIGHT, WIDTH), np.uint8)
    square[10:20, 10:20] = 255
    grey = Image.fromarray(square)
    seen = np.dstack([square, square, square, square])
    deep = Image.fromarray(square.astype(np.uint16) * 257)
    images = [grey, grey.convert("1"), grey.convert("P"), grey.convert("RGB"), Image.fromarray(seen), deep]
    images += [classes(palette=True), classes(palette=True).convert("RGB")]
    for image in images:
        image.save(data / "a_mask.png")
        found = entries_of(data, truth_of(data, None), None)
        mask = as_mask(found.entries[0].mask, (HEIGHT, WIDTH))
        assert mask is not None
        assert np.array_equal(mask, square > 0), image.mode
    assert found.notes == ("mask pictures with colours: 1; each but black counts as the object",)


def photograph(*shape: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (classes(palette=False), "more dark grey than white"),
        (Image.fromarray((np.array(classes(palette=False)) > 0).astype(np.uint16) * 255), "no bright pixel"),
        (photograph(HEIGHT, WIDTH, 3), "looks like a photograph"),
        (photograph(HEIGHT, WIDTH), "looks like a photograph"),
        (Image.new("L", (WIDTH + 1, HEIGHT), 255), "a mask of 30 × 41 came for a picture of 30 × 40"),
    ],
)
def test_pictures_that_are_no_mask(data: Path, image: Image.Image, said: str) -> None:
    image.save(data / "a_mask.png")
    with pytest.raises(UsageError, match=said):
        entries_of(data, truth_of(data, None), None)
