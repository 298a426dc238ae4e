# SPDX-License-Identifier: Apache-2.0
"""All cases: `python benchmarks [CASE ...]`."""

from harness import main

if __name__ == "__main__":
    main()
