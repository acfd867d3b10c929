"""`python -m faceweb` serves the web tier."""

import sys

from faceweb.main import main

if __name__ == "__main__":
    sys.exit(main())
