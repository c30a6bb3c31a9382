"""The contract that methods and classifiers keep, public so that plug-ins can be held to it too.

from sightline.testing import check_method
print(check_method("grad-cam"))

`check_on_network` asks a part of it of a method on a network of your own, as `sightline doctor` does.
"""

from __future__ import annotations

from sightline.testing.classifier import check_classifier
from sightline.testing.contract import check_method
from sightline.testing.networks import Specimen, networks
from sightline.testing.own_network import check_on_network
from sightline.testing.report import Cell, ContractError, Report

__all__ = [
    "Cell",
    "ContractError",
    "Report",
    "Specimen",
    "check_classifier",
    "check_method",
    "check_on_network",
    "networks",
]
