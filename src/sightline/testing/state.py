"""Everything about a network and the process that an explanation must leave as it was."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module as global_hooks


@dataclass(frozen=True, eq=False)
class State:
    """One moment: name → something that can be compared bit by bit or by identity."""

    facts: Mapping[str, object]

    @classmethod
    def of(cls, network: nn.Module, pixels: torch.Tensor) -> State:
        """The state of the network, of the input and of the process."""
        facts: dict[str, object] = {}
        for name, module in network.named_modules(remove_duplicate=False):
            facts[f"training flag of {name or 'the network'}"] = module.training
            facts[f"hooks of {name or 'the network'}"] = _hooks(module)
            facts[f"attributes of {name or 'the network'}"] = sorted(module.__dict__)
        for name, parameter in network.named_parameters(remove_duplicate=False):
            facts[f"parameter {name}"] = (id(parameter), _bits(parameter), parameter.requires_grad)
            facts[f"gradient of {name}"] = (id(parameter.grad), _bits(parameter.grad))
            facts[f"hooks of parameter {name}"] = sorted(map(id, (parameter._backward_hooks or {}).values()))
        for name, buffer in network.named_buffers(remove_duplicate=False):
            facts[f"buffer {name}"] = (id(buffer), _bits(buffer))
        facts["input"] = (_bits(pixels), pixels.requires_grad, id(pixels.grad))
        return cls(facts | _process())

    def changes(self, before: State) -> list[str]:
        """What is no longer as it was."""
        names = dict.fromkeys([*before.facts, *self.facts])
        return [name for name in names if self.facts.get(name) != before.facts.get(name)]


def _hooks(module: nn.Module) -> dict[str, list[int]]:
    """Every hook of a module, by identity."""
    tables = {key: value for key, value in vars(module).items() if key.endswith("_hooks") and isinstance(value, dict)}
    return {key: sorted(id(hook) for hook in table.values()) for key, table in tables.items()}


def _bits(tensor: torch.Tensor | None) -> bytes | None:
    if tensor is None:
        return None
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _process() -> dict[str, Any]:
    tables = {key: value for key, value in vars(global_hooks).items() if key.startswith("_global") and "hooks" in key}
    return {
        "torch's random state": _bits(torch.get_rng_state()),
        "numpy's random state": _numpy_state(),
        "python's random state": hash(random.getstate()),
        "gradients enabled": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "default type": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "global hooks": {
            key: sorted(map(id, table.values())) for key, table in tables.items() if hasattr(table, "values")
        },
    }


def _numpy_state() -> tuple[bytes, int]:
    state: Any = np.random.get_state(legacy=False)
    return state["state"]["key"].tobytes(), state["state"]["pos"]
