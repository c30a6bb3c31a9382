"""Rules of the house that no linter knows: read from the source itself."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "sightline"
HOOKS = ("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook", "register_hook")
GLOBAL_RANDOM = ("manual_seed", "seed", "shuffle", "rand", "randn", "randint", "randperm", "normal", "uniform")


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


def registers_hooks(call: ast.Call) -> bool:
    return name_of(call).split(".")[-1] in HOOKS


def uses_global_random_state(call: ast.Call) -> bool:
    *owner, word = name_of(call).split(".")
    if ".".join(owner) in ("np.random", "numpy.random", "random"):
        return word in GLOBAL_RANDOM
    has_generator = any(keyword.arg == "generator" for keyword in call.keywords)
    return ".".join(owner) == "torch" and word in GLOBAL_RANDOM and not has_generator


def says(call: ast.Call, word: str, value: object) -> bool:
    """Whether a call has this keyword with this constant."""
    return any(k.arg == word and isinstance(k.value, ast.Constant) and k.value.value is value for k in call.keywords)


def unpickles(call: ast.Call) -> bool:
    word = name_of(call)
    if word == "torch.load":
        return not says(call, "weights_only", True)
    *owner, last = word.split(".")
    if last in ("load_module", "unsafe_load", "full_load") or owner[:1] in (
        ["pickle"],
        ["joblib"],
        ["dill"],
        ["shelve"],
    ):
        return True
    return says(call, "allow_pickle", True) or word == "torch.export.load" or says(call, "weights_only", False)


def runs_code_of_a_file(call: ast.Call) -> bool:
    word = name_of(call)
    loads_yaml = word in ("yaml.load", "yaml.load_all", "yaml.unsafe_load")
    loads_keras = word.endswith(("saving.load_model", "models.load_model"))
    unsafe_keras = loads_keras and not any(keyword.arg == "safe_mode" for keyword in call.keywords)
    trusts = any(k.arg == "trust_remote_code" and not says(call, "trust_remote_code", False) for k in call.keywords)
    calls_eval = word in ("eval", "exec", "builtins.eval", "builtins.exec")
    return loads_yaml or unsafe_keras or trusts or says(call, "safe_mode", False) or calls_eval


RULES: dict[str, tuple[Callable[[ast.Call], bool], tuple[str, ...]]] = {
    "hooks are registered in models/taps.py alone": (registers_hooks, ("models/taps.py", "testing/")),
    # torch initialises layers from the global state only; training does so inside `fork_rng`, which puts it back.
    "no global random state": (uses_global_random_state, ("demo/train.py", "testing/networks.py")),
    "nothing is unpickled": (unpickles, ()),
    # The one archive that holds code is opened after its code was read (`models/files/script_safety.py`).
    "TorchScript is opened in one place": (
        lambda call: name_of(call) == "torch.jit.load",
        ("models/sources/torchscript",),
    ),
    "no code of a file is run": (runs_code_of_a_file, ()),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    breaks, allowed = RULES[rule]
    found = [
        f"{place}:{call.lineno} {name_of(call)}"
        for file in sorted(SOURCE.rglob("*.py"))
        if not (place := file.relative_to(SOURCE).as_posix()).startswith(allowed or ("-",))
        for call in calls(ast.parse(file.read_text("utf-8")))
        if breaks(call)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("hooks are registered in models/taps.py alone", "module.register_forward_hook(f)"),
        ("no global random state", "torch.randn(3)"),
        ("no global random state", "np.random.seed(0)"),
        ("nothing is unpickled", "torch.load(path)"),
        ("nothing is unpickled", "torch.load(path, weights_only=False)"),
        ("nothing is unpickled", "np.load(path, allow_pickle=True)"),
        ("nothing is unpickled", "pickle.load(file)"),
        ("nothing is unpickled", "joblib.load(path)"),
        ("nothing is unpickled", "torch.export.load(path)"),
        ("TorchScript is opened in one place", "torch.jit.load(path)"),
        ("no code of a file is run", "yaml.load(text)"),
        ("no code of a file is run", "Auto.from_pretrained(place, trust_remote_code=True)"),
        ("no code of a file is run", "Auto.from_pretrained(place, trust_remote_code=trust)"),
        ("no code of a file is run", "keras.saving.load_model(path)"),
        ("no code of a file is run", "keras.saving.load_model(path, safe_mode=False)"),
        ("no code of a file is run", "eval(text)"),
    ],
)
def test_the_rule_catches_a_broken_twin(rule: str, code: str) -> None:
    breaks, _ = RULES[rule]
    assert any(breaks(call) for call in calls(ast.parse(code)))


def test_torch_is_not_imported_by_the_drawing_room_or_by_the_package_itself() -> None:
    files = [SOURCE / "__init__.py", SOURCE / "spec.py", SOURCE / "types.py", *(SOURCE / "pictures").glob("*.py")]
    for file in files:
        tree = ast.parse(file.read_text("utf-8"))
        for node in tree.body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "torch"], file
