"""Model folders of a known shape with random weights in bfloat16: the time of a step does not depend on what they say.

python bench/shapes.py NAME FOLDER        NAME: 1.5b or 7b, as R1-Distill-Qwen
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Qwen2Config

SHAPES = {
    "1.5b": {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
             "num_key_value_heads": 2, "vocab_size": 151936},
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
           "num_key_value_heads": 4, "vocab_size": 152064},
}  # fmt: skip
SHARD = 2**31  # bytes of a file


def make(name: str, folder: Path) -> Path:
    """Write the folder where it is not there yet; its path."""
    if (folder / "config.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    config = Qwen2Config(
        **SHAPES[name], tie_word_embeddings=False, rms_norm_eps=1e-6, rope_theta=10000.0, max_position_embeddings=131072
    )
    config.architectures, config.dtype = ["Qwen2ForCausalLM"], "bfloat16"
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in AutoModelForCausalLM.from_config(config).state_dict().items()}
    torch.manual_seed(0)
    part: dict[str, torch.Tensor] = {}
    where: dict[str, str] = {}
    for name in shapes:
        made = torch.ones(shapes[name]) if "norm" in name else torch.randn(shapes[name]) * 0.02
        part[name] = made.to(torch.bfloat16)
        if sum(tensor.nbytes for tensor in part.values()) > SHARD or name == list(shapes)[-1]:
            file = f"model-{len(set(where.values())) + 1:05}.safetensors"
            save_file(part, folder / file, metadata={"format": "pt"})
            where |= dict.fromkeys(part, file)
            part = {}
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    print(make(sys.argv[1], Path(sys.argv[2])))
