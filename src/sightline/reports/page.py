"""Where pages come from: the templates, styles and scripts beside this file, and pictures as parts of a page."""

from __future__ import annotations

import base64
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup


def text_of(name: str) -> str:
    """A file beside this one: a template, a style sheet or a script."""
    return files("sightline.reports").joinpath(name).read_text("utf-8")


def styles(*names: str) -> Markup:
    """Style sheets, one after the other; they are ours, and not escaped."""
    return Markup("".join(map(text_of, names)))


@cache
def template(name: str) -> jinja2.Template:
    """A page's template, which may import the others; everything that is put into it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(text_of),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def webp_address(content: bytes) -> str:
    """The bytes of a WebP picture as an address that holds them all."""
    return f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}"
