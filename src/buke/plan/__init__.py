"""Room `plan`: machine, model and data -> how a run is computed, and what memory, time and disk it takes.

`trace.py` follows a step without its numbers, by `live.py`; `choose.py` takes the first way that fits; `outlook.py`
adds time and disk; `machine.py` knows what there is, `known.py` the shapes of models that are not here.
"""

from buke.plan.choose import FREE_SHARE, Fit, Task, first_fit, measure
from buke.plan.machine import Watch, free_bytes, own_bytes, ran_out, trim
from buke.plan.nearest import choose
from buke.plan.outlook import FIRST_STEPS, Plan, budget, keeps_lower, look_ahead
from buke.plan.trace import NO_END, Prepare, Step, Trace, Way, trace

__all__ = [
    "FIRST_STEPS",
    "FREE_SHARE",
    "NO_END",
    "Fit",
    "Plan",
    "Prepare",
    "Step",
    "Task",
    "Trace",
    "Watch",
    "Way",
    "budget",
    "choose",
    "first_fit",
    "free_bytes",
    "keeps_lower",
    "look_ahead",
    "measure",
    "own_bytes",
    "ran_out",
    "trace",
    "trim",
]  # fmt: skip
