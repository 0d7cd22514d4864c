#!/usr/bin/env python3
"""Writes the man page from what the tool's --help says: make_man.py TOOL OUTPUT. The build calls it."""

import re
import subprocess
import sys

EXIT_CODES = [("0", "done"), ("1", "a check or threshold failed"), ("2", "usage"), ("3", "bad input"),
              ("4", "unsupported model"), ("130, 143", "interrupted by SIGINT or SIGTERM")]
ENVIRONMENT = [("FISHERDIAG_ISA", "baseline, avx2 or avx512: the default of --isa"),
               ("FISHERDIAG_DATA", "folder of the named data sets"),
               ("NO_COLOR", "if set and not empty, no colour on a terminal")]


def help_of(tool, *verb):
    return subprocess.run([tool, *verb, "--help"], capture_output=True, text=True, check=True).stdout


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def entries(lines):
    """(left, right) of the indented lines of a block; a left side too long has its text on the next line."""
    found = []
    for line in lines:
        match = re.match(r"  (\S.*?)(?:  +(\S.*))?$", line)
        if line.startswith(" " * 10) and found:
            left, right = found[-1]
            found[-1] = (left, (right + " " + line.strip()).strip())
        elif match:
            left, right = match.group(1), match.group(2) or ""
            cut = re.match(r"(.* REQUIRED) (\S.*)$", left)
            if cut and not right:
                left, right = cut.groups()
            found.append((left, right))
    return found


def blocks(text):
    """{heading: lines} of a help text; the first block is under ''."""
    result, heading = {"": []}, ""
    for line in text.splitlines():
        match = re.match(r"([A-Z][A-Za-z ]*):\s*(.*)$", line)
        if match:
            heading = match.group(1)
            result[heading] = [match.group(2)] if match.group(2) else []
        elif line.strip():
            result[heading].append(line)
    return result


def tagged(pairs):
    return "".join(".TP\n\\fB%s\\fR\n%s\n" % (escape(left), escape(right)) for left, right in pairs)


def verbatim(lines):
    return ".nf\n%s\n.fi\n" % "\n".join(escape(line) for line in lines)


def verb_section(tool, verb):
    parts = blocks(help_of(tool, verb))
    text = ".SS %s\n%s\n.PP\n%s" % (escape(verb), escape(" ".join(parts[""])), verbatim(parts["Usage"]))
    for heading, lines in parts.items():
        if heading not in ("", "Usage", "Examples"):
            text += tagged(entries(lines))
    if parts.get("Examples"):
        text += ".PP\nExamples:\n" + verbatim(parts["Examples"])
    return text


def page(tool):
    parts = blocks(help_of(tool))
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    verbs = entries(parts["Subcommands"])
    return "".join([
        '.TH FISHERDIAG 1 "" "fisherdiag %s" "User Commands"\n' % version,
        ".SH NAME\nfisherdiag \\- diagonal of a neural network's Fisher information\n",
        ".SH SYNOPSIS\n.B fisherdiag\n.I VERB\n.RI [ OPTIONS ]\n",
        ".SH DESCRIPTION\n%s\nData goes to standard output, everything else to standard error.\n" % escape(parts[""][0]),
        tagged(entries(parts["Options"])), ".SH VERBS\n", tagged(verbs), ".SH OPTIONS OF EACH VERB\n",
        "".join(verb_section(tool, verb) for verb, _ in verbs),
        ".SH EXIT STATUS\n", tagged(EXIT_CODES), ".SH ENVIRONMENT\n", tagged(ENVIRONMENT),
        ".SH EXAMPLES\n", verbatim(parts["Examples"])])


def main(arguments):
    if len(arguments) != 2:
        sys.exit("usage: make_man.py TOOL OUTPUT")
    text = page(arguments[0])
    with open(arguments[1], "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
