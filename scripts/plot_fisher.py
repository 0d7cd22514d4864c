#!/usr/bin/env python3
"""Draws how the values of a Fisher file are distributed, tensor by tensor, on a logarithmic axis.

    scripts/plot_fisher.py F.safetensors -o fisher.png
    scripts/plot_fisher.py F-exact.safetensors F-empirical.safetensors -o both.png     one colour for each file

Each panel counts the parameters of one tensor by the size of their value; a line marks the median, and what is zero, which
has no place on the axis, is in the title. Needs matplotlib and numpy.
"""

import argparse
import json
import math
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

BINS = 60
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
MOST_PANELS = 24


def fail(message):
    sys.exit("plot_fisher.py: " + message)


def read(path):
    """{name: values} of the float tensors, in the order of their bytes."""
    import numpy

    try:
        content = pathlib.Path(path).read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8:8 + length])
    except (OSError, struct.error, ValueError) as error:
        fail(f"{path}: cannot be read: {error}")
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["dtype"] not in DTYPES:
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = numpy.frombuffer(content[begin:end], DTYPES[entry["dtype"]]).astype(float)
    if not tensors:
        fail(f"{path}: has no tensors of floats")
    return tensors


def split(values):
    """(log10 of the positive values, share of zeros)"""
    import numpy

    positive = values[values > 0]
    return numpy.log10(positive), 1 - positive.size / max(values.size, 1)


def draw_panel(axis, name, files, edges, colors):
    import numpy

    zeros = []
    for (label, tensors), color in zip(files, colors):
        logs, share = split(tensors.get(name, numpy.array([])))
        zeros.append(f"{100 * share:.3g}%")
        if not logs.size:
            continue
        axis.hist(logs, bins=edges, histtype="stepfilled", alpha=0.35, color=color)
        axis.hist(logs, bins=edges, histtype="step", color=color, label=label)
        axis.axvline(float(numpy.median(logs)), color=color, linestyle="--", linewidth=1)
    count = files[0][1][name].size
    axis.set_title(f"{name}   {count:,} values, {' and '.join(zeros)} zero")
    axis.set_ylabel("parameters")


def draw(files, output):
    import numpy
    from fisherdiag_report import style

    names = list(files[0][1])
    shown = names[:MOST_PANELS]
    logs = [split(tensors[name])[0] for _, tensors in files for name in shown if name in tensors]
    logs = [part for part in logs if part.size]
    if not logs:
        fail("every value is zero")
    low, high = min(part.min() for part in logs), max(part.max() for part in logs)
    edges = numpy.linspace(low - 0.1, high + 0.1, BINS + 1)
    columns = 2 if len(shown) > 1 else 1
    rows = math.ceil(len(shown) / columns)
    fig, axes = style.plt.subplots(rows, columns, figsize=(5 * columns, 2.1 * rows + 0.7), squeeze=False, sharex=True,
                                   constrained_layout=True)
    for axis, name in zip(axes.flat, shown):
        draw_panel(axis, name, files, edges, style.SEQUENCE)
    for axis in list(axes.flat)[len(shown):]:
        axis.axis("off")
    for column in range(columns):
        last = axes[(len(shown) - 1 - column) // columns][column]
        last.xaxis.set_tick_params(labelbottom=True)
        last.set_xlabel("Fisher value")
        last.xaxis.set_major_formatter(lambda value, _: f"$10^{{{value:g}}}$")
    if len(files) > 1:
        axes.flat[0].legend(loc="upper left")
    fig.savefig(output)
    left = f"; {len(names) - len(shown)} more tensors are not shown" if len(names) > len(shown) else ""
    print(f"{output}: {len(shown)} tensors of {len(files)} files{left}")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE", help="Fisher files of one model")
    parser.add_argument("-o", "--output", default="fisher.png", help="the picture (default: fisher.png)")
    options = parser.parse_args(arguments)
    draw([(pathlib.Path(path).stem, read(path)) for path in options.files], options.output)


if __name__ == "__main__":
    main(sys.argv[1:])
