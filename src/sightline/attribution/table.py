"""Every method, in the order of the story: the table of contents of this room."""

from __future__ import annotations

from sightline.attribution.activation.ablation_cam import AblationCam
from sightline.attribution.activation.cam import Cam
from sightline.attribution.activation.eigen_cam import EigenCam
from sightline.attribution.activation.eigen_grad_cam import EigenGradCam
from sightline.attribution.activation.fem import Fem
from sightline.attribution.activation.finer_cam import FinerCam
from sightline.attribution.activation.fused_cam import FusedCam
from sightline.attribution.activation.grad_cam import GradCam
from sightline.attribution.activation.grad_cam_element_wise import GradCamElementWise
from sightline.attribution.activation.grad_cam_plus_plus import GradCamPlusPlus
from sightline.attribution.activation.group_cam import GroupCam
from sightline.attribution.activation.hires_cam import HiResCam
from sightline.attribution.activation.is_cam import IsCam
from sightline.attribution.activation.kpca_cam import KpcaCam
from sightline.attribution.activation.layer_cam import LayerCam
from sightline.attribution.activation.opti_cam import OptiCam
from sightline.attribution.activation.poly_cam import PolyCam
from sightline.attribution.activation.recipro_cam import ReciproCam
from sightline.attribution.activation.refine_cam import RefineCam
from sightline.attribution.activation.relevance_cam import RelevanceCam
from sightline.attribution.activation.score_cam import ScoreCam
from sightline.attribution.activation.seg_eigen_cam import SegEigenCam
from sightline.attribution.activation.shapley_cam import ShapleyCam
from sightline.attribution.activation.smooth_grad_cam_plus_plus import SmoothGradCamPlusPlus
from sightline.attribution.activation.ss_cam import SsCam
from sightline.attribution.activation.xgrad_cam import XGradCam
from sightline.attribution.attention.attention_relevance import AttentionRelevance
from sightline.attribution.attention.attention_rollout import AttentionRollout
from sightline.attribution.attention.le_grad import LeGrad
from sightline.attribution.base import Method
from sightline.attribution.combined.guided_grad_cam import GuidedGradCam
from sightline.attribution.combined.zeiler_fergus import ZeilerFergus
from sightline.attribution.concepts.craft import Craft
from sightline.attribution.concepts.deep_feature_factorisation import DeepFeatureFactorisation
from sightline.attribution.gradient.blur_ig import BlurIG
from sightline.attribution.gradient.deconvnet import Deconvnet
from sightline.attribution.gradient.deep_lift import DeepLift
from sightline.attribution.gradient.expected_gradients import ExpectedGradients
from sightline.attribution.gradient.full_grad import FullGrad
from sightline.attribution.gradient.gradient import Gradient
from sightline.attribution.gradient.guided_backpropagation import GuidedBackpropagation
from sightline.attribution.gradient.guided_ig import GuidedIG
from sightline.attribution.gradient.idgi import Idgi
from sightline.attribution.gradient.input_times_gradient import InputTimesGradient
from sightline.attribution.gradient.integrated_gradients import IntegratedGradients
from sightline.attribution.gradient.smooth_grad import SmoothGrad
from sightline.attribution.gradient.smooth_grad_squared import SmoothGradSquared
from sightline.attribution.gradient.var_grad import VarGrad
from sightline.attribution.gradient.xrai import Xrai
from sightline.attribution.mask.extremal_perturbation import ExtremalPerturbation
from sightline.attribution.mask.i_gos import IGos
from sightline.attribution.mask.igos_plus import IGosPlus
from sightline.attribution.mask.igos_plus_plus import IGosPlusPlus
from sightline.attribution.mask.meaningful_perturbation import MeaningfulPerturbation
from sightline.attribution.perturbation.feature_ablation import FeatureAblation
from sightline.attribution.perturbation.hsic import Hsic
from sightline.attribution.perturbation.kernel_shap import KernelShap
from sightline.attribution.perturbation.lime import Lime
from sightline.attribution.perturbation.occlusion import Occlusion
from sightline.attribution.perturbation.partition_shap import PartitionShap
from sightline.attribution.perturbation.rise import Rise
from sightline.attribution.perturbation.shapley_sampling import ShapleySampling
from sightline.attribution.perturbation.sobol import Sobol
from sightline.attribution.relevance.attn_lrp import AttnLrp
from sightline.attribution.relevance.contrastive_excitation_backprop import ContrastiveExcitationBackprop
from sightline.attribution.relevance.excitation_backprop import ExcitationBackprop
from sightline.attribution.relevance.lrp import Lrp
from sightline.spec import Catalogue

METHODS: Catalogue[Method] = Catalogue(
    "method",
    Method,  # type: ignore[type-abstract]
    [
        Occlusion,
        FeatureAblation,
        ShapleySampling,
        KernelShap,
        PartitionShap,
        Lime,
        Rise,
        Sobol,
        Hsic,
        MeaningfulPerturbation,
        ExtremalPerturbation,
        IGos,
        IGosPlus,
        IGosPlusPlus,
        Gradient,
        InputTimesGradient,
        Deconvnet,
        GuidedBackpropagation,
        DeepLift,
        IntegratedGradients,
        ExpectedGradients,
        BlurIG,
        GuidedIG,
        Idgi,
        SmoothGrad,
        SmoothGradSquared,
        VarGrad,
        FullGrad,
        Xrai,
        Lrp,
        AttnLrp,
        ExcitationBackprop,
        ContrastiveExcitationBackprop,
        Cam,
        GradCam,
        GradCamPlusPlus,
        SmoothGradCamPlusPlus,
        HiResCam,
        GradCamElementWise,
        XGradCam,
        LayerCam,
        ShapleyCam,
        RelevanceCam,
        FinerCam,
        FusedCam,
        RefineCam,
        EigenCam,
        EigenGradCam,
        SegEigenCam,
        KpcaCam,
        Fem,
        AblationCam,
        ScoreCam,
        SsCam,
        IsCam,
        GroupCam,
        PolyCam,
        ReciproCam,
        OptiCam,
        AttentionRollout,
        AttentionRelevance,
        LeGrad,
        DeepFeatureFactorisation,
        Craft,
        GuidedGradCam,
        ZeilerFergus,
    ],
)
