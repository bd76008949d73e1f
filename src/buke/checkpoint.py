"""Room `checkpoint`: the whole training state <-> safetensors and JSON, never pickle.

A checkpoint is written to a new folder and renamed. ``state.json`` is written last: it holds the hashes of the other
files and one of itself, so a folder is whole or known not to be.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from buke import runfolder
from buke.model import safetensors_of
from buke.runfolder import (
    ASIDE,
    CHECKPOINTS,
    EVAL,
    STEPS,
    new_folder,
    plain,
    seal_of,
    sha256_of,
    write_json,
    write_pieces,
)
from buke.words import Refusal, t

STATE = "state.json"
OPTIMIZER = "optimizer.safetensors"
WEIGHTS = "adapter_model.safetensors"
BEST = "best.safetensors"
SEAL = "seal"  # the hash of all else in state.json


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


@dataclass(frozen=True)
class Restored:
    """What ``restore`` gives back besides what it puts in place. progress: None where no checkpoint was whole."""

    progress: Progress | None
    best: dict[str, Tensor]
    damaged: tuple[Path, ...] = ()  # newer checkpoints that were not whole


def save(
    run: Path,
    progress: Progress,
    parameters: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    keep: int,
) -> Path:
    """Write ``checkpoints/<step>``, wait until it is on the medium, and delete all but the newest ``keep``.

    Raises OSError where the disk does not take it; what was there before is then as it was.
    """
    folder = run / CHECKPOINTS / f"{progress.step:06d}"
    if not folder.parent.is_dir():  # not with its parents: a run that was deleted does not come back half
        runfolder.disk.make(folder.parent)
    for name in (STEPS, EVAL):  # the log of the steps before is not to be behind the checkpoint
        runfolder.sync(run / name)
    with new_folder(folder) as part:
        hashes = {
            name: write_pieces(part / name, safetensors_of(tensors))
            for name, tensors in _files(parameters, optimizer, best).items()
        }
        randoms = {name: base64.b64encode(bytes(value.numpy())).decode() for name, value in _random_states().items()}
        state = plain({"progress": progress, "random": randoms, "sha256": hashes})
        write_json(part / STATE, {**state, SEAL: seal_of(state)})
    _prune(run, progress.step, keep)
    return folder


def size(parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, best: dict[str, Tensor]) -> int:
    """Bytes of a checkpoint, about: its tensors, and a little for the rest."""
    files = _files(parameters, optimizer, best).values()
    return sum(tensor.nbytes for tensors in files for tensor in tensors.values()) + (1 << 16)


def restore(run: Path, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> Restored:
    """Put the newest whole checkpoint back into parameters, optimizer and random states; return the rest of it.

    Where there is none, nothing is touched. Raises Refusal where it does not fit the parameters.
    """
    damaged: list[Path] = []
    for folder in reversed(_steps(run)):
        if state := _whole(folder):
            break
        damaged.append(folder)
    else:
        return Restored(None, {}, tuple(damaged))
    weights = load_file(folder / WEIGHTS)
    if {n: v.shape for n, v in weights.items()} != {n: p.shape for n, p in parameters.items()}:
        raise Refusal(t("checkpoint.misfit", folder=folder), t("checkpoint.misfit_hint"))
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    _restore_optimizer(load_file(folder / OPTIMIZER), parameters, optimizer)
    for name, value in state["random"].items():
        _set_random_state(name, torch.frombuffer(bytearray(base64.b64decode(value)), dtype=torch.uint8))
    return Restored(Progress(**state["progress"]), _best_in(folder, state), tuple(damaged))


def best_of(run: Path, step: int) -> dict[str, Tensor]:
    """The best adapter, if it is the one after ``step`` steps, of a whole checkpoint that holds it; else {}."""
    for folder in reversed(_steps(run)):
        if (state := _whole(folder)) and state["progress"]["best_step"] == step:
            return _best_in(folder, state)
    return {}


def _best_in(folder: Path, state: dict[str, Any]) -> dict[str, Tensor]:
    best = load_file(folder / BEST) if BEST in state["sha256"] else {}
    return {name: tensor.clone() for name, tensor in best.items()}  # not a view of a file that will be deleted


def newest(run: Path) -> int:
    """Steps taken before the newest whole checkpoint; 0 where there is none."""
    states = filter(None, map(_whole, reversed(_steps(run))))
    return next((int(state["progress"]["step"]) for state in states), 0)


def _files(
    parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer, best: dict[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    """File name -> the tensors in it."""
    moments = {
        f"{name}/{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }
    return {WEIGHTS: dict(parameters), OPTIMIZER: moments} | ({BEST: best} if best else {})


def _whole(folder: Path) -> dict[str, Any] | None:
    """state.json of a checkpoint all of whose files are as they were written; None for a damaged one."""
    try:
        state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
        same = state.pop(SEAL) == seal_of(state)
        same = same and all(sha256_of(folder / name) == digest for name, digest in state["sha256"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return state if same else None


def _prune(run: Path, step: int, keep: int) -> None:
    """Delete all checkpoints but the newest ``keep``; those of later steps are damaged ones that were passed over."""
    so_far = [path for path in _steps(run) if _step(path) <= step]
    for path in set(_steps(run)) - set(so_far[-keep:]):
        with suppress(OSError):  # the new one is written all the same, and the next will try again
            runfolder.remove_whole(path)
    runfolder.sweep(run / CHECKPOINTS)  # what was removed half, if that failed before


def _restore_optimizer(
    tensors: dict[str, Tensor], parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    for name, parameter in parameters.items():
        state: dict[str, Any] = {}
        for key in ("step", "exp_avg", "exp_avg_sq"):
            if f"{name}/{key}" in tensors:
                value = tensors[f"{name}/{key}"]
                state[key] = value.clone() if key == "step" else value.to(parameter.device, copy=True)
        if state:
            optimizer.state[parameter] = state


def _random_states() -> dict[str, Tensor]:
    """The states of every generator that dropout may draw from."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def _set_random_state(name: str, state: Tensor) -> None:
    if name == "cpu":
        torch.set_rng_state(state)
    elif name == "cuda" and torch.cuda.is_available():
        torch.cuda.set_rng_state(state)
    elif name == "mps" and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state)


def _step(folder: Path) -> int:
    return int(folder.name.removesuffix(ASIDE))


def _steps(run: Path) -> list[Path]:
    """Checkpoints of a run, whole or not, the oldest first; one that is being replaced counts as older than its
    successor."""
    found = [path for path in (run / CHECKPOINTS).glob("*") if path.name.removesuffix(ASIDE).isdecimal()]
    return sorted(found, key=lambda path: (_step(path), not path.name.endswith(ASIDE)))
