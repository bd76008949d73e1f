"""buke (补课): teach a reasoning model from your own chain-of-thought records, and prove what changed.

The rooms of the package, in the order a record passes them, are listed in ROOMS.
A room imports only from rooms above it; ``tests/test_rooms.py`` holds that.
"""

__version__ = "0.1.0"

ROOMS = (
    "words",
    "config",
    "records",
    "runfolder",
    "machine",
    "intake",
    "prompt",
    "encoded",
    "pack",
    "kernels",
    "hub",
    "model",
    "plan",
    "checkpoint",
    "train",
    "generate",
    "grade",
    "compare",
    "report",
    "demo",
    "cli",
)
