"""Room `model`: a folder -> a base model with an adapter on it. The only room that knows transformers and PEFT.

`loading.py` loads it, `base.py` speaks for it; `fast.py` is the road of the Llama family through our own layers;
`stream.py` lets frozen weights stay in the file or in four bits, `ahead.py` brings them to a card one layer ahead;
`tensors.py` writes safetensors; `before.py` is what the libraries find.
"""

from buke.model import before  # noqa: F401

# isort: split
from buke.model.base import Model
from buke.model.loading import check_four_bits, choose_device, choose_precision, config_in, kept_in, load, width_of
from buke.model.tensors import safetensors_of

__all__ = [
    "Model",
    "check_four_bits",
    "choose_device",
    "choose_precision",
    "config_in",
    "kept_in",
    "load",
    "safetensors_of",
    "width_of",
]
