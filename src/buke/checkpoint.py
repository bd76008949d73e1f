"""Room `checkpoint`: the whole training state <-> safetensors and JSON, never pickle.

A checkpoint is written to a new folder and renamed; ``state.json`` is written last, so its presence means the rest is
whole.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from buke.runfolder import CHECKPOINTS, sha256_of, write_json
from buke.words import Refusal, t

STATE = "state.json"
OPTIMIZER = "optimizer.safetensors"
WEIGHTS = "adapter_model.safetensors"
BEST = "best.safetensors"


@dataclass
class Progress:
    """Where a run stands: what the loop needs besides tensors to go on as if it had never stopped."""

    step: int = 0  # steps taken
    best_loss: float | None = None
    best_step: int = 0
    scored: int = -1  # steps taken before the last scoring
    waited: int = 0  # scorings since the best
    skipped_in_a_row: int = 0
    seconds: float = 0.0  # of training so far
    scale: float = 1.0  # of the loss; more than 1 in half precision only


def save(
    run: Path,
    progress: Progress,
    parameters: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    keep: int,
) -> Path:
    """Write ``checkpoints/<step>`` and delete all but the newest ``keep``."""
    folder = run / CHECKPOINTS / f"{progress.step:06d}"
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file({name: p.detach().cpu().contiguous() for name, p in parameters.items()}, part / WEIGHTS)
    save_file(_optimizer_tensors(parameters, optimizer), part / OPTIMIZER)
    if best:
        save_file(best, part / BEST)
    state = {
        "progress": progress,
        "random": {name: base64.b64encode(bytes(value.numpy())).decode() for name, value in _random_states().items()},
        "sha256": {path.name: sha256_of(path) for path in sorted(part.iterdir())},
    }
    write_json(part / STATE, state)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    for old in _steps(run)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def restore(
    run: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor]]:
    """Put the newest whole checkpoint back into parameters, optimizer and random states; return progress and best.

    Raises Refusal where there is none, or where it does not fit the parameters.
    """
    whole = ((folder, _whole(folder)) for folder in reversed(_steps(run)))
    folder, state = next(((folder, state) for folder, state in whole if state), (run, None))
    if state is None:
        raise Refusal(t("checkpoint.none", run=run), t("checkpoint.none_hint"))
    weights = load_file(folder / WEIGHTS)
    if {n: v.shape for n, v in weights.items()} != {n: p.shape for n, p in parameters.items()}:
        raise Refusal(t("checkpoint.misfit", folder=folder), t("checkpoint.misfit_hint"))
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    _restore_optimizer(load_file(folder / OPTIMIZER), parameters, optimizer)
    for name, value in state["random"].items():
        _set_random_state(name, torch.frombuffer(bytearray(base64.b64decode(value)), dtype=torch.uint8))
    best = load_file(folder / BEST) if (folder / BEST).is_file() else {}
    return Progress(**state["progress"]), best


def _whole(folder: Path) -> dict[str, Any] | None:
    """state.json of a checkpoint all of whose files are as they were written; None for a damaged one."""
    try:
        state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
        same = all(sha256_of(folder / name) == digest for name, digest in state["sha256"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return state if same else None


def any_in(run: Path) -> bool:
    """Whether a run has a finished checkpoint."""
    return bool(_steps(run))


def _optimizer_tensors(parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value.detach().cpu().contiguous()
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _restore_optimizer(
    tensors: dict[str, Tensor], parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    for name, parameter in parameters.items():
        state: dict[str, Any] = {}
        for key in ("step", "exp_avg", "exp_avg_sq"):
            if f"{name}/{key}" in tensors:
                value = tensors[f"{name}/{key}"]
                state[key] = value if key == "step" else value.to(parameter.device)
        if state:
            optimizer.state[parameter] = state


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random_state(name: str, state: Tensor) -> None:
    if name == "cpu":
        torch.set_rng_state(state)
    elif torch.cuda.is_available():
        torch.cuda.set_rng_state(state)


def _steps(run: Path) -> list[Path]:
    """Checkpoints of a run that were finished, the oldest first."""
    return sorted(path.parent for path in (run / CHECKPOINTS).glob(f"[0-9]*/{STATE}"))
