"""The leaderboard: a page of words and numbers from the record of `sightline benchmark`. A pure function of the record.

Methods stand in the order of their mean score: the mean of five columns, each from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sightline.reports.leaderboard_again import chapters
from sightline.reports.leaderboard_findings import findings
from sightline.reports.leaderboard_scores import SCORES, mean_of, ordered, overall
from sightline.reports.leaderboard_words import code, listed, markdown

SCHEMA_VERSION = 1
COLUMNS: Mapping[str, tuple[str, str]] = {
    **SCORES,
    "untrained rank": ("untrained", "rank"),
    "untrained reveals": ("cheat revealed", "untrained"),
}
CHEAT_COLUMNS: Mapping[str, tuple[str, str]] = {
    "completeness": ("cheat", "completeness"),
    "correctness": ("cheat", "correctness"),
    "mass": ("cheat", "mass"),
    "rank": ("cheat", "rank"),
    "reveals the bell": ("cheat revealed", "bell"),
    "reveals the snow": ("cheat revealed", "snow"),
    "mass (honest)": ("honest", "mass"),
}
_MEANING = """\
- **completeness** (FunnyBirds): half how often the network still answers the same (the target on top with half
  its probability or more) with the parts the map calls important alone (preservation) and no longer without them
  (deletion), half the share of parts without effect that the
  map leaves alone (distractibility), at the threshold where the three are best, chosen for each method on these very
  scenes. FunnyBirds' controlled synthetic data check is left out: it needs classes that are defined by sets of parts,
  and these are not.
- **correctness** (FunnyBirds' single deletion): ½ r + ½, r being Spearman's correlation between what the map gives to
  each part and what the score loses when the scene is drawn without it.
- **contrast** (FunnyBirds' target sensitivity): of scenes with two figures, how often the map for each gives its figure
  a larger share than the map for the other does.
- **rank** (CLEVR-XAI): of the highest pixels, as many as the evidence has, the share that lies on it. The evidence is
  what has the largest true effect, and what has half as much.
- **reveals**: the share of scenes in which the maximum of the map lies on the shortcut (the bell, the snow) in the
  cheating network and not in the honest one.
- **untrained**: two null tests with a network of the same make as training begins. *rank* is what its maps get on the
  honest network's evidence; *reveals* is how often the shortcut is the maximum of its maps and not of the honest
  network's. What a map scores here it does not owe to what the network learnt.
"""


def rows_of(record: Mapping[str, Any]) -> list[list[str]]:
    """The table: a head, then a row a contestant, best first; plain text."""
    return _table(record, COLUMNS, overall)


def page(record: Mapping[str, Any]) -> str:
    """The whole page, Markdown."""
    if record.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"a record of version {record.get('schema_version')} came, expected {SCHEMA_VERSION}")
    nulls = [row for row in record["rows"] if row["null"]]
    few = "too narrow for so few, and " if record["form"] == "quick" else ""
    parts = [
        "# Leaderboard: drawn scenes whose evidence is known",
        "<!-- Made by `make leaderboard` from the record of `sightline benchmark`: do not edit this page. -->",
        _opening(record),
        "## What the columns mean",
        _MEANING.rstrip(),
        "## What was found",
        "\n".join(f"- {finding}" for finding in findings(record)),
        "## The table",
        f"Mean and {record['confidence']:.0%} interval (BCa bootstrap over n scenes; {few}a single point where all "
        "scenes gave the same); F+B are forward and backward passes a map. " + _contestants(nulls),
        markdown(*_linked(record, _table(record, COLUMNS, overall))),
        "## The cheating network",
        "The same scores on the network that goes by the bell and the snow, and what is revealed of each.",
        markdown(*_linked(record, _table(record, CHEAT_COLUMNS, None))),
    ]
    if record["refused"]:
        parts += [
            "## Not run",
            markdown([[one["spec"], one["reason"]] for one in record["refused"]], ["method", "why"]),
        ]
    if record["again"]:
        parts += chapters(record["again"])
    return "\n\n".join(parts) + "\n"


def _opening(record: Mapping[str, Any]) -> str:
    many = record["scenes"]
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    form = {
        "quick": "The quick form: dear methods are asked more cheaply, with the settings that stand in their rows. "
        "With few scenes an interval says more than a rank.",
        "full": "The full form: every method as it is by default, or with the settings that stand in its row. Methods "
        "that lie close together may change places on other scenes: an interval says more than a rank.",
    }[record["form"]]
    return (
        f"{len(record['rows'])} contestants on {sum(many.values())} scenes: {many['bell']} dogs with a bell, "
        f"{many['snow']} penguins on snow and {many['plain']} other kinds, explained in the honest network (which goes "
        "by the figure) and in the cheating one (which goes by the bell and the snow), and "
        f"{many['pair']} scenes with two kinds, explained in the honest network. {record['drawn']} scenes were drawn "
        f"with seed {record['seed']} to find those that both networks answer as they are known to. {form}\n\n"
        "The truth of a part is what the network's score loses when the scene is drawn without it. "
        f"{versions}."
    )


def _contestants(nulls: Sequence[Mapping[str, Any]]) -> str:
    names = listed(f"`{row['name']}`" for row in nulls)
    return f"{names} know nothing of the network: what they get is what a score is worth."


def _table(
    record: Mapping[str, Any],
    columns: Mapping[str, tuple[str, str]],
    first: Callable[[Mapping[str, Any]], float] | None,
) -> list[list[str]]:
    """A head that says how many scenes, then a row a contestant; a cell says so where it has another number."""
    rows = ordered(record)
    many = {name: max(mean_of(row, *place)["n"] for row in rows) for name, place in columns.items()}
    table = [["method", *(["mean"] if first else []), *(f"{name} (n {many[name]})" for name in columns), "F+B"]]
    for row in rows:
        cells = [_words(mean_of(row, *place), many[name]) for name, place in columns.items()]
        each = [f"{count / row['maps']:.0f}" for count in row["passes"].values()]
        table.append([row["spec"], *([f"{first(row):.2f}"] if first else []), *cells, "+".join(each)])
    return table


def _linked(record: Mapping[str, Any], table: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """The rows with links to the methods' pages, and the head."""
    body = []
    for cells, row in zip(table[1:], ordered(record), strict=True):
        link = code(row) if row["null"] else f"[{code(row)}](methods/{row['name']}.md)"
        body.append([link, *cells[1:]])
    return body, table[0]


def _words(found: Mapping[str, Any], many: int) -> str:
    if not found["n"]:
        return "–"
    ends = "" if found["low"] is None else f" ({found['low']:.2f} to {found['high']:.2f})"
    return f"{found['mean']:.2f}{ends}" + (f" n {found['n']}" if found["n"] != many else "")
