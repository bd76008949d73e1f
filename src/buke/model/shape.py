"""A model of shapes alone: on the device ``meta``, without a weight read. For planning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from buke.config import Settings
from buke.model.base import PRECISIONS, Model, layers_asked
from buke.model.stream import stream
from buke.words import Refusal, t


def config_of(given: dict[str, Any]) -> Any:
    """The configuration that a config.json says. Raises Refusal for an architecture that transformers does not know."""
    try:
        kind = dict(given).pop("model_type")
        config = AutoConfig.for_model(kind, **{key: value for key, value in given.items() if key != "model_type"})
        return config.get_text_config()
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Refusal(
            t("model.architecture", name=given.get("model_type"), why=error), t("model.architecture_hint")
        ) from None


def shape(
    given: dict[str, Any], settings: Settings, precision: str, kept: torch.dtype | None, layers: Sequence[int],
    ahead: bool = False, four_bits: bool = False,
) -> Model:  # fmt: skip
    """A model with an adapter, of some of the layers of a config.json.

    kept: format of the frozen weights where it is not that of ``precision``. layers: which of the layers, in order.
    ahead: whether the layers' weights are somewhere else, and brought one layer ahead.
    four_bits: whether they are rounded to four bits.
    """
    config = config_of(given)
    learns = layers_asked(config.num_hidden_layers, settings.layers) or range(config.num_hidden_layers)
    config.num_hidden_layers = len(layers)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[layer] for layer in layers]
    own = [place for place, layer in enumerate(layers) if layer in learns]
    settings = settings.model_copy(update={"layers": f"{own[0]}-{own[-1]}"})
    try:
        with torch.device("meta"):
            base = AutoModelForCausalLM.from_config(
                config, dtype=kept or PRECISIONS[precision], attn_implementation="buke"
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal(
            t("model.architecture", name=given.get("model_type"), why=error), t("model.architecture_hint")
        ) from None
    base.requires_grad_(False)
    base.eval()
    brought = None
    if kept is not None:
        brought = stream(base, PRECISIONS[precision], torch.device("meta"), ahead, four_bits)
    model = Model(base, Path(), torch.device("meta"), precision, ahead=brought)
    with torch.inference_mode():
        model.hidden([1, 2, 3], (0, 2, 3))  # so that each layer's window is known
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*base_model_name_or_path.*")  # it is of no folder
        model.add_adapter(settings)
    return model
