"""``python -m metta_sweep``: the command line."""

import sys

from metta_sweep.cli import main

if __name__ == "__main__":
    sys.exit(main())
