"""`python -m mismartera` is the `mismartera` command."""

from __future__ import annotations

import sys

from mismartera.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
