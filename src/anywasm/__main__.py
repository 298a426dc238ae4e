# SPDX-License-Identifier: Apache-2.0
"""`python -m anywasm`: the command line."""

import sys

from ._cli import main

sys.exit(main())
