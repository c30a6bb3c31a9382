"""A classifier behind HTTP: pictures are posted, scores come back. Forward-only; nothing but the standard library.

| protocol | the request | the answer, JSON |
|---|---|---|
| `sightline` | a NumPy file (`application/x-npy`) of float32 `b c h w` | `{"scores": [[…], …]}` |
| `kserve` | KServe's V1, `{"instances": [picture, …]}` | `{"predictions": [[…], …]}` |
| `kserve-v2` | its V2, `{"inputs": [{"name", "shape", "datatype", "data"}]}` | `{"outputs": [{"shape", "data"}]}` |

One row of scores a picture; of several outputs `output=NAME` takes one. An address that ends in `:predict` is asked by
`kserve`, one that ends in `/infer` by `kserve-v2`, any other by `sightline`, unless the protocol is declared.

A question that fails for a moment (no connection, no answer in time, HTTP 429, 502, 503, 504) is
asked again, after a pause that doubles or that the server names. Redirections are not followed: pictures go to the
address that was given and to no other. Headers whose names tell of credentials (key, token, authorization, …) go where
`headers=` says, over plain HTTP only to this machine, which is asked without a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sightline.errors import ModelError
from sightline.models.classifier import Classifier
from sightline.models.heads import check_head
from sightline.models.web.ask import Address, Asker, Patience
from sightline.models.web.client import RemoteClassifier
from sightline.models.web.protocols import protocol_of


def remote(  # noqa: PLR0913 (all but the first are keywords)
    url: str,
    *,
    protocol: str = "auto",
    labels: Sequence[str] | None = None,
    preparation: Any = None,
    head: str = "auto",
    name: str | None = None,
    layout: str = "b c h w",
    input_name: str = "input",
    output: str | None = None,
    headers: Mapping[str, str] | None = None,
    batch: int = 16,
    rate: float | None = None,
    timeout: float = 60.0,
    retries: int = 4,
) -> Classifier:
    """A classifier that is asked over HTTP.

    Args:
        url: `http://…` or `https://…`, without user name and password.
        protocol: `sightline`, `kserve`, `kserve-v2`, or `auto`: told from the end of the address.
        labels: class names in the order of the scores.
        preparation: as `sightline.wrap` takes it.
        head: what the scores mean.
        name: how the classifier is called in results; host and path by default.
        layout: `b c h w`, or `b h w c` for servers that want channels last.
        input_name: of the input, which `kserve-v2` asks for.
        output: which of several outputs holds the scores, by its name; else the only one, or the one called `logits`,
            `scores`, `output`, `probabilities` or `prob`.
        headers: sent with every request, such as `{"Authorization": "Bearer …"}`; over https, or to this machine only.
        batch: pictures in a request, at most.
        rate: requests a second, at most; as fast as answers come by default.
        timeout: seconds to wait for a whole answer.
        retries: how often a question that failed for a moment is asked again.

    Raises:
        ModelError: an address that cannot be asked, or an unknown protocol, layout or head.
    """
    if layout not in ("b c h w", "b h w c"):
        raise ModelError(f"layout is 'b c h w' or 'b h w c', got {layout!r}")
    if not (batch >= 1 and retries >= 0 and timeout > 0 and (rate is None or rate > 0)):
        raise ModelError("batch is at least 1, retries at least 0, timeout and rate above 0")
    from sightline.images.prepare_from import as_preparation

    address = Address.of(url, headers or {})
    speaks = protocol_of(protocol, url, input_name, output)
    asker = Asker(address, Patience(timeout=timeout, retries=retries, rate=rate))
    words = f"asked over HTTP at {address.shown} ({speaks.name}), forward-only"
    return Classifier(
        function=RemoteClassifier(asker, speaks, batch, channels_last=layout == "b h w c"),
        name=name or address.shown,
        labels=tuple(str(label) for label in labels) if labels is not None else None,
        preparation=as_preparation(preparation),
        head=check_head(head),
        notes=(words,),
        forward_only="it is asked over HTTP, through which no gradient passes",
    )
