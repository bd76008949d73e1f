"""How long a recipe takes to a held-out loss: ours against the tutorial's and TRL's, to the loss they end with.

    python bench/time_to_loss.py DATA [--records 150] [--held 40] [--trl PYTHON] [--ours JSON] [--targets JSON]

Each peer trains its three epochs first, then ours trains until its held-out loss, in nats a character of thought and
answer, is not above theirs. Counted is the time of training steps alone: not loading, not scoring. The tutorial's
recipe speaks its own text, padded and cut to 512 tokens; TRL gets the same ids as ours, LoRA and learning rate as its
page on PEFT shows them (r=32, alpha=16, dropout 0.05, 2e-4) and its own defaults. --targets takes the place of the
peers: {"tutorial": {"loss": ..., "seconds": ...}}.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench")]

PEERS: dict[str, dict[str, Any]] = {
    "tutorial": {"rank": 16, "alpha": 32, "rate": 3e-4, "batch": 2, "accumulation": 4, "targets": ["q_proj", "v_proj"]},
    "trl": {"rank": 32, "alpha": 16, "rate": 2e-4, "batch": 8, "accumulation": 1, "targets": None},
}


def lessons(data: Path, records: int, held: int, folder: Path) -> dict[str, Any]:
    """Training and held-out examples of both texts, and the characters of the held-out thoughts and answers."""
    from buke import prompt
    from buke.config import make
    from buke.train.lessons import read_data

    settings, _ = make({"data": [str(data)], "model": str(folder)})
    found = read_data(settings, settings.data, records + held).records
    learn, apart = found[:records], found[records : records + held]
    made: dict[str, Any] = {"chars": sum(len(one.thought) + len(one.answer) for one in apart)}
    for name, length in (("own", None), ("tutorial", 512)):
        spoken = prompt.load(folder, chat_template=None, system="", tutorial=length)
        scored = spoken.scored if isinstance(spoken, prompt.TutorialPrompt) else spoken.example
        made[name] = {
            "train": [spoken.example(one) for one in learn],
            "held": [scored(one) for one in apart],
        }
    return made


def plain(example: Any) -> dict[str, Any]:
    """An example without our classes."""
    return {"ids": list(example.ids), "learn": list(example.learn)}


def peer(name: str, python: str, folder: Path, made: dict[str, Any]) -> dict[str, float]:
    """Train a peer's recipe to its end: seconds of its steps, and its final held-out loss a character."""
    text = made["tutorial" if name == "tutorial" else "own"]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "lessons.json"
        parts = {part: [plain(one) for one in text[part]] for part in ("train", "held")}
        path.write_text(json.dumps(PEERS[name] | parts))
        command = [python, str(Path(__file__)), "--as", name, str(folder), str(path)]
        env = os.environ | {"HF_HUB_OFFLINE": "1"}
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env, check=True).stdout
    found = json.loads(out.splitlines()[-1])
    return {"seconds": found["seconds"], "loss": found["loss_sum"] / made["chars"], "steps": found["steps"]}


