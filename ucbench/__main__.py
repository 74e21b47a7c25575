"""``python -m ucbench``."""

import sys

from ucbench.cli.app import main

sys.exit(main())
