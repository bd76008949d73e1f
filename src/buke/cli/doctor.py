"""``buke doctor``: is this machine fit to train, and which one command mends what is not.

Facts are gathered first (``machine_now``), then judged by functions that touch nothing. torch is imported only where a
card and a build for it are there, to ask whether they work together.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

import buke
from buke import hub
from buke.hub.embedded import INSTALL, WHEEL
from buke.hub.places import ENDPOINTS, Place
from buke.hub.wire import Unreachable, reach
from buke.machine import free_memory, memory_limit
from buke.words import Refusal, command, t

OK, WARN, BAD = "ok", "warn", "bad"
COLOURS = {OK: "green", WARN: "yellow", BAD: "bold red"}
REQUIRED = (  # modules, each installed by its own name
    "torch", "transformers", "peft", "safetensors", "tokenizers", "huggingface_hub", "gguf", "pydantic", "typer",
    "rich", "plotext", "matplotlib", "jinja2", "markupsafe", "numpy", "psutil", "filelock", "orjson", "rensa",
)  # fmt: skip
EXTRAS = {
    "pyarrow": "parquet",
    "openpyxl": "excel",
    "zstandard": "zstd",
    "bitsandbytes": "nf4",
}  # module: the extra of ours that brings it
WRONG = {"transformers": ("5.6.0",)}  # versions that spoil something; see pyproject.toml
PYTORCH = "https://download.pytorch.org/whl/"
WSL_SMI = "/usr/lib/wsl/lib/nvidia-smi"  # not on PATH in every WSL shell
OLDEST_DRIVER = {"12": 525, "13": 580}  # major version of CUDA: of NVIDIA's driver
CAPABILITIES = {"12.6": (5.0, 9.0), "13": (7.5, 99.0)}  # cards that PyTorch's builds for a CUDA serve
GB = 10**9
LITTLE_MEMORY, TOO_LITTLE_MEMORY = 4 * GB, 1 * GB
LITTLE_DISK, TOO_LITTLE_DISK = 5 * GB, GB // 2


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, how it stands, and the command that mends it.

    name: the same in both languages; state: ``ok``, ``warn`` or ``bad``.
    """

    name: str
    state: str
    text: str
    repair: str = ""


@dataclass(frozen=True)
class Card:
    """An NVIDIA card as nvidia-smi tells it. capability: 0 where an old driver does not know it; memory in bytes."""

    name: str
    driver: int
    capability: float
    memory: int
    free: int


@dataclass(frozen=True)
class Machine:
    """What was found. torch: version and CUDA of the build, None where it is not installed; memory in bytes."""

    torch: tuple[str, str | None] | None
    cards: tuple[Card, ...]
    memory: int
    free: int
    limit: int | None  # of the control group, where it has one


def examine(runs: Path, hubs: bool, as_json: bool) -> int:
    """Look, print one line a check, and return 1 where something is bad, else 0."""
    checks = list(all_checks(runs, hubs))
    bad = any(check.state == BAD for check in checks)
    if as_json:
        told = [{"name": c.name, "state": c.state, "text": c.text, "repair": c.repair} for c in checks]
        print(json.dumps({"buke": buke.__version__, "ok": not bad, "checks": told}, ensure_ascii=False))
    else:
        show(checks)
    return int(bad)


def all_checks(runs: Path, hubs: bool) -> Iterator[Check]:
    """Everything there is to look at, in the order in which it matters."""
    found = machine_now()
    yield python_check(sys.version_info[:3], sys.maxsize > 2**32)
    yield libraries_check({module: _installed(module) for module in REQUIRED})
    yield torch_check(found.torch, found.cards)
    yield precision_check(found.cards)
    yield from (card_check(card) for card in found.cards)
    yield memory_check(found.memory, found.free, found.limit)
    yield disk_check("runs", runs, f"{command()} --runs {t('doctor.folder')} train …")
    cache = "set" if os.name == "nt" else "export"
    yield disk_check("cache", hub.cache_folder(), f"{cache} BUKE_CACHE={t('doctor.folder')}")
    yield from (extra_check(module, extra, _installed(module)) for module, extra in EXTRAS.items())
    yield embedded_check()
    yield from (hub_check(name) for name in ENDPOINTS if hubs)


# what is there


def machine_now() -> Machine:
    """The facts about this machine."""
    limit, _ = memory_limit()
    return Machine(_torch_build(), tuple(cards_now()), int(psutil.virtual_memory().total), free_memory(), limit)


