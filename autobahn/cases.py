#!/usr/bin/env python3
"""What `run` leaves to Python: a free port, the spec file of a shard, and the comparison of reports with expectations.

    cases.py port                                      prints a free port of 127.0.0.1
    cases.py spec [MODE] [--tls CERT KEY] ROLE SHARD SHARDS URL OUTDIR
                                                       prints the spec file of a shard, the first being 1; URL serves
                                                       both roles; over TLS, the suite as a server shows CERT
    cases.py compare [MODE] [--problems N] ROLE...     compares the reports of all shards, prints differences and the
                                                       summary; exits 1 on any

Without a MODE all cases are meant, with --quick or --reduced fewer.
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

# The groups of compression. Their cases are group.data.size, and send a thousand messages of that size: the bytes of
# each, by the number of the size less one. From the eleventh on, messages are cut into frames.
COMPRESSION = (12, 13)
MESSAGE_BYTES = (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072,
                 8192, 16384, 32768, 65536, 131072, 131072, 131072, 131072)

# What --quick leaves out: limits and performance, and compression.
SLOW_GROUPS = (9, *COMPRESSION)

# What --reduced leaves out of compression: the sizes that take nearly all of the time.
SLOW_SIZES = (8, 9, 10, 14, 15, 16, 17, 18)

# The columns of the summary. Whatever else the suite may say about a case counts as FAILED.
BEHAVIORS = ("OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED")


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("port")
    spec = commands.add_parser("spec")
    add_modes(spec)
    spec.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    spec.add_argument("role")
    spec.add_argument("shard", type=int)
    spec.add_argument("shards", type=int)
    spec.add_argument("url")
    spec.add_argument("outdir")
    compare = commands.add_parser("compare")
    add_modes(compare)
    compare.add_argument("--problems", type=int, default=0)
    compare.add_argument("roles", nargs="+")
    arguments = parser.parse_args()

    if arguments.command == "port":
        print(free_port())
    elif arguments.command == "spec":
        own = split(load_expected(arguments.role, arguments.mode), arguments.shards)[arguments.shard - 1]
        others = load_expected(arguments.role).keys() - own
        print(json.dumps(make_spec(arguments.url, arguments.tls, arguments.outdir, others), indent=2))
    else:
        sys.exit(compare_roles(arguments.roles, arguments.mode, arguments.problems))


def add_modes(parser):
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--quick", dest="mode", action="store_const", const="quick")
    modes.add_argument("--reduced", dest="mode", action="store_const", const="reduced")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def split(cases, shards):
    """Deals the cases to the shards, those that take long first, each to the shard that has the least to do so far."""
    dealt = [set() for _ in range(shards)]
    costs = [0] * shards
    for case in sorted(cases, key=lambda case: (-cost(case), case_key(case))):
        shard = costs.index(min(costs))
        dealt[shard].add(case)
        costs[shard] += cost(case)
    return dealt


def cost(case):
    """About how long the case takes: in bytes of compressed messages, as most of the time goes into these."""
    group, *_, size = case_key(case)
    return 8000 + MESSAGE_BYTES[size - 1] if group in COMPRESSION else 1000


def make_spec(url, tls, outdir, others):
    """The suite reads `url` as its own address when it is the server, and `servers` when it is the client.

    All cases less those of `others`, rather than a list of the wanted ones: a case that nothing is expected of then
    still runs, in each shard, and is a difference.
    """
    return {
        **dict(zip(("cert", "key"), tls or ())),
        "url": url,
        "servers": [{"agent": AGENT, "url": url}],
        "outdir": outdir,
        "cases": ["*"],
        "exclude-cases": sorted(others, key=case_key),
        "exclude-agent-cases": {},
    }


def compare_roles(roles, mode, problems):
    """Prints every difference, then the summary. `problems` are what went wrong with the run itself."""
    rows = []
    passed = 0
    failed = problems
    for role in roles:
        expected = load_expected(role, mode)
        got = load_reports(role)
        cases = sorted({*expected, *got}, key=case_key)
        differences = [case for case in cases if list(got.get(case, {}).values()) != [expected.get(case)]]
        print(f"\n{role}: {len(got)} of {len(expected)} cases ran, {len(differences)} not as expected")
        for case in differences:
            results = got.get(case, {})
            print(f"  {case:8} expected {describe(expected.get(case), 'nothing')}, "
                  f"got {' and '.join(map(describe, results.values())) or 'no result'}  "
                  f"{' '.join(html_report(role, shard, case) for shard in results) or '(no report)'}")
        rows.append([role, *count_behaviors(got), len(got)])
        failed += len(differences)
        passed += len(cases) - len(differences)

    print_table(["role", *BEHAVIORS, "total"], rows)
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


def load_expected(role, mode=None):
    """The expectations of the cases that the mode runs, as a map from the case to (behavior, behaviorClose)."""
    cases = json.loads((HERE / f"expected-{role}.json").read_text())
    return {case: verdict(result) for case, result in cases.items() if not is_left_out(case, mode)}


def is_left_out(case, mode):
    group, *_, size = case_key(case)
    if mode == "quick":
        return group in SLOW_GROUPS
    if mode == "reduced":
        return group in COMPRESSION and size in SLOW_SIZES
    return False


def load_reports(role):
    """What the suite found, as a map from the case to its verdicts by shard: one, if all is well."""
    got = {}
    for index in sorted((REPORTS / role).glob("*/index.json")):
        for case, result in json.loads(index.read_text()).get(AGENT, {}).items():
            got.setdefault(case, {})[index.parent.name] = verdict(result)
    return got


def verdict(result):
    return result["behavior"], result["behaviorClose"]


def case_key(case):
    return [int(part) for part in case.split(".")]


def describe(verdict, otherwise=None):
    return "{} (close {})".format(*verdict) if verdict else otherwise


def html_report(role, shard, case):
    report = REPORTS / role / shard / f"{AGENT}_case_{case.replace('.', '_')}.html"
    return str(report.relative_to(HERE.parent)) if report.exists() else "(no report)"


def count_behaviors(got):
    counts = dict.fromkeys(BEHAVIORS, 0)
    for verdicts in got.values():
        for behavior, _ in verdicts.values():
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
