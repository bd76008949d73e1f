"""``python -m buke`` is the command ``buke``."""

from buke.cli import main

main()
