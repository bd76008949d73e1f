"""Answers of ours against transformers' generate, one by one and batched: tokens a second.

    python bench/generation.py [--questions 40] [--tokens 256] [--group 8] [--model DIR] [--adapter] [--json]

In each round the same group of questions is answered by all, one after the other, so that a machine that grows slow
grows slow for all. Every answer has the same length: no end token ends it. Greedy. Quoted are medians, their spread,
and ratios round by round. --precision bf16: all in bfloat16. --batched: without one by one, which takes long.
--adapter: with a LoRA adapter on all linear layers (rank 16), as after a training.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from step import spread  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from buke import hub, prompt  # noqa: E402
from buke.config import make  # noqa: E402
from buke.generate import Sampling, generate  # noqa: E402
from buke.model import load  # noqa: E402
from buke.records import Record  # noqa: E402

WORDS = ("patient", "pain", "fever", "cough", "history", "days", "mild", "blood", "pressure", "dose", "acute", "test")


def questions(count: int) -> list[str]:
    """Questions of 20 to 120 words."""
    rng = random.Random(0)
    return [" ".join(rng.choice(WORDS) for _ in range(rng.randint(20, 120))) + "?" for _ in range(count)]


def theirs(folder: Path, adapter: bool, precision: str) -> Any:
    """The model as transformers (and PEFT) load it."""
    import torch

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    if adapter:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(model, config)
    return model.eval()


def contenders(folder: Path, tokens: int, adapter: bool, precision: str) -> dict[str, Callable[[list[str]], int]]:
    """Name -> answer these questions; how many tokens were written."""
    settings, _ = make({"model": str(folder), "rank": 16, "alpha": 32, "device": "cpu", "precision": precision})
    ours = load(folder, settings)
    if adapter:
        ours.add_adapter(settings)
    spoken = prompt.load(folder)
    spoken.__dict__["stops"] = frozenset()  # no end token
    endless = Sampling(thought_budget=tokens, answer_budget=tokens, ask_answer=False)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = theirs(folder, adapter, precision)

    def mine(group: list[str]) -> int:
        records = [Record.make(text, "", "", "") for text in group]
        answers = generate(ours, spoken, records, endless, len(group))
        return sum(answer.thought_tokens + answer.answer_tokens for answer in answers)

    def batched(group: list[str]) -> int:
        said = [[{"role": "user", "content": text}] for text in group]
        texts = [tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in said]
        given = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        out = model.generate(**given, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False)
        return int(out[:, given["input_ids"].shape[1] :].numel())

    def one_by_one(group: list[str]) -> int:
        return sum(batched([text]) for text in group)

    return {"ours": mine, "transformers one by one": one_by_one, "transformers batched": batched}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--group", type=int, default=8, help="questions of a round, answered at once where batched")
    parser.add_argument("--model", type=Path, help="a model folder (default: the built-in SmolLM2-135M)")
    parser.add_argument("--batched", action="store_true")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--adapter", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    those = contenders(given.model or hub.resolve("embedded"), given.tokens, given.adapter, given.precision)
    if given.batched:
        del those["transformers one by one"]
    asked = questions(given.questions)
    for answer in those.values():
        answer(asked[:1])  # warm
    rates: dict[str, list[float]] = {name: [] for name in those}
    for start in range(0, len(asked), given.group):
        for name, answer in those.items():
            began = time.perf_counter()
            rates[name].append(answer(asked[start : start + given.group]) / (time.perf_counter() - began))
            print(f"round {start // given.group} {name}: {rates[name][-1]:.1f} tokens/s", file=sys.stderr)
    told = {name: spread(own) for name, own in rates.items()}
    for name in list(rates)[1:]:
        told[f"ratio to {name}"] = spread([a / b for a, b in zip(rates["ours"], rates[name], strict=True)])
    if given.json:
        print(json.dumps(told))
    else:
        for name, value in told.items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
