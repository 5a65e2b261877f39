#!/usr/bin/env python3
"""What `run` leaves to Python: a free port, the suite's spec file, and the comparison of reports with expectations.

    cases.py port                             prints a free port of 127.0.0.1
    cases.py spec [--quick] URL OUTDIR        prints the spec file of a run; URL serves both roles
    cases.py compare [--quick] [--problems N] ROLE...
                                              compares the reports, prints differences and the summary; exits 1 on any
"""

import argparse
import json
import socket
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPORTS = HERE.parent / "target" / "autobahn" / "reports"

# The name that our server is given and that our client gives itself. The suite's report is grouped by it.
AGENT = "tautline"

# The groups that --quick leaves out: limits and performance, and compression.
SLOW_GROUPS = ("9", "12", "13")

# The columns of the summary. Whatever else the suite may say about a case counts as FAILED.
BEHAVIORS = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED")


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("port")
    spec = commands.add_parser("spec")
    spec.add_argument("--quick", action="store_true")
    spec.add_argument("url")
    spec.add_argument("outdir")
    compare = commands.add_parser("compare")
    compare.add_argument("--quick", action="store_true")
    compare.add_argument("--problems", type=int, default=0)
    compare.add_argument("roles", nargs="+")
    arguments = parser.parse_args()

    if arguments.command == "port":
        print(free_port())
    elif arguments.command == "spec":
        print(json.dumps(make_spec(arguments.url, arguments.outdir, arguments.quick), indent=2))
    else:
        sys.exit(compare_roles(arguments.roles, arguments.quick, arguments.problems))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_spec(url, outdir, quick):
    """The suite reads `url` as its own address when it is the server, and `servers` when it is the client.

    A pattern is a prefix, with the dot taken as a dot, so "9.*" is group 9 alone. All cases less the left-out groups,
    rather than a list of the wanted ones: a case that nothing is expected of then still runs, and is a difference.
    """
    return {
        "url": url,
        "servers": [{"agent": AGENT, "url": url}],
        "outdir": outdir,
        "cases": ["*"],
        "exclude-cases": [group + ".*" for group in SLOW_GROUPS] if quick else [],
        "exclude-agent-cases": {},
    }


def compare_roles(roles, quick, problems):
    """Prints every difference, then the summary. `problems` are what went wrong with the run itself."""
    rows = []
    passed = 0
    failed = problems
    for role in roles:
        expected = load_expected(role, quick)
        got = load_report(role)
        differences = [case for case in sorted({*expected, *got}, key=case_key)
                       if expected.get(case) != got.get(case)]
        print(f"\n{role}: {len(got)} of {len(expected)} cases ran, {len(differences)} not as expected")
        for case in differences:
            print(f"  {case:8} expected {describe(expected.get(case), 'nothing')}, "
                  f"got {describe(got.get(case), 'no result')}  {html_report(role, case)}")
        rows.append([role, *count_behaviors(got), len(got)])
        failed += len(differences)
        passed += len({*expected, *got}) - len(differences)

    print_table(["role", *BEHAVIORS, "total"], rows)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


def load_expected(role, quick):
    """The expectations of the selected cases, as a map from the case to (behavior, behaviorClose)."""
    cases = verdicts(json.loads((HERE / f"expected-{role}.json").read_text()))
    return {case: verdict for case, verdict in cases.items()
            if not (quick and case.split(".")[0] in SLOW_GROUPS)}


def load_report(role):
    """What the suite found, in the same form. Without a report no case ran."""
    index = REPORTS / role / "index.json"
    if not index.exists():
        return {}
    return verdicts(json.loads(index.read_text()).get(AGENT, {}))


def verdicts(cases):
    return {case: (result["behavior"], result["behaviorClose"]) for case, result in cases.items()}


def case_key(case):
    return [int(part) for part in case.split(".")]


def describe(verdict, otherwise):
    return "{} (close {})".format(*verdict) if verdict else otherwise


def html_report(role, case):
    report = REPORTS / role / f"{AGENT}_case_{case.replace('.', '_')}.html"
    return report.relative_to(HERE.parent) if report.exists() else "(no report)"


def count_behaviors(got):
    counts = dict.fromkeys(BEHAVIORS, 0)
    for behavior, _ in got.values():
        counts[behavior if behavior in counts else "FAILED"] += 1
    return counts.values()


def print_table(head, rows):
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    print()
    for row in [head, *rows]:
        first, *others = (str(cell) for cell in row)
        print("  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:]))]))


if __name__ == "__main__":
    main()
