"""The configurations of the R1 distills, so that a run can be planned before its model is fetched.

Source: the config.json of each model on its hub.
"""

from __future__ import annotations

from typing import Any

_QWEN = {"model_type": "qwen2", "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
         "max_position_embeddings": 131072}  # fmt: skip
_LLAMA = {"model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
          "max_position_embeddings": 131072, "vocab_size": 128256,
          "num_key_value_heads": 8, "head_dim": 128}  # fmt: skip


def _shape(family: dict[str, Any], width: int, inner: int, layers: int, heads: int, **more: int) -> dict[str, Any]:
    return family | {
        "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
    } | more  # fmt: skip


CONFIGS = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": _shape(
        _QWEN, 1536, 8960, 28, 12, num_key_value_heads=2, vocab_size=151936
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": _shape(
        _QWEN, 3584, 18944, 28, 28, num_key_value_heads=4, vocab_size=152064
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": _shape(_LLAMA, 4096, 14336, 32, 32),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B": _shape(
        _QWEN, 5120, 13824, 48, 40, num_key_value_heads=8, vocab_size=152064
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": _shape(
        _QWEN, 5120, 27648, 64, 40, num_key_value_heads=8, vocab_size=152064
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": _shape(_LLAMA, 8192, 28672, 80, 64),
}
"""Name on the hub -> what of its config.json decides shapes."""
