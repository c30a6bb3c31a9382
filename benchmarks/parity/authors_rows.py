"""The formulas of the papers, and of their authors' code, beside ours."""

from __future__ import annotations

from parity import authors_attention as attention
from parity import authors_cams as cams
from parity import authors_concepts as concepts
from parity import authors_maps as maps
from parity import authors_masks as masks
from parity.authors_attn_lrp import attn_lrp
from parity.authors_relevance import relevance_cam
from parity.authors_transformer import relevance_times_gradient
from parity.rows import EVERY, KINKS, LARGE, RESNETS, TRANSFORMERS, Make, Row, rows_of

row = rows_of("authors")
DOUBLE = "in float64: small differences of probabilities"
TEN = "ten steps in place of 100 in both, in float64, since Adam enlarges what is small"
NOISE = "the same noise in both"
PERCENT = (
    "the authors' code sets what lies below the 70th percentile of a group's map to zero and adds up stretched masks "
    "at the pixels; ours is the paper's equation 7"
)
SMOOTH = "smooth-grad-cam-plus-plus(layer=LAYER, samples=8)"
ZEILER = "zeiler-fergus(window=56, stride=56, layer=LAYER)"
SHORT = "size=28, points=3, noise=0, sparsity=0.01, smoothness=0.2"
SEARCH = "optimiser=line-search, judge=mask, step=200, lowering=false"
FEWER = "few steps in both, without noise, in float64"
GROWS = (
    "ours takes gradients in float32, and from step to step a last digit can grow: it decides on which side of a ReLU "
    "a cell falls, and how far a line search goes"
)
ZERO = "where activations have both signs the denominator of equation 19 comes near to zero, and rounding grows"
SIGNS = f"{NOISE}; {ZERO}"
QUOTIENTS = "in float64, with our ε in both: quotients of small differences"
SMALL = (
    "in float64, with our ε in both, 10⁻⁹ in root mean squares: the authors add 10⁻⁹ as it stands, whatever the sign, "
    "which shows where a block's branches cancel out (up to 2e-3)"
)
START = "from the same start in both"


def sought(ours: str, call: str, theirs: Make, why: str = FEWER, exact: tuple[str, ...] = TRANSFORMERS) -> list[Row]:
    """What is sought step by step in float64: to the last digit where rounding does not grow, and on other networks."""
    rest = tuple(name for name in EVERY if name not in exact)
    same = [row(ours, call, theirs, why, double=True, networks=exact)] if exact else []
    return [*same, row(ours, call, theirs, f"{why}; {GROWS}", double=True, networks=rest, dear=LARGE, tolerance=None)]


def plus_plus(ours: str, call: str, theirs: Make, why: str = "") -> list[Row]:
    """Grad-CAM++ in one of its forms, whose divisors pass 0 where activations have both signs."""
    return [
        row(ours, call, theirs, why, where="each", networks=RESNETS),
        row(ours, call, theirs, f"{why}; {ZERO}" if why else ZERO, networks=TRANSFORMERS, tolerance=None),
    ]


ROWS = [
    row("occlusion(window=56, stride=56, score=complement)", "Zeiler, Fergus 2014, section 4.2", maps.occlusion),
    row(
        ZEILER,
        "Zeiler, Fergus 2014, figure 7(b)",
        maps.activity,
        "the activity of the strongest feature map is compared; the map is that of occlusion",
        make=lambda case: case.maps(ZEILER).arrays["activity"][0],
        networks=RESNETS,
    ),
    row("rise(samples=64, seed=3)", "Petsiuk 2018, authors' code", maps.rise, "the same masks in both"),
    *sought(f"i-gos({SHORT}, iterations=2, {SEARCH})", "Qi 2020, section 3", masks.i_gos, exact=()),
    *sought(f"igos-plus({SHORT}, iterations=3)", "Khorram 2021, one mask", masks.igos_plus),
    *sought(f"igos-plus-plus({SHORT}, iterations=3)", "Khorram 2021, eq. 7", masks.igos_plus_plus),
    *sought("meaningful-perturbation(iterations=4, jitter=0)", "Fong 2017, eq. 4", masks.meaningful),
    row("idgi(of=integrated-gradients(steps=8, baseline=mean))", "Yang 2023, algorithm 1", maps.idgi),
    row("blur-ig(steps=16, largest=20)", "Xu 2020, eq. 5, by middles", maps.blur_ig, KINKS, double=True),
    row("full-grad", "Srinivas 2019, authors' code", maps.full_grad, networks=RESNETS),
    *plus_plus("grad-cam-plus-plus(layer=LAYER)", "Chattopadhay 2018, eq. 19", cams.plus_plus),
    *plus_plus(
        "grad-cam-plus-plus(layer=LAYER, form=author)",
        "Chattopadhay 2018, authors' code",
        cams.plus_plus_of_authors,
        "without the code's factor exp(s), one number a map",
    ),
    row(SMOOTH, "Omeiza 2019", cams.smooth_plus_plus, NOISE, where="each", networks=RESNETS),
    row(SMOOTH, "Omeiza 2019", cams.smooth_plus_plus, SIGNS, networks=TRANSFORMERS, tolerance=None),
    row(
        "finer-cam(of=grad-cam(layer=LAYER), strength=1, weights=likely)",
        "Zhang 2025, weights as constants",
        cams.finer,
        where="each",
    ),
    row(
        "score-cam(layer=LAYER, weight=score, score=probability)",
        "Wang 2020, authors' code",
        cams.score_of_authors,
        where="early",
        dear=LARGE,
    ),
    row("group-cam(layer=LAYER)", "Zhang 2021, eq. 3 to 7", cams.group),
    row(
        "group-cam(layer=LAYER)",
        "Zhang 2021, authors' code",
        cams.group_of_authors,
        PERCENT,
        tolerance=None,
        make=lambda case: cams.large(case.ours("group-cam(layer=LAYER)")[None], case.size)[0],
    ),
    row("recipro-cam(layer=LAYER, spread=gaussian)", "Byun 2022, authors' code", cams.recipro, DOUBLE, double=True),
    *sought("opti-cam(layer=LAYER, steps=10)", "Zhang 2024", cams.opti, TEN),
    row("attention-rollout", "Abnar 2020, eq. 1", attention.rollout, networks=TRANSFORMERS),
    row("attention-relevance", "Chefer 2021, eq. 5 and 6", attention.chefer, networks=TRANSFORMERS),
    row(
        "attention-relevance(form=lrp)",
        "Chefer 2021 (CVPR), authors' code",
        relevance_times_gradient,
        SMALL,
        networks=TRANSFORMERS,
        double=True,
    ),
    row("legrad", "Bousselham 2025, all blocks", attention.legrad, networks=TRANSFORMERS),
    row("attn-lrp", "Achtibat 2024, prop. 3.1 to 3.4", attn_lrp, QUOTIENTS, networks=TRANSFORMERS, double=True),
    row(
        "relevance-cam(layer=LAYER)",
        "Lee 2021, z-plus from the class less the others",
        relevance_cam,
        "with the normalisations merged",
        networks=RESNETS,
        where="each",
    ),
    row(
        "poly-cam(layers=(layer3, layer4), channels=16, stretch=largest)",
        "Englebert 2022, authors' code",
        cams.poly,
        "of the 16 channels of each layer that vary most in both",
        networks=RESNETS,
    ),
    row("deep-feature-factorisation(layer=LAYER)", "Collins 2018", concepts.deep_feature_factorisation, START),
]
