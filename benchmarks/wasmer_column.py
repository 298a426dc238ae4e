# SPDX-License-Identifier: Apache-2.0
"""Measures wasmer, which runs on Python 3.10 and older alone, with the same cases.

Each case is measured together with its baseline there, so that the ratio is one of the same run. `python benchmarks
--wasmer PYTHON` runs this with a Python that has the packages wasmer, wasmer_compiler_cranelift and anywasm[bench]:
python3.10 wasmer_column.py FILE [CASE ...]
"""

from __future__ import annotations

import sys

import pyperf

from harness import CASES, benchmark_name, beside, choose, measured


def column(words: list[str]) -> pyperf.BenchmarkSuite:
    cases = [case for case in choose(words) if "wasmer" in case.systems]
    kept = []
    for benchmark in measured(cases, ("wasmer", *{case.baseline for case in cases})):
        about = benchmark.get_metadata()
        case = CASES[f"{about['topic']}: {about['case']}"]
        if about["system"] == case.baseline:
            name = beside(case.baseline, "wasmer")
            benchmark.update_metadata({"system": name, "name": benchmark_name(case, name)})
        elif about["system"] != "wasmer":
            continue
        kept.append(benchmark)
    return pyperf.BenchmarkSuite(kept)


if __name__ == "__main__":
    column(sys.argv[2:]).dump(sys.argv[1], replace=True)
