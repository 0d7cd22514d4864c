"""Writes the report: one HTML file that needs nothing else, its figures as PNG, and a Markdown summary."""

import base64
import html
import io
import json
import os
import pathlib
import re

import jinja2
import matplotlib.pyplot as plt

from . import continual, findings, peers, sections

# All figures are shown at one scale, so that their text has one size.
CSS_PIXELS_PER_INCH = 102

TEMPLATES = pathlib.Path(__file__).resolve().parent / "templates"


def write(results, folder):
    """Fills `folder` with index.html, summary.md, results.json and the figures; each file appears whole or not at all.

    A peers.json in the folder, from scripts/compare_peers.sh, becomes a section of its own, and so does every
    continual-*.json, from scripts/experiments.sh.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = sections.all_sections(results)
    comparison = peers.read(folder / peers.FILE)
    if comparison:
        parts.insert(-1, peers.section(comparison))
    parts[-1:-1] = continual.sections(folder)
    images = {}
    for section in parts:
        for stem, figure, _ in section.figures:
            images[stem] = _png(figure)
    for stale in folder.glob("*.png"):
        if stale.stem not in images:
            stale.unlink()
    for stem, image in images.items():
        _replace(folder / f"{stem}.png", image)
    values = {
        "sections": parts,
        "findings": findings.headlines(results),
        "about": results.about,
        "context": results.context,
        "images": {stem: base64.b64encode(image).decode("ascii") for stem, image in images.items()},
        "widths": {stem: round(_png_width(image) / plt.rcParams["savefig.dpi"] * CSS_PIXELS_PER_INCH)
                   for stem, image in images.items()},
    }
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=False, trim_blocks=True,
                                     lstrip_blocks=True)
    environment.filters["escape_text"] = html.escape
    environment.filters["markdown"] = _markdown
    _replace(folder / "index.html", environment.get_template("report.html.j2").render(values).encode("utf-8"))
    _replace(folder / "summary.md", environment.get_template("summary.md.j2").render(values).encode("utf-8"))
    _replace(folder / "results.json", json.dumps(results.document, indent=1).encode("utf-8"))


def _png(figure):
    stream = io.BytesIO()
    # Without the software's version the same figure gives the same bytes.
    figure.savefig(stream, format="png", bbox_inches="tight", facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return stream.getvalue()


def _png_width(image):
    """Pixels, from the header chunk: bytes 16-19, big-endian (PNG specification, 11.2.2)."""
    return int.from_bytes(image[16:20], "big")


def _replace(path, content):
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _markdown(markup):
    """The few tags the sections use, as Markdown."""
    for tag, mark in (("b", "**"), ("em", "*"), ("code", "`")):
        markup = re.sub(f"</?{tag}>", mark, markup)
    return html.unescape(re.sub(r"<[^>]+>", "", markup))
