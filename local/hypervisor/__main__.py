"""`python -m hypervisor`."""

import os
import sys

from hypervisor.main import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
