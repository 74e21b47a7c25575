"""``python -m ucbench``."""

import sys

from ucbench.cli import main

sys.exit(main())
