"""Room `train`: the step, and the loop that yields what happened. It prints nothing and draws nothing.

`step.py` is one optimizer step, `loop.py` the course of a run, `job.py` a run whose events go into its folder;
`begin.py` makes one from settings or takes one up, and `settle.py` fills in what was left open.
"""
