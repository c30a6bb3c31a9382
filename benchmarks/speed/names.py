"""The networks, by the names of the page, and where class activation maps look in them. Nothing is imported here."""

from __future__ import annotations

LAYERS = {
    "ResNet-50": "layer4",
    "ResNet-18": "layer4",
    "VGG-16": "features.30",
    "MobileNetV2": "features.18",
    "ViT-Tiny": "blocks.11.norm1",
}
"""Where the packages' own documentation looks."""
NETWORKS = tuple(LAYERS)
CONVOLUTIONAL = NETWORKS[:-1]

ASKED = (
    "grad-cam",
    "ten-cams",
    "score-cam",
    "occlusion",
    "integrated-gradients",
    "completeness",
    "smooth-grad",
    "rise",
    "lime",
    "kernel-shap",
    "extremal-perturbation",
    "i-gos",
    "deletion-insertion",
    "road",
    "parameter-randomisation",
)
"""The races that have a target, all of them on ResNet-50, in the order of the page."""
