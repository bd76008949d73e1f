"""Room `hub`: the names a user need not look up, and what belongs to them on each hub."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

EMBEDDED = "embedded"
SHORT = {
    "r1-1.5b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
    "r1-7b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
    "r1-8b": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
    "r1-14b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
    "r1-32b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
    "r1-70b": "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
}
SHARDS = {"r1-1.5b": 1, "r1-7b": 2, "r1-8b": 2, "r1-14b": 4, "r1-32b": 8, "r1-70b": 17}


@dataclass(frozen=True)
class DataSet:
    """A known data set: its name on each hub, its file in each language, its licence."""

    on: dict[str, str]
    files: dict[str, str]
    licence: str


DATASETS = {
    "medical-o1": DataSet(
        {
            "huggingface": "FreedomIntelligence/medical-o1-reasoning-SFT",
            "modelscope": "AI-ModelScope/medical-o1-reasoning-SFT",
        },
        {"en": "medical_o1_sft.json", "zh": "medical_o1_sft_Chinese.json"},
        "apache-2.0",
    )
}


def dataset(name: str) -> DataSet | None:
    """The known data set of a name, short or as a hub has it."""
    for short, known in DATASETS.items():
        if name.lower() in (short, *(full.lower() for full in known.on.values())):
            return known
    return None


def closest(name: str) -> str:
    """The known names that a mistyped one looks like, the likeliest first; "" where none does."""
    known = [
        EMBEDDED,
        *SHORT,
        *SHORT.values(),
        *DATASETS,
        *(full for each in DATASETS.values() for full in each.on.values()),
    ]
    lower = {each.lower(): each for each in known}
    return ", ".join(lower[each] for each in difflib.get_close_matches(name.lower(), lower, 3, 0.7))


def usual_files(name: str) -> list[str]:
    """The files of a model that has to be fetched by hand; [] where we do not know how its weights are cut."""
    shards = next((SHARDS[short] for short, full in SHORT.items() if full == name), 0)
    if not shards:
        return []
    # the shards of these models are counted in six digits, unlike most
    many = [f"model-{i:05d}-of-{shards:06d}.safetensors" for i in range(1, shards + 1)]
    weights = ["model.safetensors"] if shards == 1 else ["model.safetensors.index.json", *many]
    return ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", *weights]
