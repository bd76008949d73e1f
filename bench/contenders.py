"""What bench/step.py holds against each other: each contender is a process that trains one step whenever it is told.

    python bench/contenders.py NAME MODEL RECORDS [OPTIONS as JSON]

RECORDS is a JSON file with a list of steps, each a list of [ids, first learned place]. It says {"ready": ...},
trains a step for each line "go" on stdin, says {"seconds": ..., "tokens": ...}, and at the end {"peak_gb": ...}.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Steps = list[list[tuple[list[int], int]]]
RANK, ALPHA, RATE = 16, 32, 2e-4


def say(**values: Any) -> None:
    """One line of JSON for the one who measures."""
    print("::" + json.dumps(values), flush=True)


def told() -> bool:
    """Wait for the next line; whether it asks for a step."""
    return sys.stdin.readline().strip() == "go"


def memory() -> dict[str, float]:
    """Peak resident memory, and what of it is no file's, in GB (Linux)."""
    status = Path("/proc/self/status").read_text()
    values = {
        line.split(":")[0]: int(line.split()[1]) * 1024 / 1e9 for line in status.splitlines() if line.endswith("kB")
    }
    return {"peak_gb": values["VmHWM"], "anonymous_gb": values["RssAnon"]}


def follow(steps: Steps, train: Callable[[list[tuple[list[int], int]]], Any]) -> None:
    """Train the steps one after the other, as told."""
    say(ready=memory())
    for step in [*steps] * 100:
        if not told():
            break
        start = time.perf_counter()
        train(step)
        say(seconds=time.perf_counter() - start, tokens=sum(len(ids) for ids, _ in step), **memory())
    say(**memory())


def ours(folder: str, steps: Steps, **given: Any) -> None:
    """buke's own step."""
    from buke.config import make
    from buke.model import load
    from buke.pack import rows
    from buke.records import Example
    from buke.train.step import Ranks, optimizer_for, take_step

    settings, _ = make({"model": folder, "rank": RANK, "alpha": ALPHA, "device": "cpu"} | given)
    model = load(Path(folder), settings)
    model.add_adapter(settings)
    kind = settings.activations
    model.keep_activations("full" if kind == "auto" else kind, bool(settings.recompute))
    optimizer = optimizer_for(model.trained(), RATE, 0.0)

    def train(step: list[tuple[list[int], int]]) -> None:
        examples = [
            Example(
                str(i), "", tuple(ids), (False,) * first + (True,) * (len(ids) - first), (first, first, 0, len(ids))
            )
            for i, (ids, first) in enumerate(step)
        ]
        outcome = take_step(model, rows(examples, settings.batch, settings.row_tokens), optimizer, 1.0, Ranks())
        assert outcome.taken

    follow(steps, train)


def peft(folder: str, steps: Steps) -> None:
    """A bare loop over transformers and PEFT, one record at a time."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, config).train()
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=RATE)

    def train(step: list[tuple[list[int], int]]) -> None:
        count = sum(len(ids) - first for ids, first in step)
        for ids, first in step:
            labels = torch.tensor([[-100] * first + ids[first:]])
            loss = model(input_ids=torch.tensor([ids]), labels=labels).loss
            (loss * (len(ids) - first) / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    follow(steps, train)


def trl(folder: str, steps: Steps, checkpointing: bool = False, bf16: bool = False) -> None:
    """TRL's SFTTrainer as its documentation shows it for LoRA: batch 2, accumulation 4, loss on the completion.

    bf16: as TRL does where nobody says otherwise, products in bfloat16 by autocast.
    """
    import tempfile

    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Follow(TrainerCallback):  # type: ignore[misc]
        """Begins each step when it is told to."""

        def __init__(self) -> None:
            self.at, self.start = 0, 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if not self.at:
                say(ready=memory())
            if not told():
                say(**memory())
                sys.exit()
            self.start = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            tokens = sum(len(ids) for ids, _ in steps[self.at % len(steps)])
            say(seconds=time.perf_counter() - self.start, tokens=tokens, **memory())
            self.at += 1

    def rows() -> Iterator[dict[str, list[int]]]:
        for step in [*steps] * 100:
            for ids, first in step:
                yield {"input_ids": ids, "completion_mask": [0] * first + [1] * (len(ids) - first)}

    class InOrder(SFTTrainer):  # type: ignore[misc]
        """The same records in the same steps as the others."""

        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    with tempfile.TemporaryDirectory() as out:
        settings = SFTConfig(
            output_dir=out, per_device_train_batch_size=2, gradient_accumulation_steps=4, learning_rate=RATE,
            max_length=2048, gradient_checkpointing=checkpointing, bf16=bf16, use_cpu=True, report_to="none",
            logging_strategy="no", save_strategy="no", disable_tqdm=True, num_train_epochs=1, completion_only_loss=True,
        )  # fmt: skip
        trainer = InOrder(
            model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), args=settings,
            train_dataset=Dataset.from_list(list(rows())), processing_class=AutoTokenizer.from_pretrained(folder),
            peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"),
            callbacks=[Follow()],
        )  # fmt: skip
        trainer.train()


def products(folder: str, steps: Steps, bf16: bool = False) -> None:
    """No training: the largest rate of matrix products that this machine reaches in float32 or bfloat16, in FLOP/s."""
    import torch

    shapes = [(1024, 1024, 1024), (2048, 1536, 576), (2048, 2048, 2048)]
    kind = torch.bfloat16 if bf16 else torch.float32
    pairs = [[torch.randn(*shape).to(kind) for shape in ((m, k), (k, n), (m, n))] for m, n, k in shapes]

    def rate() -> float:
        best = 0.0
        for a, b, out in pairs:
            for _ in range(8):
                start = time.perf_counter()
                torch.mm(a, b, out=out)
                best = max(best, 2 * out.numel() * a.shape[1] / (time.perf_counter() - start))
        return best

    say(ready=memory())
    while told():
        say(flops=rate())
    say(**memory())


if __name__ == "__main__":
    name, folder, records, *options = sys.argv[1:]
    contender = {"ours": ours, "peft": peft, "trl": trl, "products": products}[name]
    contender(folder, json.loads(Path(records).read_text()), **json.loads(options[0] if options else "{}"))
