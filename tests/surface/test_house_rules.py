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


def unpickles(call: ast.Call) -> bool:
    word = name_of(call)
    if word == "torch.load":
        safe = [keyword for keyword in call.keywords if keyword.arg == "weights_only"]
        return not (safe and isinstance(safe[0].value, ast.Constant) and safe[0].value.value is True)
    allows = any(k.arg == "allow_pickle" and getattr(k.value, "value", None) is True for k in call.keywords)
    return word.split(".")[0] in ("pickle", "joblib", "dill") or (word in ("np.load", "numpy.load") and allows)


RULES: dict[str, tuple[Callable[[ast.Call], bool], tuple[str, ...]]] = {
    "hooks are registered in models/taps.py alone": (registers_hooks, ("models/taps.py", "testing/")),
    # torch initialises layers from the global state only; training does so inside `fork_rng`, which puts it back.
    "no global random state": (uses_global_random_state, ("demo/train.py", "testing/networks.py")),
    "nothing is unpickled": (unpickles, ()),
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
