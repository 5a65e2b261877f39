"""Prints a table of the lines that are covered, module by module, and fails where the core has too few.

    table.py LCOV PERCENT_MIN

Tests in the source do not count as lines of it.
"""

import sys
from collections import defaultdict
from pathlib import Path

CORE = ["close", "connection", "deflate", "error", "frame", "handshake", "limits", "utf8"]
SOURCE = Path(__file__).resolve().parents[2] / "src"


def main():
    lcov, percent_min = sys.argv[1], float(sys.argv[2])
    modules = defaultdict(lambda: [0, 0])
    missed = []
    for path, lines in counted(lcov):
        module = path.parts[0].removesuffix(".rs")
        modules[module][0] += len(lines)
        modules[module][1] += sum(count > 0 for count in lines.values())
        if module in CORE:
            missed += [f"src/{path}:{line}" for line, count in sorted(lines.items()) if count == 0]

    for name in CORE:
        if name not in modules:
            sys.exit(f"coverage: no line of {name} was counted")
    print(f"{'module':12} {'lines':>6} {'covered':>8}")
    for name in CORE + sorted(modules.keys() - set(CORE)):
        row(name, *modules[name])
    total = [sum(modules[name][i] for name in CORE) for i in (0, 1)]
    row("the core", *total)
    row("all", *[sum(it[i] for it in modules.values()) for i in (0, 1)])
    print("not covered in the core:", ", ".join(missed) or "nothing")
    if percent(*total) < percent_min:
        sys.exit(f"coverage: less than {percent_min:g} % of the core")


def counted(lcov):
    """Each file below src, with the count of each line of it that is no test."""
    path, lines, end = None, {}, None
    for record in Path(lcov).read_text().splitlines():
        key, _, value = record.partition(":")
        if key == "SF":
            path, lines = Path(value), {}
            if path.is_relative_to(SOURCE):
                end = first_line_of_tests(path)
        elif key == "DA" and path.is_relative_to(SOURCE):
            line, count = map(int, value.split(",")[:2])
            if line < end:
                lines[line] = count
        elif key == "end_of_record" and lines:
            yield path.relative_to(SOURCE), lines


def first_line_of_tests(path):
    source = path.read_text().splitlines()
    return source.index("#[cfg(test)]") + 1 if "#[cfg(test)]" in source else len(source) + 1


def row(name, lines, covered):
    print(f"{name:12} {lines:6,} {percent(lines, covered):7.1f}%")


def percent(lines, covered):
    return 100 * covered / lines if lines else 100.0


main()
