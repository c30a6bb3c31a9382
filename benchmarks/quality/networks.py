"""ResNet-50 with real weights: as it is explained, and a faster twin that judges."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from parity.subjects import Data
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sightline.images.prepare import Preparation
from sightline.models.classifier import Classifier

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def explained(data: Path, weights: Path) -> Classifier:
    """The network that is explained; its input is the 224 × 224 pixels in the middle of a photograph.

    Args:
        data: the folder of weights and photographs.
        weights: where its ResNet-50 lies expanded, or is then laid.
    """
    source = Data(data, weights)
    source.check()
    source.expand()
    classifier = source.classifier("ResNet-50")
    assert classifier.network is not None
    network = classifier.network.eval().to(memory_format=torch.channels_last)
    return replace(classifier, function=network, preparation=Preparation(crop=(224, 224), mean=MEAN, std=STD))


def judging(classifier: Classifier) -> Classifier:
    """The same function with every batch normalisation folded into the convolution before it: fewer steps a pass."""
    assert classifier.network is not None
    twin = copy.deepcopy(classifier.network)
    for module in list(twin.modules()):
        children = list(module.named_children())
        for (before, convolution), (after, norm) in pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, before, fuse_conv_bn_eval(convolution, norm))
                setattr(module, after, nn.Identity())
    for module in twin.modules():  # torchvision's blocks list conv1, bn1, conv2, …; check that none was missed
        assert not isinstance(module, nn.BatchNorm2d)
    return replace(classifier, function=twin.to(memory_format=torch.channels_last))
