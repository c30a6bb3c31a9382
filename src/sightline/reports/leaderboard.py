"""The leaderboard: a page of words and numbers from the record of `sightline benchmark`. A pure function of the record.

Methods stand in the order of their mean score: the mean of five columns, each from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sightline.evaluation.aggregate import interval
from sightline.reports.leaderboard_again import chapters
from sightline.reports.leaderboard_words import listed, markdown

SCHEMA_VERSION = 1
FEW = 12
"""So many methods are named one by one."""
SCORES: Mapping[str, tuple[str, str]] = {
    "completeness": ("honest", "completeness"),
    "correctness": ("honest", "correctness"),
    "contrast": ("honest", "contrast"),
    "rank": ("honest", "rank"),
    "reveals": ("cheat revealed", "all"),
}
"""The columns of the mean: name → where it stands in a row's means."""
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


def ordered(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The contestants by their mean score, best first; equal ones as they came."""
    return sorted(record["rows"], key=overall, reverse=True)


def overall(row: Mapping[str, Any]) -> float:
    """The mean of the five scores."""
    return sum(float(_mean(row, *place)["mean"]) for place in SCORES.values()) / len(SCORES)


def page(record: Mapping[str, Any]) -> str:
    """The whole page, Markdown."""
    if record.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"a record of version {record.get('schema_version')} came, expected {SCHEMA_VERSION}")
    nulls = [row for row in record["rows"] if row["null"]]
    parts = [
        "# Leaderboard: drawn scenes whose evidence is known",
        "<!-- Made by `make leaderboard` from the record of `sightline benchmark`: do not edit this page. -->",
        _opening(record),
        "## What the columns mean",
        _MEANING.rstrip(),
        "## What was found",
        "\n".join(f"- {finding}" for finding in findings(record)),
        "## The table",
        f"Mean and {record['confidence']:.0%} interval (BCa bootstrap over n scenes; too narrow "
        "for so few, and a single point where all scenes gave the same); F+B are forward and backward passes a map. "
        + _contestants(nulls),
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


def findings(record: Mapping[str, Any]) -> list[str]:
    """What a reader should take along, from the numbers."""
    rows = [row for row in ordered(record) if not row["null"]]
    nulls = [row for row in record["rows"] if row["null"]]
    best = ", ".join(f"{_code(row)} {overall(row):.2f}" for row in rows[:5])
    found = [
        f"Highest mean score: {best}. Knowing nothing: " + listed(f"{row['name']} {overall(row):.2f}" for row in nulls)
    ]
    for name, place in SCORES.items():
        above = [row for row in rows if _above(record, row, *place)]
        few = f": {_names(above)}" if len(above) <= FEW else ""
        found.append(
            f"By {name}, {len(above)} of {len(rows)} are clearly above knowing nothing on the same scenes{few}."
        )
    always = [row for row in rows if _mean(row, "cheat revealed", "all")["mean"] == 1]
    never = [row for row in rows if _mean(row, "cheat revealed", "all")["mean"] == 0]
    found.append(f"The cheat is revealed in every scene by {_names(always)}; in none by {_names(never)}.")
    loud = [row for row in rows if _clear(row, "cheat revealed", "untrained")]
    found.append(
        f"**Reveals in an untrained network, too**: {_names(loud)}. Their maximum lies on the bell or on the snow "
        "before anything was learnt, so that it is no evidence of a cheat by itself."
    )
    idle = [row for row in rows if not _clear(row, "untrained", "gain")]
    found.append(
        f"**Rank no higher than before training** (the interval of the gain holds 0): {_names(idle)}. What these maps "
        "find is what stands out in the picture."
    )
    blind = [row for row in rows if _mean(row, "honest", "contrast")["mean"] == 0]
    found.append(f"The map does not change with the target, or changes for the worse (contrast 0): {_names(blind)}.")
    return found


def _opening(record: Mapping[str, Any]) -> str:
    many = record["scenes"]
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    form = {
        "quick": "The quick form: dear methods are asked more cheaply, with the settings that stand in their rows.",
        "full": "The full form: every method at its defaults.",
    }[record["form"]]
    return (
        f"{len(record['rows'])} contestants on {sum(many.values())} scenes: {many['bell']} dogs with a bell, "
        f"{many['snow']} penguins on snow and {many['plain']} other kinds, explained in the honest network (which goes "
        "by the figure) and in the cheating one (which goes by the bell and the snow), and "
        f"{many['pair']} scenes with two kinds, explained in the honest network. {record['drawn']} scenes were drawn "
        f"with seed {record['seed']} to find those that both networks answer as they are known to. {form} With few "
        "scenes an interval says more than a rank.\n\nThe truth of a part is what the network's score loses when the "
        f"scene is drawn without it. {versions}."
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
    many = {name: max(_mean(row, *place)["n"] for row in rows) for name, place in columns.items()}
    table = [["method", *(["mean"] if first else []), *(f"{name} (n {many[name]})" for name in columns), "F+B"]]
    for row in rows:
        cells = [_words(_mean(row, *place), many[name]) for name, place in columns.items()]
        each = [f"{count / row['maps']:.0f}" for count in row["passes"].values()]
        table.append([row["spec"], *([f"{first(row):.2f}"] if first else []), *cells, "+".join(each)])
    return table


def _linked(record: Mapping[str, Any], table: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """The rows with links to the methods' pages, and the head."""
    body = []
    for cells, row in zip(table[1:], ordered(record), strict=True):
        link = _code(row) if row["null"] else f"[{_code(row)}](methods/{row['name']}.md)"
        body.append([link, *cells[1:]])
    return body, table[0]


def _mean(row: Mapping[str, Any], part: str, score: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] | None = row["means"][part].get(score)
    return found or {"mean": 0.0, "low": None, "high": None, "n": 0}


def _words(found: Mapping[str, Any], many: int) -> str:
    if not found["n"]:
        return "–"
    ends = "" if found["low"] is None else f" ({found['low']:.2f} to {found['high']:.2f})"
    return f"{found['mean']:.2f}{ends}" + (f" n {found['n']}" if found["n"] != many else "")


def _above(record: Mapping[str, Any], row: Mapping[str, Any], part: str, score: str) -> bool:
    """Whether a method is clearly above every contestant that knows nothing, scene by scene."""
    for null in (one for one in record["rows"] if one["null"]):
        pairs = zip(row["values"][part][score], null["values"][part][score], strict=True)
        apart = [own - other for own, other in pairs if own is not None and other is not None]
        low = interval(apart, seed=record["seed"]).low if apart else None
        if low is None or low <= 0:
            return False
    return True


def _clear(row: Mapping[str, Any], part: str, score: str) -> bool:
    """Whether a mean lies above 0 with its whole interval."""
    low = _mean(row, part, score)["low"]
    return low is not None and low > 0


def _code(row: Mapping[str, Any]) -> str:
    return f"`{row['spec']}`"


def _names(rows: Sequence[Mapping[str, Any]]) -> str:
    return listed(f"`{row['name']}`" for row in rows)
