"""What a judgement carries: the number, the curve above it, and what must be known to believe it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sightline.evaluation.base import Curve, Metric
from sightline.pictures.curves import curve_svg
from sightline.types import Count


@dataclass(frozen=True, eq=False, kw_only=True)
class Judgement:
    """One number: one map, one metric.

    Attributes:
        metric: the frozen value that judged; `metric.name`, `str(metric)`, `metric.traits.better`.
        value: the number.
        subject: what was judged, in words: the picture, the target, the method.
        curve: (x, y), float64 each, where the number is the area under a curve; else None.
        passes: forward passes, the shared clean pass included; none for a metric that does not ask the network.
        seconds: the shared clean pass not included.
        details: what else was measured, in numbers.
        warnings: what the reader must know before believing the number.
    """

    metric: Metric
    value: float
    subject: str
    passes: Count
    seconds: float
    curve: Curve | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The number in words."""
        return f"{self.metric} {self.value:.4f} ({self.metric.traits.better} is better)"

    def record(self) -> dict[str, Any]:
        """The judgement as plain JSON values, for the manifest."""
        curve = None if self.curve is None else {"x": self.curve.x.tolist(), "y": self.curve.y.tolist()}
        return {
            "metric": self.metric.describe(),
            "value": self.value,
            "better": self.metric.traits.better,
            "curve": curve,
            "details": dict(self.details),
            "passes": {"forward": self.passes.forward, "backward": self.passes.backward},
            "seconds": round(self.seconds, 4),
            "warnings": list(self.warnings),
        }

    def _repr_html_(self) -> str:
        drawing = "" if self.curve is None else _drawn(self.metric, self.curve, self.value)
        warnings = "".join(f"<li>{html.escape(warning)}</li>" for warning in self.warnings)
        return (
            f"<figure>{drawing}<figcaption>{html.escape(self.subject)}: {html.escape(self.title)}</figcaption>"
            + (f"<ul>{warnings}</ul>" if warnings else "")
            + "</figure>"
        )

    def __repr__(self) -> str:
        return f"<Judgement {self.subject}: {self.title}>"


def _drawn(metric: Metric, curve: Curve, value: float) -> str:
    along, upwards = metric.traits.axes
    return curve_svg([(str(metric), *curve, value)], x_label=along, y_label=upwards)