def _installed(module: str) -> str | None:
    """The version of an installed module, which is not imported; None where it is not there."""
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        return "?"


def _torch_build() -> tuple[str, str | None] | None:
    """Version and CUDA of the installed torch, read from its version.py: importing it takes seconds."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        tree = ast.parse((Path(spec.origin).parent / "version.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return _installed("torch") or "?", None
    found: dict[str, Any] = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
            found[target.id] = value.value
    return str(found.get("__version__", "?")), found.get("cuda") or found.get("hip")


def cards_now() -> list[Card]:
    """The NVIDIA cards that nvidia-smi tells of; none where there is no such program, or no answer."""
    program = shutil.which("nvidia-smi") or (WSL_SMI if os.path.exists(WSL_SMI) else None)
    if program is None:
        return []
    query = "--query-gpu=name,driver_version,compute_cap,memory.total,memory.free"
    try:
        asked = [program, query, "--format=csv,noheader,nounits"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_cards(answer.stdout)


def parse_cards(text: str) -> list[Card]:
    """nvidia-smi's CSV, one card a line: name, driver, compute capability, MiB in all, MiB free."""
    cards = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 4)]
        if len(parts) == 5 and parts[1].split(".")[0].isdigit():
            numbers = [float(part) if part.replace(".", "", 1).isdigit() else 0.0 for part in parts[2:]]
            sizes = [int(number) << 20 for number in numbers[1:]]
            cards.append(Card(parts[0], int(parts[1].split(".")[0]), numbers[0], *sizes))
    return cards


# what it means


def _pip(*words: str) -> str:
    return " ".join([Path(sys.executable).as_posix(), "-m pip install", *words])


def python_check(version: tuple[int, ...], wide: bool) -> Check:
    """Python 3.10 or newer, 64 bit."""
    told = ".".join(map(str, version))
    if version < (3, 10) or not wide:
        return Check("python", BAD, t("doctor.python_bad", version=told), t("doctor.python_repair"))
    return Check("python", OK, t("doctor.python", version=told, system=f"{platform.system()} {platform.machine()}"))


def libraries_check(versions: dict[str, str | None]) -> Check:
    """Every library that buke imports is there, and none in a version known to spoil something."""
    name = "libraries"
    if missing := [module for module, version in versions.items() if version is None]:
        return Check(name, BAD, t("doctor.missing", names=", ".join(missing)), _pip(*missing))
    if wrong := [module for module, version in versions.items() if version in WRONG.get(module, ())]:
        told = ", ".join(f"{module} {versions[module]}" for module in wrong)
        return Check(
            name, BAD, t("doctor.wrong", names=told), _pip("--upgrade", *(f'"{m}!={WRONG[m][0]}"' for m in wrong))
        )
    shown = ("transformers", "peft", "tokenizers", "safetensors")
    return Check(name, OK, ", ".join(f"{module} {versions[module]}" for module in shown))


def _build_for(card: Card) -> str:
    """The command that brings the build of torch for a card and its driver."""
    newest = card.driver >= OLDEST_DRIVER["13"] and (not card.capability or card.capability >= CAPABILITIES["13"][0])
    return _pip("--force-reinstall torch --index-url", PYTORCH + ("cu130" if newest else "cu126"))


def torch_check(build: tuple[str, str | None] | None, cards: tuple[Card, ...]) -> Check:
    """The build of torch against the card and its driver."""
    if build is None:
        repair = _build_for(cards[0]) if cards else _pip("torch")
        return Check("torch", BAD, t("doctor.missing", names="torch"), repair)
    version, cuda = build
    if not cards:
        return Check("torch", OK, t("doctor.torch_no_card", version=version))
    card = max(cards, key=lambda each: each.capability)
    values = {"version": version, "cuda": cuda, "card": card.name, "driver": card.driver}
    if card.driver < min(OLDEST_DRIVER.values()):
        return Check("torch", BAD, t("doctor.old_driver", **values), "https://www.nvidia.com/drivers")
    if cuda is None:
        return Check("torch", BAD, t("doctor.torch_cpu", **values), _build_for(card))
    if card.driver < OLDEST_DRIVER.get(cuda.split(".")[0], 0):
        return Check("torch", BAD, t("doctor.torch_driver", **values), _build_for(card))
    low, high = next((span for start, span in CAPABILITIES.items() if cuda.startswith(start)), (0.0, 99.0))
    if card.capability and not low <= card.capability <= high:
        return Check("torch", BAD, t("doctor.torch_card", **values, capability=card.capability), _build_for(card))
    if why := _cuda_fails():
        return Check("torch", BAD, t("doctor.torch_fails", **values, why=why), "nvidia-smi")
    return Check("torch", OK, t("doctor.torch_card_ok", **values))


