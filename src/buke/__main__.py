"""``python -m buke`` is the command ``buke``."""

from buke.cli import main

if __name__ == "__main__":  # a worker process of `check` imports this file too, and must not start anew
    main()
