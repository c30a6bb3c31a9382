"""A classifier behind HTTP: what is sent, how answers are read, what is asked again, what is refused."""

from __future__ import annotations

import http.server
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import sightline
from sightline.attribution.table import METHODS
from sightline.errors import ModelError, NotSupportedError
from sightline.models.web import ask
from sightline.passes.passes import Passes
from small import close, picture

WEIGHTS = np.random.default_rng(0).normal(size=(3 * 8 * 8, 4))


def scores_of(pictures: np.ndarray) -> np.ndarray:
    """A linear classifier of pictures `b c h w`, on the server's side."""
    return pictures.reshape(len(pictures), -1).astype(np.float64) @ WEIGHTS


class Server:
    """A server on this machine whose answers are a list of functions, the last of which goes on for ever."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str, dict[str, str], bytes]] = []
        self.answers: list[Callable[[bytes], tuple[int, bytes, dict[str, str]]]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((time.monotonic(), self.path, dict(self.headers), body))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                status, found, headers = answer(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(found)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/classify"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that answers rightly; pauses between trials are short."""
    monkeypatch.setattr(ask, "_FIRST_PAUSE", 0.01)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    made.answers = [own]
    yield made
    made.close()


def told(found: Any) -> tuple[int, bytes, dict[str, str]]:
    return 200, json.dumps(found).encode(), {"Content-Type": "application/json"}


def own(body: bytes) -> tuple[int, bytes, dict[str, str]]:
    return told({"scores": scores_of(np.load(io.BytesIO(body), allow_pickle=False)).tolist()})


def kserve(body: bytes) -> tuple[int, bytes, dict[str, str]]:
    return told({"predictions": scores_of(np.array(json.loads(body)["instances"])).tolist()})


def kserve_named(body: bytes) -> tuple[int, bytes, dict[str, str]]:
    rows = scores_of(np.array(json.loads(body)["instances"]).transpose(0, 3, 1, 2)).tolist()
    return told({"predictions": [{"logits": row} for row in rows]})


def kserve_v2(body: bytes) -> tuple[int, bytes, dict[str, str]]:
    (given,) = json.loads(body)["inputs"]
    assert (given["name"], given["datatype"]) == ("pixels", "FP32")
    found = scores_of(np.array(given["data"]).reshape(given["shape"]))
    return told({"outputs": [{"name": "scores", "shape": list(found.shape), "data": found.ravel().tolist()}]})


def fails(status: int, text: str = "", **headers: str) -> Callable[[bytes], tuple[int, bytes, dict[str, str]]]:
    return lambda _: (status, text.encode(), {name.replace("_", "-"): value for name, value in headers.items()})


def answered(server: Server, pixels: torch.Tensor, **options: Any) -> torch.Tensor:
    url = options.pop("url", server.url)
    with Passes(sightline.remote(url, **options)) as passes:
        return passes.scores(pixels)


EXPECTED = torch.from_numpy(scores_of(picture(8, 8, 5).numpy())).float()


@pytest.mark.parametrize(
    ("answer", "end", "options"),
    [
        (own, "", {}), (kserve, "/v1/models/m:predict", {}), (kserve, "", {"protocol": "kserve"}),
        (kserve_named, ":predict", {"layout": "b h w c"}), (kserve_v2, "/v2/models/m/infer", {"input_name": "pixels"}),
    ],
)  # fmt: skip
def test_scores_are_those_of_the_server(server: Server, answer: Any, end: str, options: dict[str, Any]) -> None:
    server.answers = [answer]
    found = answered(server, picture(8, 8, 5), url=server.url + end, **options)
    assert torch.allclose(found, EXPECTED, atol=1e-4)
    assert server.asked[0][1] == f"/classify{end}"


def test_a_perturbation_method_explains_it_and_others_are_refused_by_name(server: Server) -> None:
    classifier = sightline.load(server.url, labels=["a", "b", "c", "d"])
    method = METHODS.make("occlusion(window=4, stride=4)")
    pixels = picture(8, 8)
    weights = torch.from_numpy(WEIGHTS).float()
    here = method(sightline.wrap(lambda x: x.flatten(1) @ weights), pixels, 2)
    assert close(method(classifier, pixels, 2).values, here.values, 1e-4)
    with pytest.raises(NotSupportedError, match=r"grad-cam .* is forward-only: it is asked over HTTP"):
        METHODS.make("grad-cam")(classifier, pixels, 2)
    assert classifier.labels == ("a", "b", "c", "d")
    assert "asked over HTTP" in classifier.notes[0]


