"""Every metric, in the order of the story: the table of contents of this room."""

from __future__ import annotations

from sightline.evaluation.base import Metric
from sightline.evaluation.complexity.effective_size import EffectiveSize
from sightline.evaluation.complexity.entropy import Entropy
from sightline.evaluation.complexity.gini import Gini
from sightline.evaluation.faithfulness.adcc import Adcc
from sightline.evaluation.faithfulness.average_drop import AverageDrop
from sightline.evaluation.faithfulness.average_gain import AverageGain
from sightline.evaluation.faithfulness.average_increase import AverageIncrease
from sightline.evaluation.faithfulness.completeness import Completeness
from sightline.evaluation.faithfulness.deletion import Deletion
from sightline.evaluation.faithfulness.faithfulness_correlation import FaithfulnessCorrelation
from sightline.evaluation.faithfulness.infidelity import Infidelity
from sightline.evaluation.faithfulness.insertion import Insertion
from sightline.evaluation.faithfulness.irof import Irof
from sightline.evaluation.faithfulness.monotonicity import Monotonicity
from sightline.evaluation.faithfulness.monotonicity_correlation import MonotonicityCorrelation
from sightline.evaluation.faithfulness.mu_fidelity import MuFidelity
from sightline.evaluation.faithfulness.pic import Pic
from sightline.evaluation.faithfulness.pixel_flipping import PixelFlipping
from sightline.evaluation.faithfulness.region_perturbation import RegionPerturbation
from sightline.evaluation.faithfulness.road import Road
from sightline.evaluation.faithfulness.sensitivity_n import SensitivityN
from sightline.evaluation.faithfulness.sufficiency import Sufficiency
from sightline.evaluation.localisation.auc import Auc
from sightline.evaluation.localisation.iou import Iou
from sightline.evaluation.localisation.max_box_acc import MaxBoxAcc
from sightline.evaluation.localisation.pointing_game import PointingGame
from sightline.evaluation.localisation.relevance_mass import RelevanceMass
from sightline.evaluation.localisation.relevance_rank import RelevanceRank
from sightline.evaluation.localisation.top_k import TopK
from sightline.evaluation.robustness.average_sensitivity import AverageSensitivity
from sightline.evaluation.robustness.input_invariance import InputInvariance
from sightline.evaluation.robustness.local_lipschitz import LocalLipschitz
from sightline.evaluation.robustness.max_sensitivity import MaxSensitivity
from sightline.evaluation.robustness.stability import Stability
from sightline.evaluation.sanity.efficient_parameter_randomisation import EfficientParameterRandomisation
from sightline.evaluation.sanity.parameter_randomisation import ParameterRandomisation
from sightline.evaluation.sanity.random_logit import RandomLogit
from sightline.spec import Catalogue

# mypy wants concrete classes for type[T]; a catalogue is told its abstract base on purpose
METRICS: Catalogue[Metric] = Catalogue(
    "metric",
    Metric,  # type: ignore[type-abstract]
    [
        Deletion,
        Insertion,
        PixelFlipping,
        RegionPerturbation,
        Irof,
        Road,
        Pic,
        Sufficiency,
        AverageDrop,
        AverageIncrease,
        AverageGain,
        Adcc,
        Infidelity,
        Completeness,
        FaithfulnessCorrelation,
        MuFidelity,
        SensitivityN,
        Monotonicity,
        MonotonicityCorrelation,
        PointingGame,
        RelevanceMass,
        RelevanceRank,
        TopK,
        Iou,
        MaxBoxAcc,
        Auc,
        MaxSensitivity,
        AverageSensitivity,
        LocalLipschitz,
        Stability,
        InputInvariance,
        ParameterRandomisation,
        EfficientParameterRandomisation,
        RandomLogit,
        Gini,
        Entropy,
        EffectiveSize,
    ],
)
