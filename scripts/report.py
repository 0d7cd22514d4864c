#!/usr/bin/env python3
"""Turns measurements into a report.

    scripts/report.py build/run --out report             the folder scripts/run.sh measured into
    scripts/report.py report/results.json --out report   the same again, from the results alone

Writes index.html (one file, readable offline), *.png, summary.md and results.json (Google Benchmark's format).
What was not measured is left out and said. Needs matplotlib and Jinja2.

exit codes: 0 done, 2 usage, 3 results that cannot be read or a folder that cannot be written
"""

import argparse
import pathlib
import sys

from fisherdiag_report import benchmark_json, results


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path, help="folder of measurements, or a results.json")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("report"), help="folder to write (default: report)")
    options = parser.parse_args(arguments)
    try:
        from fisherdiag_report import page
    except ImportError as error:
        print(f"report.py: this Python cannot import {error.name}; install python3-matplotlib and python3-jinja2",
              file=sys.stderr)
        return 3
    try:
        if options.results.is_dir():
            measured = results.from_folder(options.results)
        else:
            measured = results.from_document(benchmark_json.read(options.results), str(options.results))
        page.write(measured, options.out)
    except benchmark_json.BadFile as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        print(f"report.py: {options.out} cannot be written: {error.strerror}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
