"""Room `hub`: whether a folder is a whole base model, in seconds: only sizes and headers of the weights are read.

The same for an adapter, and whether a base model is still the one that something was made from.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from buke.runfolder import sha256_of
from buke.words import Refusal, t

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
LONGEST_HEADER = 100_000_000  # bytes; the safetensors format's own limit
DECISIVE = (".safetensors", ".json", ".jinja")  # files of a model folder that decide what it computes
SHARD = r".+-\d{5,}-of-\d{5,}\.safetensors"
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # bytes of a number in each format that can be trained on
OTHERS = {
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
}
ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADAPTER_NOTES = "adapter_config.json", "adapter_model.safetensors", "buke.json"
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
    problems += [*_object(path, "tokenizer.json")[1], *_weights(path, config)]
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
        if found := sorted(name for name in names if name.endswith(endings)):
            raise Refusal(t(f"hub.{kind}", path=path), t(f"hub.{kind}_hint"), tuple(found[:8]))


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


def _weights(path: Path, config: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the weights: index, shards, whether each tensor stands in the shard the index names, formats,
    and layers of which there is nothing."""
    expected: dict[str, set[str]] = {SINGLE: set()}
    if not (path / SINGLE).exists():  # the order in which transformers looks, too
        found = [file.name for file in path.glob("*.safetensors")]
        if (path / INDEX).exists():
            expected, problems = _index(path)
            yield from problems
            more = [] if problems else [name for name in found if re.fullmatch(SHARD, name) and name not in expected]
            yield from (t("hub.no_entry", name=name, index=INDEX) for name in sorted(more))
        elif found:
            yield t("hub.missing", name=INDEX)
            expected = {name: set() for name in found}
    known: set[str] = set()
    readable = True
    for name, tensors in sorted(expected.items()):
        try:
            header = header_of(path / name)
        except (OSError, ValueError, RecursionError) as error:
            readable = False
            yield _problem(path, name, error)
            continue
        known |= set(header)
        if absent := sorted(tensors - set(header)):
            yield t("hub.other_shard", name=name, tensor=absent[0], count=len(absent), index=INDEX)
        yield from _formats(name, header)
    if readable:
        yield from _layers(known, config)


def _formats(name: str, header: dict[str, Any]) -> Iterator[str]:
    """Weights that are no floating-point numbers: a quantised model."""
    odd = {tensor: entry["dtype"] for tensor, entry in header.items() if "weight" in tensor.rsplit(".", 1)[-1]}
    odd = {tensor: kind for tensor, kind in odd.items() if kind not in FLOATS}
    if odd:
        tensor = min(odd)
        yield t("hub.no_floats", name=name, tensor=tensor, kind=odd[tensor], count=len(odd))


def _layers(tensors: set[str], config: dict[str, Any]) -> Iterator[str]:
    """Layers that config.json counts and of which the weights hold nothing."""
    inner = config.get("text_config")
    count = (inner if isinstance(inner, dict) else config).get("num_hidden_layers")
    found = {int(match[1]) for name in tensors if (match := re.match(r"(?:.*\.)?layers\.(\d+)\.", name))}
    if type(count) is int and found and (absent := sorted(set(range(min(count, 10_000))) - found)):
        yield t("hub.no_layers", name="config.json", count=count, absent=", ".join(map(str, absent[:8])))


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
    """Names of the tensors in a safetensors file. Raises ValueError as ``header_of`` does."""
    return set(header_of(path))


def header_of(path: Path) -> dict[str, Any]:
    """Each tensor of a safetensors file with its format, shape and place; ValueError says what is wrong with the file.

    The file's length agrees with the header, each tensor's length with its format and shape.
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
        odd = [name for name, entry in entries.items() if not _fits(entry)]
    except (ValueError, AttributeError, KeyError, TypeError, IndexError):  # an empty file of tensors, too
        raise ValueError(t("hub.bad_header")) from None
    if size != need:
        raise ValueError(t("hub.cut" if size < need else "hub.too_long", size=size, need=need))
    if odd:
        entry = entries[odd[0]]
        raise ValueError(t("hub.odd_tensor", tensor=odd[0], kind=entry["dtype"], shape=entry["shape"]))
    return entries


def _fits(entry: dict[str, Any]) -> bool:
    """Whether a tensor has as many bytes as its format and shape need; of a format unknown here nobody can say.

    Raises ValueError, TypeError or KeyError where its entry has not the form.
    """
    (begin, end), shape = entry["data_offsets"], entry["shape"]
    if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise ValueError("no number")
    width = {**FLOATS, **OTHERS}.get(str(entry["dtype"]))
    return begin <= end and (width is None or end - begin == width * math.prod(shape))


def file_of(folder: Path, tensor: str) -> Path:
    """The file of a checked folder that holds a tensor; the folder where none does."""
    for path in sorted(folder.glob("*.safetensors")):
        if tensor in header_of(path):
            return path
    return folder


# what was made from a base model


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model folder that decides what it computes, by name."""
    return {path.name: sha256_of(path) for path in sorted(folder.glob("[!.]*")) if path.suffix in DECISIVE}


def changed(folder: Path, base: dict[str, Any], started: str = "") -> list[str]:
    """Names of the files in which a base model is not the one that ``base`` describes, as a manifest does.

    started: when that was written down. A file that lies where it lay and was not touched since is not read again.
    """
    since = datetime.fromisoformat(started).timestamp() if started and base.get("folder") == str(folder) else 0.0
    known: dict[str, str] = base["sha256"]

    def same(name: str) -> bool:
        try:
            about = (folder / name).stat()
            return max(about.st_mtime, about.st_ctime) < since or sha256_of(folder / name) == known[name]
        except OSError:
            return False

    there = {path.name for path in folder.glob("[!.]*") if path.suffix in DECISIVE}
    return sorted((there ^ set(known)) | {name for name in known if not same(name)})


def check_adapter(folder: Path, base: Path) -> dict[str, Any]:
    """adapter_config.json of a whole adapter in PEFT's format that was trained on the base model in ``base``.

    Raises Refusal naming the file that is missing, damaged, or of another base.
    """
    weights = folder / ADAPTER_WEIGHTS
    if not weights.exists() and (found := sorted(path.name for path in folder.glob("adapter_model.*"))):
        raise Refusal(t("hub.pickle", path=folder), t("hub.pickle_hint"), tuple(found))
    config, problems = _object(folder, ADAPTER_CONFIG)
    try:
        header_of(weights)
    except (OSError, ValueError, RecursionError) as error:
        problems.append(_problem(folder, ADAPTER_WEIGHTS, error))
    if problems:
        raise Refusal(t("hub.adapter_not_whole", path=folder), t("hub.adapter_not_whole_hint"), tuple(problems))
    if config.get("peft_type") != "LORA":
        kind = config.get("peft_type")
        raise Refusal(t("hub.adapter_kind", path=folder / ADAPTER_CONFIG, kind=kind), t("hub.adapter_kind_hint"))
    notes = _object(folder, ADAPTER_NOTES)[0]
    made_from: Any = notes.get("base")
    told = isinstance(made_from, dict) and isinstance(made_from.get("sha256"), dict)
    if told and (others := changed(base.resolve(), made_from, str(notes.get("started") or ""))):
        raise Refusal(
            t("hub.other_base", path=folder, base=base, files=", ".join(others[:6])),
            t("hub.other_base_hint", base=made_from.get("name"), folder=made_from.get("folder")),
        )
    return config
