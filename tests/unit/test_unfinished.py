"""What a long run keeps: pieces are made once, a broken-off run goes on, and other settings are never mixed in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.errors import UsageError
from sightline.runs import unfinished
from sightline.runs.unfinished import Unfinished, code_sha256

HEAD = {"seed": 0, "scenes": {"bell": 1}, "code": "a" * 200}


def kept(place: Path | None, **changes: object) -> Unfinished:
    return Unfinished(place, {**HEAD, **changes})


def never() -> int:
    raise AssertionError("made again")


def test_a_piece_is_made_once_and_comes_back_as_it_was_written(tmp_path: Path) -> None:
    place, values = tmp_path / "file.jsonl", {"a": [0.1, None, 1e-17], "b": (1, 2)}
    with kept(place) as first:
        assert not place.exists()
        given = first.once("one", lambda: values)
        assert given == {"a": [0.1, None, 1e-17], "b": [1, 2]}
        assert first.once("one", never) == given
    with kept(place) as second:
        assert second.done == {"one"}
        assert second.once("one", never) == given
        assert second.once("two", lambda: 2) == 2
    with kept(place) as third:
        assert third.done == {"one", "two"}
        third.finish()
    assert not place.exists()


def test_a_file_that_was_closed_is_opened_again(tmp_path: Path) -> None:
    place = tmp_path / "file.jsonl"
    one = kept(place)
    for name in ("one", "two", "three"):
        with one:
            one.once(name, lambda: 1)
    assert kept(place).done == {"one", "two", "three"}


def test_nothing_is_kept_where_no_file_is_wanted(tmp_path: Path) -> None:
    with kept(None) as nowhere:
        assert nowhere.once("one", lambda: [1]) == [1]
        assert nowhere.once("one", never) == [1]
        nowhere.finish()
    assert list(tmp_path.iterdir()) == []


def test_every_piece_is_on_the_disk_before_the_next_is_begun(tmp_path: Path) -> None:
    place = tmp_path / "file.jsonl"

    def broken() -> int:
        written = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]
        assert [line.get("name") for line in written] == [None, "one"]
        raise KeyboardInterrupt

    with kept(place) as first:
        first.once("one", lambda: 1)
        with pytest.raises(KeyboardInterrupt):
            first.once("two", broken)
    assert kept(place).done == {"one"}


@pytest.mark.parametrize("cut", [1, 5, 17])
def test_half_a_line_of_a_power_cut_is_written_over(tmp_path: Path, cut: int) -> None:
    place = tmp_path / "file.jsonl"
    with kept(place) as first:
        first.once("one", lambda: 1)
        first.once("two", lambda: "long enough to be longer than what comes after")
    place.write_bytes(place.read_bytes()[:-cut])
    with kept(place) as second:
        assert second.done == {"one"}
        second.once("two", lambda: 2)
    with kept(place) as third:
        assert (third.once("one", never), third.once("two", never)) == (1, 2)


def test_half_a_first_line_is_written_over_too(tmp_path: Path) -> None:
    place = tmp_path / "file.jsonl"
    place.write_bytes(b'{"seed": ')
    with kept(place) as first:
        first.once("one", lambda: 1)
    assert kept(place).done == {"one"}


def test_what_was_found_under_other_settings_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "file.jsonl"
    with kept(place) as first:
        first.once("one", lambda: 1)
    before = place.read_bytes()
    with pytest.raises(
        UsageError, match=r"an unfinished run with another seed \(0, now 1\): take another --out, or delete"
    ):
        kept(place, seed=1)
    with pytest.raises(UsageError, match=r'another scenes .*, another code \("aaaaaaaaaaa…", now "b'):
        kept(place, scenes={"bell": 2}, code="b" * 200)
    assert place.read_bytes() == before


@pytest.mark.parametrize("content", [b"{}\n", b"hello\n", b"[]\n[]\n", b'{"seed": 0}\n{"name": "one"}\n', b"\xff\n"])
def test_another_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "file.jsonl"
    place.write_bytes(content)
    with pytest.raises(UsageError, match=r"file\.jsonl"):
        kept(place)
    assert place.read_bytes() == content


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    place = tmp_path / "file.jsonl"
    with kept(place) as first, kept(place, seed=1) as second:
        first.once("one", lambda: 1)
        with pytest.raises(UsageError, match=r"another run is writing .*file\.jsonl: wait"):
            second.once("one", lambda: 2)
    with kept(place) as third:
        assert third.once("one", never) == 1


def test_a_place_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        kept(tmp_path)
    with pytest.raises(UsageError, match="cannot read"):
        kept(tmp_path / ("x" * 5000))
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    assert kept(file / "below").done == frozenset()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with kept(tmp_path / "none" / "file.jsonl") as first, pytest.raises(UsageError, match="cannot write"):
        first.once("one", lambda: 1)


def test_other_code_is_seen_and_other_words_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished.sightline, "__file__", str(tmp_path / "__init__.py"))
    for room in ("passes", "reports"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "one.py").write_text("1", encoding="utf-8")
    before = code_sha256()
    (tmp_path / "reports" / "one.py").write_text("2", encoding="utf-8")
    assert code_sha256() == before
    (tmp_path / "passes" / "one.py").write_text("2", encoding="utf-8")
    assert code_sha256() != before
