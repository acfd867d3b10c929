"""Runs the worker: `python -m faceworker`."""

import os
import sys

from faceworker.main import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
