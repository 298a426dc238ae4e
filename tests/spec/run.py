# SPDX-License-Identifier: Apache-2.0
"""Run the specification's test suite: python tests/spec/run.py [--engine NAME] [core/i32 …]

Prints a line for each command that failed and is not a known gap, then the figures.
"""

import argparse
import sys
import time
from collections import Counter

from runner import file_names, judge_for, known_gaps, run_file, suite

import anywasm


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the specification's test suite.")
    parser.add_argument("names", nargs="*", help='test files, as "core/i32" or "i32"; all of them if left out')
    parser.add_argument("--engine", action="append", help="an engine; may be repeated; all of them if left out")
    parser.add_argument("--all", action="store_true", help="tell the known gaps too")
    parser.add_argument("--why", action="store_true", help="tell why commands were skipped, and how many")
    options = parser.parse_args()
    folder = suite()
    if folder is None:
        print("the suite is not here; set ANYWASM_SPEC to its folder", file=sys.stderr)
        return 2
    wanted = set(options.names)
    names = [name for name in file_names(folder) if not wanted or wanted & {name, name.partition("/")[2]}]
    status = 0
    for engine_name in options.engine or [info.name for info in anywasm.engines() if info.available]:
        engine = anywasm.Engine(engine_name)
        judge = judge_for(engine)
        gaps = known_gaps(engine_name)
        passed = failed = skipped = known = 0
        reasons: Counter[str] = Counter()
        start = time.perf_counter()
        for name in names:
            outcome = run_file(folder / name, engine, judge)
            listed = gaps.get(name, {})
            passed += outcome.passed
            failed += outcome.failed
            skipped += sum(outcome.skipped.values())
            reasons.update(outcome.skipped)
            for failure in outcome.failures:
                known += failure.line in listed
                if failure.line not in listed or options.all:
                    print(f"{engine_name} {name}:{failure.line}: {failure.command}: {failure.message}")
                    status = 1
            if outcome.blocked and not listed:
                print(f"{engine_name} {name}: {outcome.blocked} commands lack their instance")
            if healed := set(listed) & outcome.passed_lines:
                print(f"{engine_name} {name}: listed as known gaps, but passed: {sorted(healed)}")
                status = 1
        if options.why:
            for reason, count in reasons.most_common():
                print(f"{engine_name} skipped {count}: {reason}")
        seconds = time.perf_counter() - start
        print(
            f"{engine_name} {engine.version}: {passed} passed, {failed} failed ({known} of them known gaps), "
            f"{skipped} skipped for lack of a feature, in {seconds:.1f} s",
            flush=True,
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
