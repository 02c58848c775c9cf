"""`python -m mlic`."""

import sys

from mlic.cli import main

if __name__ == "__main__":
    sys.exit(main())
