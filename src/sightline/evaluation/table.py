"""Every metric, in the order of the story: the table of contents of this room."""

from __future__ import annotations

from sightline.evaluation.base import Metric
from sightline.evaluation.faithfulness.deletion import Deletion
from sightline.evaluation.faithfulness.insertion import Insertion
from sightline.evaluation.faithfulness.road import Road
from sightline.evaluation.localisation.pointing_game import PointingGame
from sightline.evaluation.localisation.relevance_mass import RelevanceMass
from sightline.spec import Catalogue

# mypy wants concrete classes for type[T]; a catalogue is told its abstract base on purpose
METRICS: Catalogue[Metric] = Catalogue(
    "metric",
    Metric,  # type: ignore[type-abstract]
    [Deletion, Insertion, Road, PointingGame, RelevanceMass],
)
