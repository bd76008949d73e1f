"""What a run was made of: written down in manifest.json, held against what is there now, and against another run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import buke
from buke import hub, prompt, runfolder
from buke.config import Settings, make, read_toml
from buke.runfolder import sha256_of
from buke.words import Refusal, of_system, t

PACKAGES = ("torch", "transformers", "peft", "safetensors", "tokenizers", "numpy", "jinja2")
GROWING = (runfolder.STEPS, runfolder.EVAL, runfolder.EVENTS)  # line by line
SETTLED = (runfolder.RUN_TOML, runfolder.DATA, runfolder.HELD_OUT, *GROWING)
"""Files of a run that nothing writes once it is trained; answers and pages may be made again."""
ROUNDING = "bitsandbytes"
WEIGHTS = "adapter_model.safetensors"
STATE, SEAL = "state.json", "seal"  # of a checkpoint: written last, with the hashes of the rest and one of itself
COMPARED = ("loss_sum", "grad_norm", "tokens", "all_tokens", "learning_rate")  # of two steps of one number
SAME, CHANGED, MISSING = "same", "changed", "missing"


@dataclass(frozen=True)
class Part:
    """A part of what a run rests on. state: ``same``, ``changed`` or ``missing``; what: the difference, in words."""

    name: str
    state: str
    what: str = ""


# what is written down


def code() -> str:
    """SHA-256 over the names and bytes of this program's own files."""
    digest, package = hashlib.sha256(), Path(buke.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".j2", ".css"):
            digest.update(f"{path.relative_to(package).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def packages(four_bits: bool = False) -> dict[str, str]:
    """Versions of Python and of the libraries that decide what a run computes. four_bits: whether it is in NF4."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *[ROUNDING] * four_bits):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


def machine(device: str) -> dict[str, Any]:
    """The machine a run is computed on. device: the name of the card, or ``cpu``."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "device": device,
    }


def own_files(run: Path) -> dict[str, str]:
    """SHA-256 of the files of a trained run that stay as they are, by their path in the run folder."""
    found = [run / name for name in SETTLED] + sorted((run / runfolder.ADAPTER).glob("*"))
    return {path.relative_to(run).as_posix(): sha256_of(path) for path in found if path.is_file()}


def adapter_whole(run: Path, notes: dict[str, Any]) -> bool:
    """Whether the adapter of a trained run is there, each file with the hash its manifest has, where that has one."""
    files = notes.get("files") or {}
    noted = {name: digest for name, digest in files.items() if name.startswith(f"{runfolder.ADAPTER}/")}
    there = (run / runfolder.ADAPTER / WEIGHTS).is_file()
    return there and all(_file("", run / name, digest).state == SAME for name, digest in noted.items())


