"""Builds the report: one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup

from cocon.files import atomic_path
from cocon.report import (
    alignment,
    confusion,
    curves,
    feature_space,
    headline,
    neighbours,
    relations,
    resources,
    setup,
    sheets,
    status,
    truth,
    wording,
)
from cocon.report.inputs import Inputs, PageSection
from cocon.report.marks import marker_path
from cocon.report.style import style_sheet

_SECTIONS = (
    headline.section,
    setup.section,
    curves.section,
    sheets.section,
    confusion.section,
    neighbours.section,
    feature_space.section,
    relations.section,
    alignment.section,
    truth.section,
    resources.section,
    status.section,
)


def build_sections(inputs: Inputs) -> list[PageSection]:
    """All sections that this data set has, in their order on the page."""
    return [found for section in _SECTIONS if (found := section(inputs)) is not None]


def render(inputs: Inputs) -> str:
    """The page as text.

    Its content security policy allows the one script and data URIs, and nothing else: even a file name
    that got past the escaping could neither run nor load anything.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cocon.report", "assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        per_cent=wording.per_cent,
        points=wording.signed_points,
        duration=wording.duration,
        file_size=wording.file_size,
        marker=marker_path,
    )
    assets = Path(__file__).with_name("assets")
    script = (assets / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.jinja").render(
        inputs=inputs,
        sections=build_sections(inputs),
        script=Markup(script),
        script_hash=digest,
        style=Markup(style_sheet()),
    )


def write_report(inputs: Inputs, output: Path) -> None:
    """Render and write the page atomically."""
    with atomic_path(output) as temporary:
        # A file name that is not valid UTF-8 must not make the report fail.
        temporary.write_bytes(render(inputs).encode("utf-8", "replace"))
