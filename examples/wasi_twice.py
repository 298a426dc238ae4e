# SPDX-License-Identifier: Apache-2.0
"""A program that sleeps and plays dice, twice the same: its clock stands still, its chance follows from a seed."""

from datetime import datetime, timezone
from pathlib import Path

import anywasm
from anywasm import wasi

clock = wasi.Clock(datetime(2000, 1, 1, tzinfo=timezone.utc), speed=0)  # sleeping sets it forward, and takes no time
for seed in (1, 1, 2):
    anywasm.run(Path(__file__).with_name("dice.wasm"), clock=clock, random=seed, stdout=print)