def train_peer(name: str, folder: str, path: str) -> None:
    """The peer's own process: transformers' Trainer, or TRL's on top of it."""
    import time

    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments
    from transformers import default_data_collator as collate

    given = json.loads(Path(path).read_text())
    clock = {"seconds": 0.0, "start": 0.0, "steps": 0}

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            clock["start"] = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock["seconds"] += time.perf_counter() - clock["start"]
            clock["steps"] += 1
            print(f"{name} step {clock['steps']}: {clock['seconds']:.0f} s", file=sys.stderr)

    lora = LoraConfig(
        r=given["rank"], lora_alpha=given["alpha"], lora_dropout=0.05, bias="none",
        target_modules=given["targets"], task_type="CAUSAL_LM",
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as out:
        common: dict[str, Any] = {
            "output_dir": out, "per_device_train_batch_size": given["batch"], "num_train_epochs": 3,
            "gradient_accumulation_steps": given["accumulation"], "learning_rate": given["rate"], "use_cpu": True,
            "report_to": "none", "save_strategy": "no", "disable_tqdm": True, "logging_strategy": "no",
        }  # fmt: skip
        trainer: Any
        if name == "tutorial":  # padding is learned too, and masked as its tokenizer masks it
            end = AutoTokenizer.from_pretrained(folder).eos_token_id
            rows = []
            for one in given["train"]:
                real = len(one["ids"])
                while real and one["ids"][real - 1] == end:
                    real -= 1
                mask = [1] * real + [0] * (len(one["ids"]) - real)
                rows.append({"input_ids": one["ids"], "labels": one["ids"], "attention_mask": mask})
            model = get_peft_model(model, lora)
            trainer = Trainer(
                model=model, args=TrainingArguments(**common), train_dataset=Dataset.from_list(rows),
                data_collator=collate, callbacks=[Clock()],
            )  # fmt: skip
        else:
            from trl import SFTConfig, SFTTrainer

            rows = [
                {"input_ids": one["ids"], "completion_mask": list(map(int, one["learn"]))} for one in given["train"]
            ]
            masked = {"completion_only_loss": True}  # with rows of ids it would learn the questions too
            arguments = SFTConfig(**common, **masked, max_length=4096, bf16=False, gradient_checkpointing=False)
            trainer = SFTTrainer(
                model=model, args=arguments, train_dataset=Dataset.from_list(rows),
                processing_class=AutoTokenizer.from_pretrained(folder), peft_config=lora, callbacks=[Clock()],
            )  # fmt: skip
        trainer.train()
        total, trained = 0.0, trainer.model.eval()
        with torch.inference_mode():
            for one in given["held"]:
                ids = torch.tensor(one["ids"])
                logits = trained(input_ids=ids[None]).logits[0, :-1].float()
                losses = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
                total += float(losses[torch.tensor(one["learn"])[1:]].sum())
    print(json.dumps({"seconds": clock["seconds"], "loss_sum": total, "steps": clock["steps"]}))


def ours(folder: Path, made: dict[str, Any], until: float | None, **given: Any) -> dict[str, Any]:
    """Train ours, scoring after each step, until the loss is not above ``until`` (None: to the end)."""
    from buke.config import make
    from buke.model import load
    from buke.records import HeldOut, Step
    from buke.train.loop import Loop
    from buke.train.settle import resolve

    every = given.pop("eval_every", 1)
    settings, reasons = make({"model": str(folder), "device": "cpu", "patience": 0} | given)
    settings, _ = resolve(settings, reasons, folder)
    settings = settings.model_copy(update={"eval_every": every, "save_every": 10**9})
    model = load(folder, settings)
    model.add_adapter(settings)
    own, seconds, curve = made["own"], 0.0, []
    with tempfile.TemporaryDirectory() as run:
        if settings.lower_cache:
            model.keep_lower(Path(run), print)
        loop = Loop(model, settings, own["train"], own["held"], Path(run), settings.row_tokens, made["chars"])
        for event in loop.events():
            if isinstance(event, Step):
                seconds += event.seconds
            if isinstance(event, HeldOut):
                loss = float(event.loss_sum or "nan") / made["chars"]
                curve.append((event.step, round(seconds, 2), round(loss, 4)))
                print(f"ours step {event.step} of {loop.steps}: {seconds:.1f} s, {loss:.4f}", file=sys.stderr)
                if until is not None and loss <= until:
                    break
    return {"seconds": seconds, "curve": curve, "reached": until is None or curve[-1][2] <= round(until, 4)}


def main() -> None:
    """Train all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--records", type=int, default=150)
    parser.add_argument("--held", type=int, default=40)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--trl", help="the Python of an environment with trl")
    parser.add_argument("--ours", type=json.loads, default={}, help="settings of ours, as JSON")
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--targets", type=json.loads, default={}, help="losses of peers that are known")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    from step import trl_python

    from buke import hub

    folder = given.model or hub.resolve("embedded")
    made = lessons(given.data, given.records, given.held, folder)
    told: dict[str, Any] = {}
    for name in given.targets or given.peers:
        theirs = given.targets.get(name) or peer(name, trl_python(given.trl), folder, made)
        own = ours(folder, made, theirs["loss"], **given.ours)
        told[name] = {"theirs": theirs, "ours": own, "times": theirs["seconds"] / own["seconds"]}
        print(f"{name}: {json.dumps(told[name])}", file=sys.stderr, flush=True)
    print(json.dumps(told) if given.json else "\n".join(f"{name}: {value}" for name, value in told.items()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as"]:
        train_peer(*sys.argv[2:])
    else:
        main()
