"""The formulas of the papers, and of their authors' code, beside ours."""

from __future__ import annotations

from parity import authors_cams as cams
from parity import authors_maps as maps
from parity.rows import FEW, KINKS, RESNETS, TRANSFORMERS, Make, Row, Where

PEER = "authors"
DOUBLE = "in float64: small differences of probabilities"
TEN = "ten steps in place of 100 in both, in float64, since Adam enlarges what is small"
NOISE = "the same noise in both"
PERCENT = (
    "the authors' code sets what lies below the 70th percentile of a group's map to zero and adds up stretched masks "
    "at the pixels; ours is the paper's equation 7"
)


def row(ours: str, call: str, theirs: Make, why: str = "", where: Where = "last", **fields: object) -> Row:
    """A formula of a paper."""
    return Row(ours=ours, peer=PEER, call=call, theirs=theirs, why=why, where=where, **fields)  # type: ignore[arg-type]


ROWS = [
    row("occlusion(window=56, stride=56, score=complement)", "Zeiler, Fergus 2014, section 4.2", maps.occlusion),
    row(
        "rise(samples=64, seed=3)", "Petsiuk 2018, authors' code", maps.rise, "the same masks in both", photographs=FEW
    ),
    row(
        "i-gos(size=28, iterations=2, points=3, noise=0, sparsity=0.01, smoothness=0.2, optimiser=line-search, "
        "judge=mask, step=200, lowering=false)",
        "Qi 2020, section 3",
        maps.i_gos,
        "two iterations in place of 15 in both, without noise, in float64, on the network without kinks",
        double=True,
        photographs=FEW,
        networks=TRANSFORMERS,
    ),
    row(
        "idgi(of=integrated-gradients(steps=8, baseline=mean))",
        "Yang 2023, algorithm 1",
        maps.idgi,
        photographs=FEW,
    ),
    row(
        "blur-ig(steps=16, largest=20)", "Xu 2020, eq. 5, by middles", maps.blur_ig, KINKS, photographs=FEW, double=True
    ),
    row("full-grad", "Srinivas 2019, authors' code", maps.full_grad, networks=RESNETS),
    row("grad-cam-plus-plus(layer=LAYER)", "Chattopadhay 2018, eq. 19", cams.plus_plus, where="each"),
    row(
        "grad-cam-plus-plus(layer=LAYER, form=author)",
        "Chattopadhay 2018, authors' code",
        cams.plus_plus_of_authors,
        "without the code's factor exp(s), one number a map",
        where="each",
    ),
    row(
        "smooth-grad-cam-plus-plus(layer=LAYER, samples=8)",
        "Omeiza 2019",
        cams.smooth_plus_plus,
        NOISE,
        where="each",
        photographs=FEW,
    ),
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
        photographs=FEW,
    ),
    row("group-cam(layer=LAYER)", "Zhang 2021, eq. 3 to 7", cams.group, photographs=FEW),
    row(
        "group-cam(layer=LAYER)",
        "Zhang 2021, authors' code",
        cams.group_of_authors,
        PERCENT,
        photographs=FEW,
        tolerance=None,
        make=lambda case: cams.large(case.ours("group-cam(layer=LAYER)")[None], case.size)[0],
    ),
    row(
        "recipro-cam(layer=LAYER, spread=gaussian)",
        "Byun 2022, authors' code",
        cams.recipro,
        DOUBLE,
        photographs=FEW,
        double=True,
    ),
    row("opti-cam(layer=LAYER, steps=10)", "Zhang 2024", cams.opti, TEN, photographs=FEW, double=True),
    row("attention-rollout", "Abnar 2020, eq. 1", maps.rollout, networks=TRANSFORMERS),
    row("attention-relevance", "Chefer 2021, eq. 5 and 6", maps.chefer, networks=TRANSFORMERS),
]