def _cuda_fails() -> str:
    """Why torch cannot use the card; "" where it can."""
    import torch

    try:
        torch.zeros(1, device="cuda").item()
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return ""


def precision_check(cards: tuple[Card, ...]) -> Check:
    """The number format that ``--precision auto`` comes to, and why."""
    name = "precision"
    if not cards:
        return Check(name, OK, t("doctor.no_bf16_cpu"))
    best = max(card.capability for card in cards)
    return Check(name, OK, t("doctor.bf16" if best >= 8 else "doctor.no_bf16"))


def card_check(card: Card) -> Check:
    """Free memory of a card."""
    text = t("doctor.vram", card=card.name, free=hub.amount(card.free), all=hub.amount(card.memory))
    state = WARN if card.free < LITTLE_MEMORY or card.free < card.memory / 2 else OK
    return Check("card_memory", state, text, "nvidia-smi" if state == WARN else "")


def memory_check(total: int, free: int, limit: int | None) -> Check:
    """Free memory, with the limit of a container."""
    text = t("doctor.memory_text", free=hub.amount(free), all=hub.amount(total))
    if limit is not None and limit < total:
        text += t("doctor.limit", limit=hub.amount(limit))
    state = BAD if free < TOO_LITTLE_MEMORY else WARN if free < LITTLE_MEMORY else OK
    repair = f"{command()} train … --batch 1 --weights streamed --activations byte"
    return Check("memory", state, text, "" if state == OK else repair)


def disk_check(name: str, folder: Path, repair: str) -> Check:
    """Whether a folder can be written, or made, and how much room its disk has."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Check(name, BAD, t("doctor.unwritable", folder=folder.absolute()), repair)
    free = shutil.disk_usage(there).free
    state = BAD if free < TOO_LITTLE_DISK else WARN if free < LITTLE_DISK else OK
    text = t("doctor.disk", folder=folder.absolute(), free=hub.amount(free))
    return Check(name, state, text, "" if state == OK else repair)


def extra_check(module: str, extra: str, version: str | None) -> Check:
    """A library that only some files need."""
    if version is None:
        return Check(module, WARN, t(f"doctor.no_{extra}"), _pip(module))
    return Check(module, OK, version)


def embedded_check() -> Check:
    """The built-in model of the demo: converted already, or its wheel is there to convert."""
    name = "embedded"
    try:
        importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        if hub.ready(hub.EMBEDDED) is None:
            return Check(name, WARN, t("doctor.no_embedded"), INSTALL.replace("pip install", _pip()))
    return Check(name, OK, t("doctor.embedded_ok"))


def hub_check(name: str) -> Check:
    """Whether a hub, or the mirror in its place, answers."""
    variable, usual = ENDPOINTS[name]
    other = next(each for each in ENDPOINTS if each != name)
    try:
        endpoint = Place(name, "models", "").endpoint
        reach(endpoint)
    except Refusal as refusal:
        return Check(name, WARN, refusal.message, refusal.hint)
    except Unreachable as error:
        repair = f"{command()} get … --from {other}"
        return Check(name, WARN, t("doctor.hub_silent", endpoint=os.environ.get(variable) or usual, why=error), repair)
    return Check(name, OK, t("doctor.hub_answers", endpoint=endpoint))


# what is shown

LABELLED = ("libraries", "precision", "card_memory", "memory", "runs", "cache", "embedded")
SPELT = {"python": "Python", "torch": "PyTorch"}


def label(check: Check) -> str:
    """What a check is called for people."""
    return t(f"doctor.{check.name}") if check.name in LABELLED else SPELT.get(check.name, check.name)


def show(checks: list[Check]) -> None:
    """A column of states and one of texts that wrap in a terminal, however narrow; a line each in a pipe."""
    console = Console(highlight=False)
    words = {state: t(f"doctor.{state}") for state in COLOURS}
    if not console.is_terminal:
        for check in checks:
            print(
                f"{words[check.state]}  {label(check)}: {check.text}"
                + (f"  ->  {check.repair}" if check.repair else "")
            )
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        text = Text.assemble((label(check), "bold"), ": ", check.text)
        if check.repair:
            text.append(f"\n{check.repair}", style="cyan")
        table.add_row(Text(words[check.state], style=COLOURS[check.state]), text)
    console.print(table)
