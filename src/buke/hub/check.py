"""Room `hub`: whether a folder is a whole base model, in seconds: only sizes and headers of the weights are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from buke.words import Refusal, t

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
LONGEST_HEADER = 100_000_000  # bytes; the safetensors format's own limit
LFS = b"version https://git-lfs"  # how the stand-in begins that git leaves where LFS is not installed


def check_model_folder(path: Path) -> None:
    """Return where ``path`` holds config.json, tokenizer.json and all of its safetensors weights.

    Raises Refusal: for another kind of thing (GGUF, adapter, pickle) with what to do instead; else with every problem
    of the folder in its details.
    """
    _refuse_other_kinds(path)
    config, problems = _object(path, "config.json")
    if not problems:
        absent = [key for key in ("model_type", "architectures") if not config.get(key)]
        problems = [t("hub.no_key", name="config.json", key=key) for key in absent]
    problems += [*_object(path, "tokenizer.json")[1], *_weights(path)]
    if problems:
        inner = sorted(path.glob("*/config.json"))
        hint = t("hub.inner", folder=inner[0].parent) if len(inner) == 1 else t("hub.not_whole_hint")
        raise Refusal(t("hub.not_whole", path=path, count=len(problems)), hint, tuple(problems))


def _refuse_other_kinds(path: Path) -> None:
    """What people give instead of a base model, told apart by its files."""
    if not path.exists():
        raise Refusal(t("hub.no_folder", path=path))
    if path.suffix.lower() == ".gguf" and path.is_file():
        raise Refusal(t("hub.gguf", path=path), t("hub.gguf_hint"))
    if not path.is_dir():
        raise Refusal(t("hub.not_a_folder", path=path), t("hub.not_a_folder_hint", folder=path.parent))
    if (path / "adapter_config.json").is_file():
        base = _object(path, "adapter_config.json")[0].get("base_model_name_or_path")
        hint = t("hub.adapter_hint", base=base) if base else t("hub.adapter_hint_unknown")
        raise Refusal(t("hub.adapter", path=path), hint)
    names = [file.name.lower() for file in path.iterdir()]
    if any(name.endswith((".safetensors", INDEX)) for name in names):
        return
    for kind, endings in (("gguf", ".gguf"), ("pickle", (".bin", ".pt", ".pth", ".ckpt"))):
        if any(name.endswith(endings) for name in names):
            raise Refusal(t(f"hub.{kind}", path=path), t(f"hub.{kind}_hint"))


def _object(path: Path, name: str) -> tuple[dict[str, Any], list[str]]:
    """The JSON object in a file, and what is wrong with the file."""
    try:
        value = json.loads((path / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return {}, [_problem(path, name, error)]
    return (value, []) if isinstance(value, dict) else ({}, [t("hub.file", name=name, why=t("hub.not_object"))])


def _problem(path: Path, name: str, error: Exception) -> str:
    """One line for a file that could not be read."""
    if isinstance(error, FileNotFoundError):
        return t("hub.missing", name=name)
    if (path / name).is_file():
        with open(path / name, "rb") as file:
            if file.read(len(LFS)) == LFS:
                return t("hub.file", name=name, why=t("hub.lfs"))
    return t("hub.file", name=name, why=error)


def _weights(path: Path) -> Iterator[str]:
    """What is wrong with the weights: index, shards, and whether each tensor stands in the shard the index names."""
    expected: dict[str, set[str]] = {SINGLE: set()}
    if not (path / SINGLE).exists():  # the order in which transformers looks, too
        found = [file.name for file in path.glob("*.safetensors")]
        if (path / INDEX).exists():
            expected, problems = _index(path)
            yield from problems
        elif found:
            yield t("hub.missing", name=INDEX)
            expected = {name: set() for name in found}
    for name, tensors in sorted(expected.items()):
        try:
            absent = sorted(tensors - tensors_in(path / name))
        except (OSError, ValueError, RecursionError) as error:
            yield _problem(path, name, error)
        else:
            if absent:
                yield t("hub.other_shard", name=name, tensor=absent[0], count=len(absent), index=INDEX)


def _index(path: Path) -> tuple[dict[str, set[str]], list[str]]:
    """The tensors that the index names for each shard, and what is wrong with the index."""
    index, problems = _object(path, INDEX)
    places = index.get("weight_map")
    if problems or not isinstance(places, dict) or not places:
        return {}, problems or [t("hub.no_key", name=INDEX, key="weight_map")]
    shards: dict[str, set[str]] = {}
    for tensor, name in places.items():
        # only a plain file name: an index must not lead out of its folder
        if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+\.safetensors", name):
            return {}, [t("hub.file", name=INDEX, why=t("hub.no_file_name", value=name))]
        shards.setdefault(name, set()).add(tensor)
    return shards, []


def tensors_in(path: Path) -> set[str]:
    """Names of the tensors in a safetensors file whose length agrees with its header; ValueError says what is wrong.

    Layout: 8 bytes with the header's length (little-endian), the header (JSON), the tensors' bytes.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size >= 8 and length > LONGEST_HEADER:
            raise ValueError(t("hub.bad_header"))
        if size < 8 + length:
            raise ValueError(t("hub.cut_header", size=size))
        header = file.read(length)
    try:
        entries = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        need = 8 + length + max(int(entry["data_offsets"][1]) for entry in entries.values())
    except (ValueError, AttributeError, KeyError, TypeError, IndexError):  # an empty file of tensors, too
        raise ValueError(t("hub.bad_header")) from None
    if size != need:
        raise ValueError(t("hub.cut" if size < need else "hub.too_long", size=size, need=need))
    return set(entries)
