"""`caller`, also `python -m gateway`: the command line."""

from __future__ import annotations

import os
import sys

from gateway.cli import app


def main() -> None:
    """Run the command line with this process's environment."""
    app(obj=dict(os.environ), prog_name="caller", args=sys.argv[1:])


if __name__ == "__main__":
    main()
