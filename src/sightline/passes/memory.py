"""What earlier passes have shown of a network, kept as long as the network lives."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from torch import nn

from sightline.models.survey import Survey
from sightline.types import Pixels


class Memory:
    """What passes have shown of each network and input size; forgotten with the network.

    Which layers there are, which one was chosen, behind which there are no kinks, and where the batch may become wider.
    """

    def __init__(self) -> None:
        self._surveys: WeakKeyDictionary[nn.Module, dict[object, Survey]] = WeakKeyDictionary()
        self._chosen: WeakKeyDictionary[nn.Module, dict[object, str]] = WeakKeyDictionary()
        self._smooth: WeakKeyDictionary[nn.Module, dict[object, bool]] = WeakKeyDictionary()
        self._widens: WeakKeyDictionary[nn.Module, dict[object, bool]] = WeakKeyDictionary()

    def survey(self, network: nn.Module, pixels: Pixels) -> Survey | None:
        """The survey of this network, built as it is now, at this input size."""
        return self._surveys.get(network, {}).get(_key(network, pixels))

    def keep_survey(self, network: nn.Module, pixels: Pixels, survey: Survey) -> None:
        self._surveys.setdefault(network, {})[_key(network, pixels)] = survey

    def chosen(self, network: nn.Module, pixels: Pixels) -> str | None:
        """The name of the layer chosen for this network at this input size."""
        return self._chosen.get(network, {}).get(_key(network, pixels))

    def keep_chosen(self, network: nn.Module, pixels: Pixels, name: str) -> None:
        self._chosen.setdefault(network, {})[_key(network, pixels)] = name

    def forget_chosen(self, network: nn.Module, pixels: Pixels) -> None:
        """Let the layer be chosen again."""
        self._chosen.get(network, {}).pop(_key(network, pixels), None)

    def smooth(self, network: nn.Module, pixels: Pixels, layers: Sequence[str | None]) -> bool:
        """Whether these layers were seen to have nothing but smooth operations behind them."""
        return self._smooth.get(network, {}).get((_key(network, pixels), tuple(layers)), False)

    def keep_smooth(self, network: nn.Module, pixels: Pixels, layers: Sequence[str | None], smooth: bool) -> None:
        self._smooth.setdefault(network, {})[_key(network, pixels), tuple(layers)] = smooth

    def smooth_from_pixels(self, network: nn.Module, pixels: Pixels) -> bool | None:
        """Whether all operations of the network are smooth; None where that was not looked at yet."""
        return self._smooth.get(network, {}).get((_key(network, pixels), "pixels"))

    def keep_smooth_from_pixels(self, network: nn.Module, pixels: Pixels, smooth: bool) -> None:
        self._smooth.setdefault(network, {})[_key(network, pixels), "pixels"] = smooth

    def widens(self, network: nn.Module, pixels: Pixels, layer: str) -> bool | None:
        """Whether the batch may become wider at this layer; None where that was not tried yet."""
        return self._widens.get(network, {}).get((_key(network, pixels), layer))

    def keep_widens(self, network: nn.Module, pixels: Pixels, layer: str, widens: bool) -> None:
        self._widens.setdefault(network, {})[_key(network, pixels), layer] = widens


MEMORY = Memory()


def _key(network: nn.Module, pixels: Pixels) -> object:
    built: list[object] = [type(network)]
    _build(network, built)
    return hash(tuple(built)), tuple(pixels.shape[1:])


def _build(network: nn.Module, built: list[object]) -> None:
    """Name and type of all modules inside a network, and where each ends: `named_modules` takes sixty times as long."""
    for name, module in network._modules.items():
        built += (name, type(module))
        if module is not None and module._modules:
            _build(module, built)
            built.append(None)