def test_pictures_go_in_batches(server: Server) -> None:
    found = answered(server, picture(8, 8, 5), batch=2)
    assert torch.allclose(found, EXPECTED, atol=1e-4)
    assert [len(np.load(io.BytesIO(body))) for *_, body in server.asked] == [2, 2, 1]


def test_no_more_requests_a_second_than_wanted(server: Server) -> None:
    answered(server, picture(8, 8, 5), batch=1, rate=50)
    times = [when for when, *_ in server.asked]
    assert len(times) == 5
    assert times[-1] - times[0] >= 4 / 50 - 0.005


def test_what_fails_for_a_moment_is_asked_again(server: Server) -> None:
    server.answers = [fails(503), fails(429, Retry_After="0"), fails(502), own]
    assert torch.allclose(answered(server, picture(8, 8, 5)), EXPECTED, atol=1e-4)
    assert len(server.asked) == 4
    assert len({body for *_, body in server.asked}) == 1


def test_a_server_that_stays_busy_is_given_up(server: Server) -> None:
    server.answers = [fails(503, "out of\nmemory")]
    with pytest.raises(ModelError, match=r"HTTP 503 .*out of memory \(asked 3 times\)") as caught:
        answered(server, picture(8, 8), retries=2)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_what_will_not_change_is_not_asked_again(server: Server, status: int) -> None:
    server.answers = [fails(status, "no such model")]
    with pytest.raises(ModelError, match=f"HTTP {status} .*no such model"):
        answered(server, picture(8, 8))
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_sent_on(server: Server, status: int) -> None:
    other = Server()
    other.answers = [own]
    server.answers = [fails(status, Location=other.url)]
    try:
        with pytest.raises(ModelError, match=r"sends us on to .*give it"):
            answered(server, picture(8, 8), headers={"Authorization": "Bearer secret"})
        assert other.asked == []
    finally:
        other.close()


