"""Room `train`: the step, and the loop that yields what happened. It prints nothing and draws nothing.

`step.py` is one optimizer step; `loop.py` the course of a run; `job.py` makes one from settings and a run folder.
"""
