"""``python -m memrouter``."""

from memrouter.cli.main import run

if __name__ == "__main__":
    run()
