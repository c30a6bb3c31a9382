"""Networks by name: every source gives a classifier with its preparation and labels, or one line on what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sightline.errors import MissingExtraError, ModelError, UsageError
from sightline.models import catalogue
from sightline.models.catalogue import load, models
from sightline.models.classifier import Classifier
from sightline.models.sources import base
from sightline.models.weights import sha256_of, sha256_of_file

FACTORIES = """
import torch
from torch import nn
from sightline.models.classifier import wrap
import beside

class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, classes)

    def forward(self, pixels):
        return self.head(self.conv(pixels).mean((2, 3)))

def make(): return Net().train()
def classifier(): return wrap(Net(), labels=["a", "b", "c"], name="own", head="sigmoid")
def function(): return lambda pixels: pixels.mean((2, 3))
def nothing(): pass
def number(): return 7
def fails(): raise RuntimeError("no such file: net.pt")
def asks(size): return Net()
network = Net()
constant = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a module of factories in it."""
    (tmp_path / "factories_here.py").write_text(FACTORIES)
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "broken_here.py").write_text("import not_there_at_all")
    (tmp_path / "wrong_here.py").write_text("def make(:")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("factories_here", "beside", "broken_here", "wrong_here"):
        sys.modules.pop(name, None)


def refused(name: object, says: str, **options: object) -> str:
    """The one line with which a name is refused."""
    with pytest.raises(ModelError, match=says) as caught:
        load(name, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The table of sources


def test_the_table_is_made_without_torch_and_tells_what_is_installed() -> None:
    code = "import sys; from sightline.models.catalogue import models; models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    records = {record["name"]: record for record in models()}
    assert set(records) >= {"demo", "demo/cheat", "torchvision/NAME", "timm/NAME", "hf/ID-or-FOLDER", "MODULE:FACTORY"}
    assert records["demo"]["available"] is True
    assert records["timm/NAME"]["extra"] == "timm"


def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = base.importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in ("timm", "transformers") else real(name)
    )
    for name, extra in (("timm/resnet18", "timm"), ("hf/google/vit", "hf")):
        with pytest.raises(MissingExtraError, match=rf"sightline\[{extra}\]"):
            load(name)
    assert {record["name"]: record["available"] for record in models()}["timm/NAME"] is False


# Unknown names


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("dmeo", "did you mean 'demo'"), ("demo/chaet", "did you mean .*'demo/cheat'"),
        ("tochvision/resnet50", "'torchvision/resnet50'"),
        ("torchvision/resnet5", "did you mean 'resnet50'|did you mean .*'resnet50'"),
        ("torchvision", "as in 'torchvision/resnet50'"),
        ("timm/vit_tinny_patch16_224", "'vit_tiny_patch16_224'"), ("timm/resnet50.a1_in1kk", "'resnet50.a1_in1k'"),
        ("hf/", "as in 'hf/"),
        ("resnet50", "'torchvision/resnet50' or 'timm/resnet50'"), ("qqq", "known are demo"),
        ("", "known are demo"), (7, "by name"),
        ("hf/./not/here", "no folder"), ("hf/a b", "no folder"),
        ("not_a_package_here:make", "no module 'not_a_package_here'"),
        ("no/file.py:make", "no file no/file.py"), (":make", "no factory"), ("os:", "no factory"),
        ("torchvision/fasterrcnn_resnet50_fpn", "unknown torchvision network"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_refused_with_the_nearest_right_words(name: object, says: str) -> None:
    refused(name, says)


# The user's own


@pytest.mark.parametrize(
    "name", ["factories_here:make", "factories_here.py:make", "factories_here:Net", "factories_here:network"]
)
def test_a_users_own_network(folder: Path, name: str) -> None:
    before = list(sys.path)
    classifier = load(name)
    assert sys.path == before
    assert classifier.name == name
    assert classifier.gradients
    assert classifier.labels is None
    assert classifier.weights_sha256 == sha256_of(classifier.network)
    assert classifier.raw_scores(torch.rand(2, 3, 8, 8)).shape == (2, 3)


def test_a_file_in_another_folder_finds_what_stands_beside_it(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "net.py").write_text(FACTORIES.replace("beside", "beside_there"))
    (other / "beside_there.py").write_text("")
    assert load(f"{other}/net.py:make").network is not None
    sys.modules.pop("beside_there")


def test_a_users_own_classifier_keeps_what_it_says(folder: Path) -> None:
    classifier = load("factories_here:classifier")
    assert (classifier.labels, classifier.head, classifier.name) == (("a", "b", "c"), "sigmoid", "own")
    other = load("factories_here:classifier", labels=["x", "y", "z"], head="softmax")
    assert (other.labels, other.head) == (("x", "y", "z"), "softmax")


def test_a_users_own_function_is_forward_only(folder: Path) -> None:
    classifier = load("factories_here:function")
    assert (classifier.network, classifier.gradients, classifier.weights_sha256) == (None, False, None)
    refused("factories_here:function", "gives no nn.Module", weights=folder / "w.pth")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("factories_here:mkae", "did you mean 'make'"), ("factories_here:nothing", "returned nothing"),
        ("factories_here:number", "got 7"),
        ("factories_here:fails", "RuntimeError: no such file: net.pt"), ("factories_here:asks", "TypeError.*size"),
        ("factories_here:constant", "is a int"), ("broken_here:make", "importing broken_here failed.*not_there_at_all"),
        ("broken_here.py:make", "not_there_at_all"), ("wrong_here:make", "SyntaxError"),
        ("wrong_here.py:make", "SyntaxError"),
    ],
)  # fmt: skip
def test_a_factory_that_fails_says_why(folder: Path, name: str, says: str) -> None:
    refused(name, says)


def test_weights_go_into_the_users_own_network(folder: Path) -> None:
    made = load("factories_here:make")
    state = {f"module.{name}": tensor.half() for name, tensor in made.network.state_dict().items()}
    torch.save({"state_dict": state}, folder / "w.th")
    classifier = load("factories_here:make", weights="w.th")
    assert torch.equal(classifier.network.conv.weight, made.network.conv.weight.half().float())
    assert classifier.weights_sha256 == sha256_of_file(folder / "w.th")
    assert classifier.network.training  # as the factory made it
    torch.save({"conv.weight": torch.zeros(4, 3, 3, 3)}, folder / "w.th")
    refused("factories_here:make", "missing: conv.bias", weights="w.th")


def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    assert load("factories_here:make", device="cpu").network is not None
    refused("factories_here:make", "no device 'cuppa'", device="cuppa")
    refused("factories_here:make", "no device 'cuda:99'", device="cuda:99")


# torchvision


def test_a_torchvision_network_with_weights_of_a_file(tmp_path: Path) -> None:
    from torchvision import models as zoo

    network = zoo.squeezenet1_1(weights=None)
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, tmp_path / "w.safetensors")
    classifier = load("torchvision/squeezenet1_1", weights=tmp_path / "w.safetensors")
    assert not classifier.network.training
    assert len(classifier.labels) == 1000
    assert classifier.labels[207] == "golden retriever"
    assert (classifier.preparation.resize, classifier.preparation.crop) == (256, (224, 224))
    assert classifier.head == "softmax"
    assert "IMAGENET1K_V1" in classifier.notes[0]
    own = load("torchvision/squeezenet1_1", weights=tmp_path / "w.safetensors", preparation=classifier.preparation)
    assert own.notes == ()
    refused(
        "torchvision/resnet18",
        "do not fit torchvision/resnet18: missing: conv1.weight, .* unexpected: ",
        weights=tmp_path / "w.safetensors",
    )


def test_another_number_of_classes_is_read_from_the_file(tmp_path: Path) -> None:
    from torchvision import models as zoo

    torch.save(zoo.mobilenet_v3_small(weights=None, num_classes=7).state_dict(), tmp_path / "w.pth")
    classifier = load("torchvision/mobilenet_v3_small", weights=tmp_path / "w.pth")
    assert classifier.labels is None
    with torch.no_grad():
        assert classifier.raw_scores(torch.rand(1, 3, 64, 64)).shape == (1, 7)


def test_networks_with_helper_heads_take_files_with_and_without_them(tmp_path: Path) -> None:
    from torchvision import models as zoo

    network = zoo.googlenet(weights=None, init_weights=False)
    torch.save(network.state_dict(), tmp_path / "with.pth")
    torch.save({k: v for k, v in network.state_dict().items() if not k.startswith("aux")}, tmp_path / "without.pth")
    assert load("torchvision/googlenet", weights=tmp_path / "with.pth").network.aux_logits
    assert not load("torchvision/googlenet", weights=tmp_path / "without.pth").network.aux_logits


def test_weights_that_cannot_be_downloaded_say_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib.error import URLError

    def offline(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    refused("torchvision/squeezenet1_1", "could not be downloaded .*Name or service not known.*--weights FILE")


SHIM = """
import torch
load_library = torch.ops.load_library
def no_cuda(path):
    if "torchvision" in str(path):
        raise OSError("libcudart.so: cannot open shared object file")
    return load_library(path)