def test_a_server_that_does_not_answer(server: Server) -> None:
    server.answers = [lambda body: (time.sleep(0.4), own(body))[1]]
    with pytest.raises(ModelError, match=r"no answer within 0\.05 s \(asked 2 times\)"):
        answered(server, picture(8, 8), timeout=0.05, retries=1)
    server.close()
    with pytest.raises(ModelError, match=r"cannot be reached: .*refused"):
        answered(server, picture(8, 8), retries=0)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"<html>hello", "answers no JSON: '<html>hello'"),
        (b'{"predictions": [[1]]}', "no scores as sightline does: it has predictions"),
        (b"[1, 2]", "no scores as sightline does"), (b'{"scores": [[1, 2]]}', "answers 1×2 scores about 5 pictures"),
        (b'{"scores": [[1, 2], [1], [1, 2], [1], [2]]}', "several lengths"), (b'{"scores": []}', "about 5 pictures"),
        (b'{"scores": [["cat"], ["dog"], ["a"], ["b"], ["c"]]}', "not numbers"),
        (b'{"scores": [[1], [2], [3], [4], [NaN]]}', "NaN, infinite"),
        (b'{"scores": [[1], [2], [3], [4], [1e39]]}', "too large for float32"), (b"[" * 200_000, "answers no JSON"),
        (b'{"scores": {"a": 1}}', "not numbers"),
        (b'{"scores": [[true], [true], [true], [true], [true]]}', "not numbers"), (b"\xff\xfe", "answers no JSON"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_row_of_numbers_a_picture_is_refused(server: Server, answer: bytes, says: str) -> None:
    server.answers = [lambda _: (200, answer, {})]
    with pytest.raises(ModelError, match=says) as caught:
        answered(server, picture(8, 8, 5))
    assert "\n" not in str(caught.value)


def test_another_number_of_classes_in_the_middle_is_refused(server: Server) -> None:
    server.answers = [lambda _: told({"scores": [[1, 2]]}), lambda _: told({"scores": [[1, 2, 3]]})]
    with pytest.raises(ModelError, match="2 scores a picture before, and now 3"):
        answered(server, picture(8, 8, 2), batch=1)


def test_a_huge_answer_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "_MOST_BYTES", 1 << 20)
    server.answers = [lambda _: (200, b" " * ((1 << 20) + 1), {})]
    with pytest.raises(ModelError, match="more than 1 MB"):
        answered(server, picture(8, 8))


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("ftp://host/x", {}, "no address of a classifier"), ("http://", {}, "no address"),
        ("http://[", {}, "no address"),
        ("http://user:pw@host/x", {}, "user name or password"), ("http://host:99999/x", {}, "no address"),
        ("http://example.org/x", {"headers": {"authorization": "a"}}, "for all to read: use https"),
        ("http://example.org/x", {"headers": {"X-Auth-Token": "a"}}, "X-Auth-Token would be sent"),
        ("http://host/x", {"output": "a"}, "one output: leave output out"),
        ("http://host/x", {"protocol": "grpc"}, "unknown protocol"), ("http://host/x", {"layout": "c h w"}, "layout"),
        ("http://host/x", {"batch": 0}, "batch is at least 1"), ("http://host/x", {"head": "zzz"}, "unknown head"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_asked_is_refused(url: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        sightline.remote(url, **options)
    assert "pw" not in str(caught.value)


def test_headers_are_sent_and_secrets_stand_in_no_result(server: Server) -> None:
    classifier = sightline.remote(f"{server.url}?key=secret", headers={"X-Api-Key": "hidden"})
    with Passes(classifier) as passes:
        passes.scores(picture(8, 8))
    _, path, headers, _ = server.asked[0]
    assert path == "/classify?key=secret"
    assert headers["X-Api-Key"] == "hidden"
    assert "secret" not in f"{classifier.name} {classifier.notes}"
    assert "hidden" not in repr(classifier)
    assert classifier.name == server.url


def outputs_of_v2(*names: str) -> Callable[[bytes], tuple[int, bytes, dict[str, str]]]:
    """A server with several outputs, of which the last has the scores and the others their negatives."""

    def answer(body: bytes) -> tuple[int, bytes, dict[str, str]]:
        (given,) = json.loads(body)["inputs"]
        found = scores_of(np.array(given["data"]).reshape(given["shape"]))
        signs = [-1.0] * (len(names) - 1) + [1.0]
        rows = [
            {"name": name, "shape": list(found.shape), "data": (sign * found).ravel().tolist()}
            for name, sign in zip(names, signs, strict=True)
        ]
        return told({"outputs": rows})

    return answer


def test_one_of_several_outputs_is_named_or_asked_for(server: Server) -> None:
    server.answers = [outputs_of_v2("boxes", "classes")]
    options: dict[str, Any] = {"protocol": "kserve-v2"}
    with pytest.raises(ModelError, match=r"several outputs \(boxes, classes\): say which .* output=NAME"):
        answered(server, picture(8, 8, 5), **options)
    assert close(answered(server, picture(8, 8, 5), output="classes", **options), EXPECTED)
    assert close(answered(server, picture(8, 8, 5), output="boxes", **options), -EXPECTED)
    with pytest.raises(ModelError, match="unknown output of the server: 'class': did you mean 'classes'"):
        answered(server, picture(8, 8, 5), output="class", **options)
    server.answers = [outputs_of_v2("boxes", "logits")]
    assert close(answered(server, picture(8, 8, 5), **options), EXPECTED)
    server.answers = [lambda _: told({"predictions": [{"a": [1.0, 2.0], "b": [3.0, 4.0]}] * 5})]
    with pytest.raises(ModelError, match=r"several outputs \(a, b\)"):
        answered(server, picture(8, 8, 5), protocol="kserve")
    assert answered(server, picture(8, 8, 5), protocol="kserve", output="b").tolist() == [[3.0, 4.0]] * 5


class Odd(http.server.BaseHTTPRequestHandler):
    """Answers that a plain server does not give: cut off in the middle, or a byte at a time."""

    drips = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(100 if self.drips else 1):
            try:
                self.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.02 * self.drips)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("drips", "says"), [(False, "breaks off in the middle"), (True, r"no answer within 0\.2 s")])
def test_an_answer_that_breaks_off_or_never_ends(drips: bool, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "drips", drips)
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    started = time.monotonic()
    with (
        pytest.raises(ModelError, match=says),
        Passes(sightline.remote(f"http://127.0.0.1:{made.server_port}/", timeout=0.2, retries=0)) as passes,
    ):
        passes.scores(picture(8, 8))
    made.shutdown()
    made.server_close()
    assert time.monotonic() - started < 1.5


def test_this_machine_is_asked_without_a_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert close(answered(server, picture(8, 8, 5), headers={"Authorization": "secret"}), EXPECTED)


def test_a_pause_in_odd_digits_is_no_defect() -> None:
    assert ask._pause(0, "\u00b2") == ask._FIRST_PAUSE
    assert ask._pause(0, "3") == 3.0
