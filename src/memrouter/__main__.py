"""The command ``memrouter`` and ``python -m memrouter``."""

import sys

from memrouter.cli.exit_status import INTERRUPTED_EXIT


def run() -> None:
    """Run the command line; Ctrl-C while it is still being read ends it as quietly as later."""
    try:
        from memrouter.cli.main import run as command
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT)
    command()


if __name__ == "__main__":
    run()
