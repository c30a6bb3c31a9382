"""Pages made from the code itself: a method's, a metric's and the fills' docstrings and fields as Markdown.

A docstring is laid out as its author wrote it: the heading before the colon of its first line, paragraphs, and indented
blocks (formulas, examples, tables) kept letter by letter.
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

import sightline
from sightline.attribution.base import Method
from sightline.attribution.table import METHODS
from sightline.evaluation.base import Metric, MetricTraits
from sightline.evaluation.table import METRICS
from sightline.images import fills
from sightline.reports.leaderboard import page
from sightline.spec import Field, Named, fields_of
from sightline.spec_text import write

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
LEADERBOARD = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "leaderboard.json"
NOTE = "<!-- Made from the code by docs/make.py: change the docstring, not this page. -->"


def all_pages() -> dict[str, str]:
    """Every page made from docstrings: its path in `docs/` and its text."""
    pages = {f"methods/{name}.md": method_page(cls()) for name, cls in METHODS.items()}
    pages |= {f"metrics/{name}.md": metric_page(cls) for name, cls in METRICS.items()}
    pages["methods/README.md"] = method_index()
    pages["metrics/README.md"] = metric_index()
    pages["fills.md"] = fills_page()
    return pages


def leaderboard_page() -> str:
    """The leaderboard, from the record that `make leaderboard` has left."""
    return page(json.loads(LEADERBOARD.read_text(encoding="utf-8")))


def method_page(method: Method) -> str:
    """The page of one method."""
    traits = method.traits
    facts = {
        "family": traits.family,
        "needs": traits.needs.value,
        "passes for a picture": f"{traits.cost} (F forward, B backward)",
        "sign of the map": "for and against (positive and negative)" if traits.signed else "for only (none negative)",
        "adds up": "yes: the map sums to a difference of scores" if traits.complete else "no",
        "same map every time": "yes" if traits.deterministic else "yes for the same `seed`",
        "paper": traits.paper,
    }
    drawing = (
        f"![{method.name} of a dog with a bell](../pictures/{method.name}.webp)",
        f"`{method}` on the built-in picture `demo:dog-with-bell`: why `dog`? In the middle the built-in network, "
        "on the right its twin that learnt to cheat (a bell means `dog`).",
    )
    return _page(type(method), {"by name": _names(type(method)), "in Python": _home(type(method)), **facts}, drawing)


def metric_page(cls: type[Metric]) -> str:
    """The page of one metric."""
    traits = cls.traits
    facts = {
        "family": traits.family,
        "better": traits.better,
        "best value": _best_of(traits),
        "values": traits.range,
        "needs": _needs_of(traits),
        "passes for a map": traits.cost + (" (F forward)" if traits.asks else ""),
        "paper": traits.paper,
    }
    suffix = "svg" if (PICTURES / f"{cls.name}.svg").is_file() else "webp"
    where = "the object is outlined" if traits.needs_mask else "three methods are compared"
    drawing = (
        f"![{cls.name}](../pictures/{cls.name}.{suffix})",
        f"`{cls()}` on the built-in picture `demo:dog-with-bell` and the built-in network; {where}.",
    )
    return _page(cls, {"by name": _names(cls), "in Python": _home(cls), **facts}, drawing)


def _needs_of(traits: MetricTraits) -> str:
    if traits.needs_method:
        return "the method behind the map, which is asked again: an `Attribution`"
    return "a mask of the object" if traits.needs_mask else "nothing but the map"


def _better_of(traits: MetricTraits) -> str:
    return traits.better if traits.ideal is None else f"nearest {traits.ideal:g}"


def _best_of(traits: MetricTraits) -> str:
    """The value that speaks most for a map, in words."""
    if traits.ideal is None:
        return f"the {traits.better.removesuffix('er')}est"
    return f"{traits.ideal:g}: methods are ranked by how near to it their values lie, on either side"


def method_index() -> str:
    """The table of all methods."""
    head = [
        "# Methods",
        "",
        NOTE,
        "",
        "One page a method, made from its code. Which one when: [choosing](../choosing.md).",
    ]
    rows = [
        (_link(cls), cls().traits.family, _summary(cls), cls().traits.needs.value, cls().traits.cost)
        for cls in METHODS.values()
    ]
    return _lines(*head, "", *_table(("method", "family", "what it shows", "needs", "passes"), rows))


def metric_index() -> str:
    """The table of all metrics."""
    head = ["# Metrics", "", NOTE, "", "One page a metric, made from its code. Each judges one map by one number."]
    rows = [
        (_link(cls), cls.traits.family, _summary(cls), _better_of(cls.traits), cls.traits.cost)
        for cls in METRICS.values()
    ]
    return _lines(*head, "", *_table(("metric", "family", "what it tells", "better", "passes"), rows))


def fills_page() -> str:
    """The page of all fills."""
    blocks = ["# Fills", "", NOTE, "", laid_out(inspect.cleandoc(fills.__doc__ or ""))]
    blocks += ["", "![One picture under every fill](pictures/fills.webp)", ""]
    blocks += ["The built-in picture `demo:dog-with-bell` as each fill makes it.", ""]
    rows = []
    for cls in fills.FILLS.values():
        fields = ", ".join(
            f"`{field.name}` {_range(field)}, {field.doc} (`{_default(field)}`)" for field in fields_of(cls)
        )
        rows.append((_names(cls), _summary(cls), fields))
    return _lines(*blocks, *_table(("fill", "what it shows", "fields"), rows))


def laid_out(doc: str) -> str:
    """A docstring without its margin as Markdown: indented blocks in fences, all else as it is."""
    blocks: list[str] = []
    for block in doc.rstrip().split("\n\n"):
        if block.startswith(("    ", "{")) or "\n├── " in block:
            code = textwrap.dedent(block)
            language = "python" if code.startswith("sightline.") else "text"
            if blocks and blocks[-1].endswith("```") and blocks[-1].startswith(f"```{language}"):
                blocks[-1] = blocks[-1].removesuffix("\n```") + f"\n\n{code}\n```"
            else:
                blocks.append(f"```{language}\n{code}\n```")
        else:
            blocks.append(block)
    return "\n\n".join(blocks)


def _page(cls: type[Named], facts: Mapping[str, str], drawing: tuple[str, str]) -> str:
    doc = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")
    heading, _, rest = doc.partition(":")
    first, _, body = rest.strip().partition("\n\n")
    blocks = [f"# {heading}", "", NOTE, "", f"**{_sentence(first)}**", "", drawing[0], "", drawing[1], ""]
    blocks += [laid_out(body), "", "## In short", "", *_table(("", ""), list(facts.items()))]
    blocks += ["", "## Fields", "", *_fields(cls)]
    return _lines(*blocks)


def _fields(cls: type[Named]) -> list[str]:
    rows = [
        (f"`{field.name}`", _takes(field), f"`{_default(field)}`", _range(field), field.doc) for field in fields_of(cls)
    ]
    if not rows:
        return ["It has none."]
    example = next((f"{cls.name}({field.name}={_default(field)})" for field in fields_of(cls)), cls.name)
    table = _table(("field", "takes", "default", "range", "what it is"), rows)
    return [*table, "", f"Written as in `{example}`, on the command line, in Python and in the manifest alike."]


def _takes(field: Field) -> str:
    """What a field takes, with a link where it is a value of its own."""
    kind = field.kind.replace("|", " \\| ")
    return kind.replace("fill", "[fill](../fills.md)").replace("method", "[method](README.md)")


def _default(field: Field) -> str:
    value = field.default
    if isinstance(value, Named):
        return str(value)
    return "none" if value is None else write(value)


def _range(field: Field) -> str:
    return field.range.words() if field.range else ""


def _names(cls: type[Named]) -> str:
    also = "".join(f", also `{alias}`" for alias in cls.aliases)
    return f"`{cls.name}`{also}"


def _home(cls: type[Named]) -> str:
    public = getattr(sightline, cls.__name__, None) is cls if cls.__name__ in sightline.__all__ else False
    return f"`sightline.{cls.__name__}`" if public else f"`{cls.__module__}.{cls.__name__}`"


def _link(cls: type[Named]) -> str:
    return f"[{cls.name}]({cls.name}.md)"


def _summary(cls: type[Named]) -> str:
    return (inspect.getdoc(cls) or "").split("\n")[0]


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
