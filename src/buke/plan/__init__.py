"""Room `plan`: machine, model and data -> how a run is computed, and what memory, time and disk it takes.

`trace.py` follows a step without its numbers; `choose.py` takes the first way that fits; `machine.py` knows what there is.
"""

from buke.plan.choose import Fit, Task, choose, first, gb, measure
from buke.plan.machine import Watch, bytes_of, free_bytes, own_bytes, products_per_second
from buke.plan.trace import Prepare, Step, Trace, Way, trace

__all__ = [
    "Fit", "Prepare", "Step", "Task", "Trace", "Watch", "Way", "bytes_of", "choose", "first", "free_bytes", "gb",
    "measure", "own_bytes", "products_per_second", "trace",
]  # fmt: skip
