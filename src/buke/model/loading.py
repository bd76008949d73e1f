"""A folder with a base model -> a model, on a device and in a precision that the machine has; damage is named."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from buke import hub
from buke.config import Settings
from buke.kernels import (
    free_at_once,
    library_here,
)
from buke.model.base import ATTENTION, PRECISIONS, Model
from buke.model.fast import fast_of
from buke.model.stream import stream
from buke.words import Refusal, t

WIDE = 512  # width of a model from which bfloat16 is faster on a processor with tiles
RESIDENT = 1_000_000_000  # bytes of frozen weights, widened, up to which they are held in memory


def load(folder: Path, settings: Settings) -> Model:
    """The base model of a checked folder, frozen, its own attention replaced by ours, and that replacement proven."""
    transformers_logging.disable_progress_bar()
    device = choose_device(settings)
    precision = choose_precision(settings, device, width_of(config_in(folder)))
    if settings.weights == "nf4":
        check_four_bits(device)
    if device.type == "cpu" and (precision == "bf16" or settings.weights == "nf4"):
        free_at_once()  # torch makes 32 of 16 bits in places, and bitsandbytes each part that it widens
    streamed = device.type != "mps" and _is_streamed(folder, settings, device)
    try:
        made: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=PRECISIONS[kept_in(folder) if streamed else precision], attn_implementation="eager",
            local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True,
        )  # fmt: skip
    except (ValueError, OSError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise Refusal(
            t("model.not_loaded", folder=folder, why=str(error).splitlines()[0]), t("model.not_loaded_hint")
        ) from None
    base, told = made
    if absent := sorted(told["missing_keys"]):  # transformers would draw them at random
        raise Refusal(t("model.absent", folder=folder, tensor=absent[0], count=len(absent)), t("model.not_loaded_hint"))
    base.requires_grad_(False)
    _check_finite(base, folder)
    base.eval()
    ahead = None
    if streamed:
        brought = device.type == "cuda" and settings.weights in ("auto", "streamed")
        ahead = stream(base, PRECISIONS[precision], device, brought, settings.weights == "nf4")
    else:
        base.to(device)
    model = Model(base, folder, device, precision, ahead=ahead)
    _prove_attention(model)
    return model


def check_four_bits(device: torch.device | None = None) -> None:
    """Refuse weights in four bits where they cannot be had; without a device, for want of the library only."""
    if device is not None and device.type == "mps":
        raise Refusal(t("model.no_four_bits"), t("model.no_four_bits_hint"))
    if not library_here():
        raise Refusal(t("model.needs_library"), t("intake.needs_library_hint", extra="nf4"))


def kept_in(folder: Path) -> str:
    """The format of most of the weights in a folder's files, as a precision's name."""
    counts: Counter[str] = Counter()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  a safetensors file is no mapping
                part = file.get_slice(name)
                counts[part.get_dtype()] += math.prod(part.get_shape())
    return {"F16": "fp16", "BF16": "bf16"}.get(counts.most_common(1)[0][0], "fp32")


def _is_streamed(folder: Path, settings: Settings, device: torch.device) -> bool:
    """Whether the frozen weights stay in their file: as asked for, or where memory would not hold them well."""
    if settings.weights != "auto":
        return settings.weights != "resident"
    return device.type == "cpu" and 2 * sum(path.stat().st_size for path in folder.glob("*.safetensors")) > RESIDENT


def _check_finite(base: Any, folder: Path) -> None:
    """Refuse weights with NaN or infinite values, naming file and tensor.

    The extremes are read at several GB a second, and NaN is one wherever there is any.
    """
    for name, weight in base.named_parameters():
        if weight.numel() and not all(math.isfinite(float(end)) for end in weight.aminmax()):
            values = {"nan": int(weight.isnan().sum()), "inf": int(weight.isinf().sum())}
            place = hub.file_of(folder, name)
            raise Refusal(t("model.not_finite", file=place, tensor=name, **values), t("model.not_finite_hint"))


def _prove_attention(model: Model) -> None:
    """Refuse an architecture whose logits our row of two records does not reproduce."""
    vocabulary = model.base.config.get_text_config().vocab_size
    records = [[(7 * i + 3) % vocabulary for i in range(9)], [(11 * i + 5) % vocabulary for i in range(6)]]
    name = type(model.base).__name__
    with torch.inference_mode():
        wanted = [
            model.base(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0] for ids in records
        ]
        try:
            model.base.set_attn_implementation(ATTENTION)
            roads = [model.logits(model.hidden(records[0] + records[1], (0, 9, 15)))]
            if (fast := fast_of(model.base, model.ahead)) is not None:
                model.fast = fast
                roads.append(model.logits(model.hidden(records[0] + records[1], (0, 9, 15))))
        except (ValueError, TypeError, AttributeError, AssertionError, RuntimeError) as error:
            raise Refusal(t("model.architecture", name=name, why=error), t("model.architecture_hint")) from None
    whole = torch.cat(wanted).float()
    far = max(float((got - whole).abs().max() / whole.abs().max().clamp(min=1e-6)) for got in roads)
    if not far <= (1e-3 if model.precision == "fp32" else 1e-1):
        why = t("model.logits_differ", far=f"{far:.1e}")
        raise Refusal(t("model.architecture", name=name, why=why), t("model.architecture_hint"))


def choose_device(settings: Settings) -> torch.device:
    """The device asked for, or the best there is. Raises Refusal for one that is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = settings.device if settings.device != "auto" else next(name for name, found in there.items() if found)
    if not there[name]:
        raise Refusal(t("model.no_device", device=name), t("model.no_device_hint"))
    return torch.device(name)


def choose_precision(settings: Settings, device: torch.device, width: int) -> str:
    """``fp32``, ``bf16`` or ``fp16``: what was asked for, or what the device is good at.

    width: of the model. On the CPU bfloat16 gains where there are tiles for it (AMX) and products are large enough; the
    vector instructions for it (AVX512-BF16) measured slower than float32.
    """
    if settings.precision == "auto":
        if device.type == "cpu":
            return "bf16" if width >= WIDE and has_tiles() else "fp32"
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp16"
    if settings.precision == "fp16" and device.type == "cpu":
        raise Refusal(t("model.fp16_cpu"), t("model.fp16_cpu_hint"))
    return settings.precision


def has_tiles() -> bool:
    """Whether this processor has units for products of bfloat16 matrices, and PyTorch says so."""
    told: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(told.get("amx_bf16"))


def config_in(folder: Path) -> dict[str, Any]:
    """config.json of a model folder, of its text part where it has several."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text: dict[str, Any] = config.get("text_config", config)
    return text


def width_of(config: Mapping[str, Any]) -> int:
    """Width of the model of a config.json; 0 where it does not say."""
    return int(config.get("hidden_size") or 0)