def unlike(was: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs of threads, device, code and libraries between two manifests, in words; "" where nothing does."""
    figures = (
        {"threads": n.get("threads"), "device": n["machine"].get("device"), "code": n.get("code")} | n["packages"]
        for n in (was, now)
    )
    return _dict("code", *figures).what


def manifest_of(run: Path) -> dict[str, Any]:
    """A run's manifest. Raises Refusal where there is none, or not one."""
    found = runfolder.read_json(run / runfolder.MANIFEST)
    if not isinstance(found, dict):
        raise Refusal(t("train.no_manifest", run=run))
    return found


def place_of(noted: dict[str, Any], runs: Path) -> Path | None:
    """Where the run that a manifest notes as its start lies now, known by its adapter and its held-out part.

    Where none has them, the run at its old place; None where there is none either.
    """
    old = Path(noted["run"])
    there = [run for run in (old, *runfolder.runs_in(runs)) if (run / runfolder.ADAPTER / WEIGHTS).is_file()]
    for run in there:
        files = {"adapter_sha256": run / runfolder.ADAPTER / WEIGHTS, "held_out_sha256": run / runfolder.HELD_OUT}
        if all(path.is_file() and sha256_of(path) == noted[name] for name, path in files.items()):
            return run.resolve()
    return old if old in there else None


def of_trained(run: Path) -> dict[str, Any]:
    """The manifest of a run whose adapter is there and trained to its end. Raises Refusal for any other."""
    notes = manifest_of(run)
    if "result" in notes and (run / runfolder.ADAPTER / WEIGHTS).is_file():
        return notes
    if pid := runfolder.busy(run):
        raise Refusal(t("compare.no_adapter", run=run), t("compare.no_adapter_yet_hint", pid=pid))
    raise Refusal(t("compare.no_adapter", run=run), t("compare.no_adapter_hint", run=run))


# held against what is there now


def verify(run: Path) -> list[Part]:
    """Every part of what a run was made of, and its own files, against what is there now.

    Raises Refusal where the run's manifest is missing or damaged.
    """
    notes = manifest_of(run)
    try:
        return [*ingredients(run, notes), *_files(run, notes), *_checkpoints(run)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        place = run / runfolder.MANIFEST
        raise Refusal(t("runfolder.damaged", place=place, why=why), t("runfolder.damaged_hint")) from None


def ingredients(run: Path, notes: dict[str, Any]) -> Iterator[Part]:
    """Data, prompt, base model, code, libraries, machine, threads, settings and the run that was gone on from."""
    for file in notes["data"]:
        yield _file(t("train.part_data"), Path(file["path"]), file["sha256"])
    settings, problem = _settings(run)
    yield from _base(notes, settings)
    own = {"buke": buke.__version__, "code": code()}
    yield _dict("code", {name: notes.get(name) for name in own}, own)
    yield _dict("packages", notes["packages"], packages(ROUNDING in notes["packages"]))
    yield _dict("machine", notes["machine"], machine(_device(notes["machine"]["device"])))
    yield _threads(notes.get("threads"))
    if settings is None:
        yield Part(t("train.part_settings"), CHANGED if (run / runfolder.RUN_TOML).exists() else MISSING, problem)
    else:
        yield _dict("settings", was := notes.get("settings"), _as_resolved(settings, was or {}))
    if earlier := notes.get("from"):
        place = place_of(earlier, run.parent) or Path(earlier["run"])
        yield _file(t("train.part_from"), place / runfolder.ADAPTER / WEIGHTS, earlier["adapter_sha256"])
        yield _file(t("train.part_from_held_out"), place / runfolder.HELD_OUT, earlier["held_out_sha256"])


def _settings(run: Path) -> tuple[Settings | None, str]:
    """The settings in run.toml; None, and why, where they cannot be read."""
    try:
        return make(read_toml(run / runfolder.RUN_TOML))[0], ""
    except Refusal as refusal:
        return None, refusal.message


def _as_resolved(settings: Settings, was: dict[str, Any]) -> dict[str, Any]:
    """The settings of run.toml, ``auto`` taken to come to what it came to then."""
    now: dict[str, Any] = runfolder.plain(settings.model_dump())
    return {name: was.get(name) if value == "auto" else value for name, value in now.items()}


def _base(notes: dict[str, Any], settings: Settings | None) -> Iterator[Part]:
    """Weights, tokenizer and configuration of the base model, and the prompt that comes of them."""
    about = notes["model"]
    folder = hub.ready(about["name"]) or Path(about["folder"])
    different = hub.changed(folder, about)
    groups: dict[str, list[str]] = {"weights": [], "tokenizer": [], "configuration": []}
    for name in sorted({*about["sha256"], *different}):
        kind = "weights" if name.endswith(".safetensors") else "configuration"
        groups["tokenizer" if "token" in name or name.endswith(".jinja") else kind].append(name)
    for group, names in groups.items():
        gone = [name for name in names if not (folder / name).exists()]
        odd = [name for name in names if name in different]
        state = MISSING if gone else CHANGED if odd else SAME
        yield Part(t(f"train.part_{group}"), state, ", ".join(str(folder / name) for name in (gone or odd)[:6]))
    yield _prompt(notes["prompt"]["fingerprint"], folder, settings)


def _prompt(learned: str, folder: Path, settings: Settings | None) -> Part:
    """Whether a record still becomes the same ids."""
    name = t("train.part_prompt")
    try:
        s = settings or Settings()
        tutorial = s.length if s.recipe == "tutorial" else None
        now = prompt.load(folder, chat_template=s.chat_template, system=s.system, tutorial=tutorial).fingerprint
    except Refusal as refusal:
        return Part(name, MISSING, refusal.message)
    return Part(name, SAME) if now == learned else Part(name, CHANGED, f"{learned[:12]} → {now[:12]}")


def _device(named: str) -> str:
    """The computing device of the kind that was written down. Only a card's name takes torch to find out."""
    if named in ("cpu", "mps"):
        return named
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _threads(was: int | None) -> Part:
    """The number of threads that sums are split in. Only torch knows how many it takes here."""
    import torch

    return _dict("threads", None if was is None else {"": was}, {"": torch.get_num_threads()})


def _dict(name: str, was: dict[str, Any] | None, now: dict[str, Any]) -> Part:
    """A part that is a table: which of its lines differ."""
    part = t(f"train.part_{name}")
    if was is None or (name == "code" and None in was.values()):
        return Part(part, MISSING, t("train.not_noted"))
    names = dict.fromkeys([*was, *now])
    odd = [
        f"{key} {_short(was.get(key))} → {_short(now.get(key))}".strip()
        for key in names
        if was.get(key) != now.get(key)
    ]
    return Part(part, CHANGED, ", ".join(odd)) if odd else Part(part, SAME)


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text


def _file(name: str, path: Path, digest: str) -> Part:
    """A file against its hash."""
    part = f"{name} {path}"
    try:
        now = sha256_of(path)
    except OSError as error:
        return Part(part, MISSING, of_system(error))
    return Part(part, SAME) if now == digest else Part(part, CHANGED, f"{digest[:12]} → {now[:12]}")


def _files(run: Path, notes: dict[str, Any]) -> Iterator[Part]:
    """The run's own files."""
    files = notes.get("files") or {}
    if not files:
        ended = bool(notes.get("finished"))
        yield Part(t("train.part_file"), MISSING if ended else SAME, t(f"train.not_{'noted' if ended else 'finished'}"))
    for name, digest in files.items():
        yield _file(t("train.part_file"), run / name, digest)
    yield from (_lines(run / name) for name in GROWING if name not in files and (run / name).is_file())


def _lines(path: Path) -> Part:
    """A file of lines that has no hash yet: whether each of them is whole."""
    name = f"{t('train.part_file')} {path}"
    try:
        lines = runfolder.read_lines(path)
    except Refusal as refusal:
        return Part(name, CHANGED, refusal.message)
    if runfolder.has_cut_line(path):
        return Part(name, CHANGED, t("train.cut_line", line=len(lines) + 1))
    return Part(name, SAME)


def _checkpoints(run: Path) -> Iterator[Part]:
    """Each checkpoint against what its own state.json says."""
    for folder in sorted((run / runfolder.CHECKPOINTS).glob("[0-9]*")):
        yield Part(f"{t('train.part_checkpoint')} {folder}", *_checkpoint(folder))


def _checkpoint(folder: Path) -> tuple[str, str]:
    """How a checkpoint stands, and its files that are not as its state.json says, that file included."""
    try:
        state = runfolder.read_json(folder / STATE)
        if state is None:
            return MISSING, str(folder / STATE)
        if state.pop(SEAL, None) != runfolder.seal_of(state):
            return CHANGED, str(folder / STATE)
        parts = [_file("", folder / file, digest) for file, digest in state["sha256"].items()]
    except (Refusal, KeyError, TypeError, AttributeError) as error:
        return CHANGED, str(error)
    odd = [part for part in parts if part.state != SAME]
    return (odd[0].state, ", ".join(part.name.strip() for part in odd)) if odd else (SAME, "")


# held against another run


def parting(old: Path, new: Path) -> str:
    """Where two trained runs first part, in words; "" where their adapters agree byte for byte."""
    adapters = [run / runfolder.ADAPTER / WEIGHTS for run in (old, new)]
    if not adapters[0].is_file():
        return t("train.parting_gone", run=old)
    if sha256_of(adapters[0]) == sha256_of(adapters[1]):
        return ""
    return _parting_steps(old, new, runfolder.STEPS) or _parting_steps(old, new, runfolder.EVAL) or _tensors(*adapters)


def _parting_steps(old: Path, new: Path, file: str) -> str:
    """The first line of a file of steps or scorings in which two runs differ, but for the time it took."""
    was, now = ({int(line["step"]): line for line in runfolder.read_lines(run / file)} for run in (old, new))
    for step in sorted({*was, *now}):
        if step not in was or step not in now:
            return t("train.parting_length", file=file, step=step)
        for key in COMPARED:
            if was[step].get(key) != now[step].get(key):
                values = {"was": was[step].get(key), "now": now[step].get(key)}
                return t("train.parting_step", file=file, step=step, key=key, **values)
    return ""


def _tensors(old: Path, new: Path) -> str:
    """The first tensor in which two adapters differ."""
    from safetensors.torch import load_file

    was, now = load_file(old), load_file(new)
    for name in sorted({*was, *now}):
        a, b = was.get(name), now.get(name)
        if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
            return t("train.parting_shape", name=name)
        if not a.equal(b):
            far = float((a.double() - b.double()).abs().max())
            return t("train.parting_tensor", name=name, far=f"{far:.1e}")
    return t("train.parting_header")