torch.ops.load_library = no_cuda
try:
    import torchvision
except RuntimeError as error:
    assert "torchvision::" in str(error), error
else:
    raise SystemExit("the plain import worked: nothing is tested")
from sightline.models.sources.torchvision import import_torchvision
import_torchvision()
from torchvision.models import resnet18, ResNet18_Weights
from PIL import Image
pixels = ResNet18_Weights.DEFAULT.transforms()(Image.new("RGB", (300, 260)))[None]
assert resnet18().eval()(pixels).shape == (1, 1000)
"""


def test_torchvision_works_beside_a_torch_its_operators_do_not_fit() -> None:
    ran = subprocess.run([sys.executable, "-c", SHIM], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]


# timm


def test_a_timm_network_with_weights_of_a_file(tmp_path: Path) -> None:
    import timm

    network = timm.create_model("test_vit")
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, tmp_path / "w.safetensors")
    classifier = load("timm/test_vit", weights=tmp_path / "w.safetensors")
    assert classifier.network.num_prefix_tokens == 1
    assert classifier.labels[207] == "golden retriever"
    assert classifier.preparation.crop == (160, 160)
    assert "timm's for test_vit" in classifier.notes[0]
    torch.save(timm.create_model("test_vit", num_classes=5).state_dict(), tmp_path / "five.pth")
    five = load("timm/test_vit", weights=tmp_path / "five.pth")
    assert five.labels is None
    assert five.network.num_classes == 5


def test_timm_networks_without_pretrained_weights_or_classes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setattr(timm, "create_model", lambda name, **_: nn.Identity())
    nn.Identity.num_classes = 0
    try:
        refused("timm/test_vit", "gives features")
    finally:
        del nn.Identity.num_classes


# Hugging Face


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Vision Transformer in the layout of the hub, with its processor."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    place = tmp_path_factory.mktemp("vit")
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32,
                       patch_size=16, id2label={0: "cat", 1: "dog", 2: "owl"}, label2id={"cat": 0, "dog": 1, "owl": 2},
                       problem_type="multi_label_classification")  # fmt: skip
    ViTForImageClassification(config).save_pretrained(place)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(place)
    return place


def test_a_hugging_face_folder(vit_folder: Path, capfd: pytest.CaptureFixture) -> None:
    classifier = load(f"hf/{vit_folder}")
    assert classifier.labels == ("cat", "dog", "owl")
    assert classifier.head == "sigmoid"
    assert classifier.preparation.resize == (32, 32)
    assert not classifier.network.training
    assert classifier.raw_scores(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    assert capfd.readouterr() == ("", "")
    other = load(f"hf/{vit_folder}", weights=vit_folder / "model.safetensors")
    assert sha256_of(other.network) == classifier.weights_sha256
    assert other.weights_sha256 == sha256_of_file(vit_folder / "model.safetensors")


def test_a_folder_that_does_not_say_how_pictures_are_prepared(vit_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((vit_folder / name).read_bytes())
    refused(f"hf/{tmp_path}", "holds no preprocessor_config.json, which says how pictures are prepared: declare it")
    assert load(f"hf/{tmp_path}", preparation="squash 32, mean 0.5, std 0.5").preparation.resize == (32, 32)


def test_a_checkpoint_without_a_classifier_is_refused(vit_folder: Path, tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    ViTModel(ViTConfig.from_pretrained(vit_folder)).save_pretrained(tmp_path)
    refused(
        f"hf/{tmp_path}",
        "missing: classifier.bias, classifier.weight",
        preparation={"input_size": (3, 32, 32), "mean": (0, 0, 0), "std": (1, 1, 1)},
    )


def test_weights_of_a_file_have_to_fit_a_hugging_face_network(vit_folder: Path, tmp_path: Path) -> None:
    state = load(f"hf/{vit_folder}").network.state_dict()
    torch.save({"model": {name: tensor.half() for name, tensor in state.items()}}, tmp_path / "w.pth")
    assert next(load(f"hf/{vit_folder}", weights=tmp_path / "w.pth").network.parameters()).dtype == torch.float32
    torch.save({**state, "classifier.weight": torch.zeros(5, 16), "more": torch.zeros(1)}, tmp_path / "w.pth")
    says = "of another shape: classifier.weight is 5×16, expected 3×16; unexpected: more"
    refused(f"hf/{vit_folder}", says, weights=tmp_path / "w.pth")


def test_made_up_names_are_no_labels(vit_folder: Path, tmp_path: Path) -> None:
    for file in vit_folder.iterdir():
        text = file.read_bytes()
        for index, name in enumerate((b"cat", b"dog", b"owl")):
            text = text.replace(b'"%s"' % name, b'"LABEL_%d"' % index) if file.name == "config.json" else text
        (tmp_path / file.name).write_bytes(text)
    assert load(f"hf/{tmp_path}").labels is None


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    refused(f"hf/{tmp_path}", "holds no config.json")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    refused(f"hf/{tmp_path}", "no image classifier")
    (tmp_path / "config.json").write_text("{")
    refused(f"hf/{tmp_path}", "cannot be loaded by transformers")
    refused(f"hf/{tmp_path}/config.json", "is a file")


def test_a_hub_id_that_cannot_be_had_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", nowhere)
    monkeypatch.setattr("sightline.models.sources.hub.getproxies", dict)
    refused("hf/nobody/no-such-network", "not be had from the hub .*cannot be reached.*give a folder")
    refused("timm/test_vit", "not be downloaded .*cannot be reached.*--weights FILE")
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False


# The built-in networks


@pytest.mark.parametrize(
    ("name", "rest"), [("demo", "honest"), ("demo/cheat", "cheat"), ("demo-cheat", "cheat"), ("Demo", "honest")]
)
def test_the_built_in_names(name: str, rest: str) -> None:
    assert catalogue._source_of(name) == ("built_in", rest)


def test_the_built_in_networks() -> None:
    honest, cheat = load(), load("demo/cheat")
    assert isinstance(honest, Classifier)
    assert honest.labels == cheat.labels
    assert honest.weights_sha256 != cheat.weights_sha256
    assert honest.preparation.crop == (128, 128)


def test_errors_of_names_are_errors_of_usage() -> None:
    with pytest.raises(UsageError):
        load("qqq")
