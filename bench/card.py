"""What buke does on a card: whether it is right there, how fast, and whether the plan's memory is true.

    python bench/card.py [--device cuda|cpu] [--parts NAME,NAME] [--only TEXT] [--seconds N] [--json]

Each part is a process of its own with a time limit and says what it found as soon as it knows, so that one that fails
loses nothing. ``--device cpu`` goes the same ways with tiny sizes. Random weights throughout. Where the environment
variable OUT names a folder, everything is written there too.

    shapes   model folders of known shapes, made beside the other parts
    kernels  each kernel and its plain twin against the twin in float64: norm of the error / norm
    peft     an adapter trained here, loaded by plain transformers and PEFT: the same logits
    walk     the commands, one after the other, in each precision
    tests    the tests of the kernels, with tensors made on the card
    step     a step of 8 records: ours, a bare PEFT loop, TRL's SFTTrainer; products of the card for the bound
    plan     memory as planned against memory as it was
    eight    models of 7 and 8 billion parameters on a card of 8 GB, weights streamed; and resident without a limit
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench"), str(ROOT / "tests")]
LIMITS = {"shapes": 150, "kernels": 120, "peft": 100, "walk": 160, "tests": 120, "step": 230, "eight": 180, "plan": 150}
BESIDE = {"shapes"}  # what the others wait for, file by file
TOGETHER = {"kernels", "peft", "walk", "tests"}  # nothing is timed in these: they run at the same time
SMOL = {"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True,
        "max_position_embeddings": 8192, "hidden_act": "silu", "rms_norm_eps": 1e-5}  # fmt: skip
HUB = "deepseek-ai/DeepSeek-R1-Distill-"
SHAPES = {"135m": "", "1.5b": f"{HUB}Qwen-1.5B", "7b": f"{HUB}Qwen-7B", "8b": f"{HUB}Llama-8B"}
TINY = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 512}  # fmt: skip
RANK, RATE = 16, 2e-4
TOLD = ("torch", "precision", "libraries")
WALKED = {"questions": 3, "thought_budget": 16, "answer_budget": 8, "epochs": 2, "length": 400, "learning_rate": 0.003}
EIGHT = int(8e9)  # bytes of the card that is stood in for


def say(what: str, **found: Any) -> None:
    """One finding, at once."""
    print("::" + json.dumps({"what": what} | found), flush=True)


def rounded(value: float, digits: int = 3) -> float:
    return float(f"{value:.{digits}g}")


class Card:
    """Where a part computes. small: sizes for a rehearsal on the CPU."""

    def __init__(self, device: str, folder: Path, touched: bool = True) -> None:
        import torch

        self.name, self.folder, self.small, self.torch = device, folder, device == "cpu", torch
        self.device = torch.device(device)
        if device == "cpu":
            torch.set_num_threads(1)
        elif touched:
            torch.ones(64, 64, device=device) @ torch.ones(64, 64, device=device)  # the context, and cuBLAS's

    def wait(self) -> None:
        """For what was started to end."""
        if not self.small:
            self.torch.cuda.synchronize()

    def anew(self) -> None:
        """Give back what nobody uses, and count the peak from here."""
        gc.collect()
        if not self.small:
            self.torch.cuda.synchronize()
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats()

    def peaks(self) -> dict[str, float]:
        """GB that the allocator had in use and had reserved, at most."""
        if self.small:
            return {"used_gb": 0.0, "reserved_gb": 0.0}
        cuda = self.torch.cuda
        return {
            "used_gb": round(cuda.max_memory_allocated() / 1e9, 3),
            "reserved_gb": round(cuda.max_memory_reserved() / 1e9, 3),
        }

    def context(self) -> int:
        """Bytes of the card that are taken and not the allocator's: right where no other process is there."""
        if self.small:
            return int(5e8)
        free, whole = self.torch.cuda.mem_get_info()
        return int(whole - free - self.torch.cuda.memory_reserved())

    def seconds(self, call: Callable[[], Any]) -> float:
        """How long a call takes, to its end on the card."""
        self.wait()
        start = time.perf_counter()
        call()
        self.wait()
        return time.perf_counter() - start

    def products(self) -> float:
        """FLOP/s of large products in bfloat16."""
        side = 256 if self.small else 8192
        a, b = (self.torch.randn(side, side, device=self.device, dtype=self.torch.bfloat16) for _ in range(2))
        out = self.torch.empty_like(a)
        taken = [self.seconds(lambda: [self.torch.mm(a, b, out=out) for _ in range(10)]) for _ in range(4)][1:]
        return 10 * 2 * side**3 / statistics.median(taken)

    def weights(self, name: str) -> Path:
        """A folder that the part ``shapes`` makes, once it is there."""
        place, end = self.folder / name, time.monotonic() + 140
        while not (place / "config.json").exists():
            if time.monotonic() > end:
                raise TimeoutError(f"no weights of {name}")
            time.sleep(0.2)
        return place


# model folders


def config_of(name: str, small: bool) -> dict[str, Any]:
    from buke.plan.known import CONFIGS

    config = dict(CONFIGS.get(SHAPES[name]) or SMOL)
    return config | (TINY if small else {}) | {"dtype": "bfloat16"}


def shapes(card: Card, only: str) -> None:
    """Write model folders of random weights: a block of them, over and over, which costs no time to draw."""
    torch = card.torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values = torch.randn(2**22 + 12345 if not card.small else 12345, generator=torch.Generator().manual_seed(0)) * 0.02
    block = values.to(torch.bfloat16).view(torch.uint8).numpy().tobytes() * (8 if not card.small else 1)
    for name in SHAPES:
        start, place = time.perf_counter(), card.folder / name
        place.mkdir(parents=True, exist_ok=True)
        config = config_of(name, card.small)
        with torch.device("meta"):
            given = {key: value for key, value in config.items() if key != "model_type"}
            made = AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **given))
        tensors = {key: tuple(p.shape) for key, p in made.named_parameters()}
        ones = torch.ones(1, dtype=torch.bfloat16).view(torch.uint8).numpy().tobytes()
        header, at = {"__metadata__": {"format": "pt"}}, 0
        sizes = {key: 2 * torch.Size(shape).numel() for key, shape in tensors.items()}
        for key, shape in tensors.items():
            header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at := at + sizes[key]]}  # type: ignore[dict-item]
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with (place / "model.safetensors").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for key, left in sizes.items():
                data = memoryview(ones * (left // 2) if "norm" in key else block)
                while left:
                    left -= file.write(data[: min(left, len(data))])
        config["architectures"] = ["Qwen2ForCausalLM" if config["model_type"] == "qwen2" else "LlamaForCausalLM"]
        (place / "config.part").write_text(json.dumps(config))
        (place / "config.part").rename(place / "config.json")
        say(name, gb=rounded(at / 1e9), seconds=rounded(time.perf_counter() - start))


# kernels


def kernels(card: Card, only: str) -> None:
    """Errors of the fast kernel and of its plain twin against the twin in float64: forward, worst gradient."""
    torch = card.torch
    torch.backends.cuda.matmul.allow_tf32 = False
    for dtype in (torch.float32, torch.bfloat16):
        _kernels_in(card, dtype, str(dtype).split(".")[1])
    if not card.small:
        _attention_costs(card)


def _kernels_in(card: Card, dtype: Any, kind: str) -> None:
    torch = card.torch
    from torch import Tensor

    from buke import kernels as k
    from buke.kernels.attention import Attention

    def drawn(*shape: int, scale: float = 1.0, to: Any = dtype, learns: bool = True) -> Tensor:
        made = torch.randn(*shape, device=card.device).mul_(scale).to(to)
        return made.requires_grad_(learns)  # type: ignore[no-any-return]

    def far(fast: Callable[..., Tensor], plain: Callable[..., Tensor], *inputs: Tensor) -> dict[str, Any]:
        results = []
        for compute, wide in ((plain, True), (plain, False), (fast, False)):
            own = [
                (x.detach().double() if wide else x.detach().clone()).requires_grad_(x.requires_grad) for x in inputs
            ]
            out = compute(*own)
            torch.manual_seed(1)
            grads = torch.autograd.grad(
                (out * torch.randn(out.shape, device=card.device, dtype=torch.float32)).sum(),
                [x for x in own if x.requires_grad],
            )
            results.append([out.detach(), *grads])
        wanted, by_plain, by_fast = results
        error = lambda got: [float((a.double() - b.double()).norm() / b.double().norm()) for a, b in zip(got, wanted)]  # noqa: B905, E731
        ours, twins = error(by_fast), error(by_plain)
        return {
            "forward": rounded(ours[0], 2), "gradient": rounded(max(ours[1:]), 2),
            "plain": [rounded(twins[0], 2), rounded(max(twins[1:]), 2)],
        }  # fmt: skip

    torch.manual_seed(0)
    starts = (0, 130, 131, 300) if card.small else (0, 130, 131, 500, 1100)
    tokens, heads, keys, width = starts[-1], 8, 2, 64
    shapes_ = ((heads, tokens, width), (keys, tokens, width), (keys, tokens, width))
    for window in (None, 64):
        given = (starts, width**-0.5, window)
        qkv = [drawn(*shape) for shape in shapes_]
        fast, plain = (lambda *x, f=f, g=given: f(*x, *g) for f in (k.record_attention, k.record_attention_plain))
        say(f"record_attention window {window} {kind}", **far(fast, plain, *qkv))
        say(f"Attention window {window} {kind}", **far(_by_class(Attention, k, given), lambda *x, g=given: (
            k.record_attention_plain(*(y.transpose(0, 1) for y in x), *g).transpose(0, 1)
        ), *[x.detach().transpose(0, 1).contiguous().requires_grad_() for x in qkv]))  # fmt: skip
    inner, out = 512, 640
    linear = (drawn(tokens, inner), drawn(out, inner, scale=inner**-0.5, learns=False), drawn(out, learns=False))
    low = (drawn(16, inner, scale=0.05, to=torch.float32), drawn(out, 16, scale=0.1, to=torch.float32))
    fast, plain = (lambda *x, f=f: f(*x, 2.0) for f in (k.lora_linear, k.lora_linear_plain))
    say(f"lora_linear {kind}", **far(fast, plain, *linear, *low))
    vocabulary = 1000 if card.small else 40000
    targets = torch.randint(vocabulary, (tokens,), device=card.device)
    hidden, head = drawn(tokens, inner), drawn(vocabulary, inner, scale=inner**-0.5, learns=False)
    for name, at in (("", None), (", head of the CPU", "cpu")):
        say(f"linear_cross_entropy{name} {kind}", **far(
            lambda h, w, at=at: k.linear_cross_entropy(h, w.to(at or card.device), targets),
            lambda h, w: k.linear_cross_entropy_plain(h, w, targets), hidden, head,
        ))  # fmt: skip
    _layers(card, dtype, kind, drawn, far, starts)


def _by_class(attention: Any, k: Any, given: tuple[Any, ...]) -> Any:
    """``Attention.forward`` and ``backward`` as one function of autograd."""
    import torch

    class Whole(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Any, key: Any, v: Any) -> Any:
            own = attention(*given, k.Arena())
            out = torch.empty_like(q)
            own.forward(q, key, v, out)
            ctx.save_for_backward(q, key, v, out)
            ctx.own = own
            return out

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            grads = [torch.empty_like(x) for x in ctx.saved_tensors[:3]]
            ctx.own.backward(dout.contiguous(), *ctx.saved_tensors, *grads)
            return tuple(grads)

    return Whole.apply


def _layers(card: Card, dtype: Any, kind: str, drawn: Any, far: Any, starts: Sequence[int]) -> None:
    torch = card.torch
    from buke.kernels import Arena, Layer, Linear, Place, decoder_layer, decoder_layer_plain

    model, inner, head, heads, keys = 256, 704, 64, 4, 2
    sizes = {"q": (heads * head, model), "k": (keys * head, model), "v": (keys * head, model),
             "o": (model, heads * head), "gate": (inner, model), "up": (inner, model),
             "down": (model, inner)}  # fmt: skip
    given = {}
    for name, (out, into) in sizes.items():
        given[name] = drawn(out, into, scale=into**-0.5, learns=False)
        given[f"{name} a"] = drawn(16, into, scale=into**-0.5, to=torch.float32)
        given[f"{name} b"] = drawn(out, 16, scale=0.1, to=torch.float32)
    given |= {f"norm{i}": (torch.rand(model, device=card.device) + 0.5).to(dtype) for i in (1, 2)}
    angle = torch.cat([torch.rand(starts[-1], head // 2, device=card.device)] * 2, 1)
    given |= {"cos": angle.cos().to(dtype), "sin": angle.sin().to(dtype), "x": drawn(starts[-1], model)}
    names = list(given)

    def run(
        function: Any, keep: str, where: str = "", own_starts: Sequence[int] = starts, rows: slice = slice(None)
    ) -> Any:
        def call(*tensors: Any) -> Any:
            own = dict(zip(names, tensors, strict=True))
            parts = {
                name: Linear(own[name].to(where) if where else own[name], None, own[f"{name} a"], own[f"{name} b"], 2.0)
                for name in sizes
            }
            layer = Layer(own["norm1"], own["norm2"], **parts, head_width=head, scale=head**-0.5, epsilon=1e-6)
            place = Place(own["cos"][rows], own["sin"][rows], own_starts, Arena(), keep)
            return function(own["x"][rows], layer, 0, place)

        return call

    plain = run(decoder_layer_plain, "all")
    for keep in ("all", "half", "byte", "input"):
        say(f"decoder_layer {keep} {kind}", **far(run(decoder_layer, keep), plain, *given.values()))
    say(f"decoder_layer, weights of the CPU {kind}", **far(run(decoder_layer, "input", "cpu"), plain, *given.values()))
    from itertools import pairwise

    alone = [run(decoder_layer, "all", own_starts=(0, b - a), rows=slice(a, b)) for a, b in pairwise(starts)]
    unpacked = lambda *x: torch.cat([call(*x) for call in alone])  # noqa: E731
    say(f"decoder_layer, records alone {kind}", **far(unpacked, plain, *given.values()))


def _attention_costs(card: Card) -> None:
    """What attention takes where keys are shared by queries, in formats that not every kernel of torch has."""
    torch, tokens = card.torch, 4096
    from buke.kernels import record_attention

    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        for name, keys in (("shared keys", 2), ("as many keys", 12)):
            q, k, v = (
                torch.randn(n, tokens, 128, device=card.device, dtype=dtype, requires_grad=True)
                for n in (12, keys, keys)
            )
            card.anew()
            held = torch.cuda.memory_allocated()
            both = lambda q=q, k=k, v=v: record_attention(q, k, v, (0, tokens), 0.1).sum().backward()  # noqa: E731
            taken = [card.seconds(both) for _ in range(3)]
            extra = torch.cuda.max_memory_allocated() - held
            say(
                f"attention of 4,096 tokens, {name}, {dtype}",
                ms=rounded(1e3 * min(taken)),
                extra_gb=rounded(extra / 1e9),
            )


# an adapter elsewhere


def peft(card: Card, only: str) -> None:
    """Train, save, and load base and adapter by plain transformers and PEFT."""
    torch = card.torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from buke.config import make
    from buke.model import load
    from buke.train.step import Ranks, optimizer_for, take_step
    from tiny import tiny_folder

    size = {} if card.small else {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 6,
                                  "num_attention_heads": 8, "num_key_value_heads": 2}  # fmt: skip
    folder = tiny_folder(card.folder / "peft", "qwen2", **size)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        settings, _ = make(
            {"model": str(folder), "device": card.name, "precision": precision, "learning_rate": 1e-3}, {}
        )
        model = load(folder, settings)
        model.add_adapter(settings)
        optimizer = optimizer_for(model.trained(), 5e-3, 0.0)
        losses = [take_step(model, _rows([90, 41, 7], len(model.head)), optimizer, 1.0, Ranks()) for _ in range(8)]
        own = card.folder / f"adapter {precision}"
        model.save_adapter(own, {})
        ids = list(_example(60, len(model.head)).ids)
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").to(card.device)
        with torch.inference_mode():
            ours = model.logits(model.hidden(ids, (0, len(ids))))
            plain = base(torch.tensor([ids], device=card.device)).logits[0].float()
            theirs = PeftModel.from_pretrained(base, own)(torch.tensor([ids], device=card.device)).logits[0].float()
        say(
            f"adapter elsewhere {precision}", far=rounded(float((ours - theirs).norm() / theirs.norm())),
            moved=rounded(float((theirs - plain).norm() / plain.norm())),
            losses=[rounded((one.loss_sum or 0) / one.tokens) for one in (losses[0], losses[-1])],
        )  # fmt: skip


def _example(tokens: int, vocabulary: int, first: int = 1, seed: int = 0) -> Any:
    from buke.records import Example

    rng = random.Random(tokens + 1000 * seed)
    ids = tuple(rng.randrange(100, vocabulary) for _ in range(tokens))
    return Example(
        f"{seed}-{tokens}", "", ids, (False,) * first + (True,) * (tokens - first), (first, first, 0, tokens)
    )


def _rows(lengths: Sequence[int], vocabulary: int) -> Any:
    from buke.records import Row

    return [Row(tuple(_example(n, vocabulary, seed=i) for i, n in enumerate(lengths)))]


# the commands


def walk(card: Card, only: str) -> None:
    """The commands in this process: exit codes, and how the losses went."""
    from tiny import tiny_folder, write_lessons

    folder, data, runs = tiny_folder(card.folder / "walk"), card.folder / "lessons.jsonl", card.folder / "runs"
    write_lessons(data, 60)

    def buke(*words: str) -> tuple[int, str]:
        from buke.cli import run

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["--runs", str(runs), "--lang", "en", *words])
        if code:
            print(f"{words}: {code}\n{out.getvalue()[-1500:]}\n{err.getvalue()[-1500:]}", file=sys.stderr)
        return code, out.getvalue()

    def losses(name: str) -> list[float]:
        lines = [json.loads(line) for line in (runs / name / "steps.jsonl").read_text().splitlines()]
        return [rounded((one["loss_sum"] or 0) / max(one["tokens"], 1)) for one in (lines[0], lines[-1])]

    def train(name: str, precision: str, *more: str) -> None:
        words = ["train", str(data), "--model", str(folder), "--device", card.name, "--precision", precision]
        for key, value in WALKED.items():
            words += [f"--{key.replace('_', '-')}", str(value)]
        start = time.perf_counter()
        code, _ = buke(*words, "--name", name, *more)
        taken = rounded(time.perf_counter() - start)
        say(f"train {name}", code=code, losses=losses(name) if code == 0 else [], seconds=taken)

    train("auto", "auto")
    for precision in ("fp16", "fp32") if not card.small else ("fp32",):
        train(precision, precision)
    for more in (["--weights", "streamed"], ["--activations", "byte"], ["--recompute"], ["--layers", "upper"]):
        train(" ".join(more)[2:].replace("--", ""), "auto", *more)
    _break_off(runs, {"data": [str(data)], "model": str(folder), "device": card.name} | WALKED | {"name": "broken off"})
    code, _ = buke("train", "--resume", "broken off")
    files = {name: (runs / name / "adapter" / "adapter_model.safetensors") for name in ("auto", "broken off")}
    say("resume", code=code, losses=losses("broken off"), same_bytes=len({f.read_bytes() for f in files.values()}) == 1)
    brought = (runs / "weights streamed" / "adapter" / "adapter_model.safetensors").read_bytes()
    say("streamed as resident", same_bytes=files["auto"].read_bytes() == brought)
    say("again", code=buke("train", "--again", "auto")[0], note="0: the same bytes")
    code, told = buke("compare", "auto", "--questions", "4", "--json")
    say("compare", code=code, letters=len(told))
    say("report", code=buke("report", "auto")[0], there=(runs / "auto" / "report.html").exists())
    say("verify", code=buke("verify", "auto")[0])
    plan = ["plan", str(data), "--model", str(folder), "--device", card.name, "--json"]
    say("plan", code=buke(*plan)[0])
    code, told = buke("doctor", "--json")
    say("doctor", code=code, told=_doctor_says(told))


def _break_off(runs: Path, values: dict[str, Any]) -> None:
    """Train up to a step, and stop there as a crash does."""
    from buke.config import make
    from buke.records import Step
    from buke.train import begin as jobs

    job = jobs.prepare(*make(values, {}), runs, lambda line: None)
    for event in job.events():
        if isinstance(event, Step) and event.step == 7:
            break
    job.release()


def _doctor_says(told: str) -> Any:
    try:
        found = json.loads(told)
    except ValueError:
        return told[-300:]
    return {one["name"]: f"{one['state']}: {one['text'][:90]}" for one in found["checks"] if one["name"] in TOLD}


# tests with tensors on the card


def tests(card: Card, only: str) -> None:
    """The tests of the kernels, with every tensor made on the card."""
    import pytest

    card.torch.set_default_device(card.device)
    out = io.StringIO()
    chosen = ["-k", "cross_entropy and far or by_hand"] if card.small else []
    with contextlib.redirect_stdout(out):
        code = pytest.main([
            str(ROOT / "tests" / "test_kernels.py"), "-q", "--maxfail=12", "--tb=line", "-p", "no:cacheprovider",
            "-n", "0", *chosen,
        ])  # fmt: skip
    lines = [
        line[:150] for line in out.getvalue().splitlines() if line.startswith(("FAILED", "ERROR")) or " passed" in line
    ]
    say("tests of kernels", code=int(code), told=lines[-13:])


# a step, against others


def step(card: Card, only: str) -> None:
    """Processes that wait; in each of two turns each trains one warm step and three that count, one after the other."""
    from step import necessary, steps

    for name in ("135m", "1.5b"):
        if only and name not in only:
            continue
        folder = card.weights(name)
        config = json.loads((folder / "config.json").read_text())
        made = steps(4, config["vocab_size"], None)
        if card.small:
            made = [[(ids[:40], 6) for ids, _ in one] for one in made]
        work = statistics.mean(necessary(config, one) for one in made)
        given = {"folder": str(folder), "steps": made}
        kinds = ["ours", "peft", "trl", "trl checkpointing"]
        waiting = {kind: _Waiting(kind, card, given) for kind in kinds}
        rates: dict[str, list[float]] = {}
        peaks: dict[str, Any] = {}
        for kind in [kind for kind in kinds if waiting[kind].answer() is None]:
            say(f"{name} {kind}", failed=waiting.pop(kind).error())
        for _ in range(2):
            rate = card.products()
            card.anew()
            for kind, one in list(waiting.items()):
                for found in one.turn():
                    label = found.pop("label")
                    seen = rates.setdefault(label, [])
                    seen += found.pop("rates")
                    peaks[label] = found
                    bound = rate * statistics.mean(sum(len(ids) for ids, _ in s) for s in made) / work
                    told = {
                        "tokens_per_second": round(statistics.median(seen)),
                        "of_bound": rounded(statistics.median(seen) / bound),
                    }
                    say(f"{name} {label}", **told, least=round(min(seen)), most=round(max(seen)), **found)
                if one.dead:
                    say(f"{name} {kind}", failed=waiting.pop(kind).error())
        say(f"{name} products", tflops=rounded(rate / 1e12), bound=round(bound))
        for one in waiting.values():
            one.end()


class _Waiting:
    """A contender's process."""

    def __init__(self, kind: str, card: Card, given: dict[str, Any]) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        path = card.folder / f"{kind}.json"
        path.write_text(json.dumps(given))
        command = [sys.executable, __file__, "--device", card.name, "--folder", str(card.folder), "--one", kind]
        self.process = subprocess.Popen(
            [*command, "--only", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self.dead = False

    def answer(self) -> dict[str, Any] | None:
        """What it says next; None where it ended."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("::"):
                found: dict[str, Any] = json.loads(line[2:])
                return found
        self.dead = True
        return None

    def turn(self) -> Iterator[dict[str, Any]]:
        """Let it train; what it says of each of its ways."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        while (found := self.answer()) is not None and found["what"] != "turn":
            yield {key: value for key, value in found.items() if key != "what"}

    def error(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-500:]

    def end(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(20)


def _told() -> bool:
    return sys.stdin.readline().strip() == "go"


def _timed(card: Card, label: str, made: Any, train: Callable[[Any], Any]) -> None:
    """One warm step, three that count."""
    card.anew()
    rates = []
    try:
        for at, one in enumerate(made):
            taken = card.seconds(lambda one=one: train(one))
            if at:
                rates.append(round(sum(len(ids) for ids, _ in one) / taken, 1))
    except card.torch.OutOfMemoryError as error:
        print(error, file=sys.stderr)
        label += " (ran out of memory)"
        rates = [0.001]
    say("way", label=label, rates=rates, **card.peaks())
    card.anew()


def contender_ours(card: Card, given: dict[str, Any]) -> None:
    """buke's step, with rows of several lengths."""
    from buke.config import make
    from buke.model import load
    from buke.pack import rows
    from buke.records import Example
    from buke.train.step import Ranks, optimizer_for, take_step

    values = {"model": given["folder"], "rank": RANK, "device": card.name, "precision": "bf16", "weights": "resident"}
    settings, _ = make(values | {"batch": 8}, {})
    model = load(Path(given["folder"]), settings)
    model.add_adapter(settings)
    optimizer = optimizer_for(model.trained(), RATE, 0.0)
    say("ready")
    while _told():
        for row, again in ((2048, False), (8192, False), (8192, True)):
            model.keep_activations("full", again)

            def train(one: Any, row: int = row) -> None:
                made = [
                    Example(str(i), "", tuple(ids), (False,) * n + (True,) * (len(ids) - n), (n, n, 0, len(ids)))
                    for i, (ids, n) in enumerate(one)
                ]
                assert take_step(model, rows(made, 8, row), optimizer, 1.0, Ranks()).taken

            _timed(card, f"ours, rows of {row}" + ", recompute" * again, given["steps"], train)
            model.release()
        say("turn")


def contender_peft(card: Card, given: dict[str, Any]) -> None:
    """A bare loop: a record at a time, and eight padded to the longest."""
    torch = card.torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(given["folder"], dtype=torch.bfloat16, attn_implementation="sdpa")
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base.to(card.device), config).train()
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=RATE)
    say("ready")

    def train(one: Any, batch: int) -> None:
        count = sum(len(ids) - first for ids, first in one)
        for at in range(0, len(one), batch):
            part = one[at : at + batch]
            longest = max(len(ids) for ids, _ in part)
            ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in part], device=card.device)
            labels = torch.tensor(
                [[-100] * n + ids[n:] + [-100] * (longest - len(ids)) for ids, n in part], device=card.device
            )
            mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in part], device=card.device)
            own = sum(len(ids) - first for ids, first in part)
            (model(input_ids=ids, labels=labels, attention_mask=mask).loss * own / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    while _told():
        for batch in (1, 8):
            _timed(card, f"PEFT loop, batch {batch}", given["steps"], lambda one, batch=batch: train(one, batch))
        say("turn")


def contender_trl(card: Card, given: dict[str, Any], checkpointing: bool = False) -> None:
    """TRL's SFTTrainer as its documentation shows it for LoRA: batch 2, accumulation 4, loss on the completion."""
    torch = card.torch
    from datasets import Dataset
    from datasets.table import InMemoryTable
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from tiny import tiny_folder

    made, turns = given["steps"], 2
    label = "TRL, batch 2 x 4" + ", checkpointing" * checkpointing
    rates: list[float] = []

    class Follow(TrainerCallback):  # type: ignore[misc]
        at, start = 0, 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if self.at == 0:
                say("ready")
            if self.at % len(made) == 0:
                if not _told():
                    os._exit(0)
                card.anew()
                rates.clear()
            card.wait()
            self.start = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            card.wait()
            tokens, taken = sum(len(ids) for ids, _ in made[self.at % len(made)]), time.perf_counter() - self.start
            if self.at % len(made):
                rates.append(round(tokens / taken, 1))
            self.at += 1
            if self.at % len(made) == 0:
                say("way", label=label, rates=rates, **card.peaks())
                card.anew()
                say("turn")

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    records = [record for one in made * (turns + 1) for record in one]
    columns = {
        "input_ids": [ids for ids, _ in records],
        "labels": [[-100] * n + ids[n:] for ids, n in records],
    }
    # ready as it is: with a name of its own, nothing is hashed
    data = Dataset(InMemoryTable.from_pydict(columns), fingerprint="card")
    out = card.folder / f"trl{checkpointing}"
    settings = SFTConfig(
        output_dir=str(out), per_device_train_batch_size=2, gradient_accumulation_steps=4, learning_rate=RATE,
        max_length=2048, gradient_checkpointing=checkpointing, bf16=not card.small, use_cpu=card.small,
        report_to="none", dataset_kwargs={"skip_prepare_dataset": True}, logging_strategy="no", save_strategy="no",
        disable_tqdm=True, num_train_epochs=1,
    )  # fmt: skip
    base = AutoModelForCausalLM.from_pretrained(given["folder"], dtype=torch.bfloat16)
    trainer = InOrder(
        model=base, args=settings, train_dataset=data, callbacks=[Follow()],
        processing_class=AutoTokenizer.from_pretrained(tiny_folder(out / "tokenizer")),
        peft_config=LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    trainer.train()


# memory, planned and measured

PLANS: list[dict[str, Any]] = [
    {"shape": "135m", "tokens": 512},
    {"shape": "135m", "tokens": 2048},
    {"shape": "135m", "tokens": 2048, "activations": "byte"},
    {"shape": "135m", "tokens": 2048, "recompute": True},
    {"shape": "135m", "tokens": 1024, "weights": "streamed"},
    {"shape": "1.5b", "tokens": 1024},
    {"shape": "1.5b", "tokens": 1024, "activations": "half"},
    {"shape": "1.5b", "tokens": 2048, "activations": "byte"},
    {"shape": "1.5b", "tokens": 2048, "recompute": True},
    {"shape": "1.5b", "tokens": 1024, "weights": "streamed", "recompute": True},
    {"shape": "1.5b", "tokens": 1024, "weights": "parts", "recompute": True},
]


def plan(card: Card, only: str) -> None:
    """Two steps of a short row and a long one, each setting after all was given back."""
    for given in PLANS:
        if not only or given["shape"] in only:
            card.anew()
            say(" ".join(f"{name} {value}" for name, value in given.items()), **_planned(card, dict(given)))


def _task(card: Card, folder: Path, given: dict[str, Any], tokens: int) -> Any:
    from buke.config import make
    from buke.plan import Task, own_bytes
    from buke.train.ahead import config_in, stepper

    values = {"model": str(folder), "device": card.name, "questions": 0, "precision": "bf16", "rank": RANK} | given
    settings, _ = make(values, {})
    fixed = frozenset(given) - {name for name, value in given.items() if value == "auto"}
    return Task(config_in(folder), settings, fixed, [tokens], [], 16, "cuda", "bf16", own_bytes(), stepper)


def _planned(card: Card, given: dict[str, Any]) -> dict[str, Any]:
    from buke.plan import Way, measure

    shape, tokens = given.pop("shape"), given.pop("tokens") if not card.small else 64 + 0 * given.pop("tokens")
    given = {"activations": "full", "weights": "resident", "recompute": False} | given
    folder = card.weights(shape)
    task = _task(card, folder, given, tokens)
    start = time.perf_counter()
    where = given["weights"]
    way = Way(tokens, "bf16", given["activations"], given["recompute"], where, True)
    fit = measure(task, way, tokens)
    took = time.perf_counter() - start
    context, before = card.context(), card.peaks()["reserved_gb"]
    _train(card, folder, task.settings, way, tokens)
    planned, found = (fit.needed - fit.parts["libraries"]) / 1e9, card.peaks()
    return {
        "planned_gb": rounded(planned, 4), **found, "off": f"{planned / (found['reserved_gb'] or planned) - 1:+.1%}",
        "context_gb": rounded(context / 1e9), "before_gb": before, "planning_s": rounded(took),
    }  # fmt: skip


def _train(card: Card, folder: Path, settings: Any, way: Any, tokens: int) -> None:
    """Two steps of a row of 16 tokens and a long one."""
    from buke.model import load
    from buke.records import Row
    from buke.train.ahead import stepper

    model = load(folder, settings)
    model.add_adapter(settings)
    model.keep_activations(way.activations, way.recompute)
    take = stepper(model)
    for at in range(2):
        take(model, [Row((_example(n, len(model.head), seed=at),)) for n in (16, tokens)])
    card.wait()


# large models on a small card


def eight(card: Card, only: str) -> None:
    """A record a step on a card of 8 GB, as the plan chooses, and without a limit, the weights resident.

    ahead: weights copied a layer ahead; on demand: each layer's when it comes; parts: a part of a layer at a time.
    """
    context = card.context()
    whole = card.torch.cuda.get_device_properties(0).total_memory if not card.small else EIGHT
    say("card", name="cpu" if card.small else card.torch.cuda.get_device_name(), context_gb=rounded(context / 1e9))
    long, longer = (64, 128) if card.small else (2048, 4096)
    settings = (("7b", "streamed", True), ("8b", "streamed", True), ("7b", "resident", False), ("7b", "parts", True))
    for name, where, limited in settings:
        if only and name not in only:
            continue
        if not card.small:
            card.torch.cuda.set_per_process_memory_fraction((EIGHT - context) / whole if limited else 1.0)
        card.anew()
        try:
            _large(card, name, where, limited, (long, longer) if (name, where) == ("7b", "streamed") else (long,))
        except card.torch.OutOfMemoryError as error:
            say(f"{name} {where}", ran_out=str(error)[:200], **card.peaks())


def _large(card: Card, name: str, where: str, limited: bool, lengths: Sequence[int]) -> None:
    import psutil

    from buke.model import load
    from buke.model.ahead import ahead_of
    from buke.plan import choose
    from buke.plan.choose import CUDA_CONTEXT, FREE_SHARE
    from buke.train.ahead import stepper

    folder, began = card.weights(name), time.perf_counter()
    task = _task(card, folder, {"weights": where}, max(lengths))
    fit, _ = choose(task, CUDA_CONTEXT + int(FREE_SHARE * (EIGHT - CUDA_CONTEXT)) if limited else 2**40)
    planned = time.perf_counter() - began
    model = load(folder, task.settings)
    if card.small and where == "streamed":
        model.ahead = ahead_of(model.base, model.device)  # the CPU stands in for the card
    model.add_adapter(task.settings)
    model.keep_activations(fit.way.activations, fit.way.recompute)
    take, loading = stepper(model), time.perf_counter() - began - planned
    ways = [("ahead", True), ("on demand", False)] if model.ahead else [("", False)]
    for tokens in reversed(lengths):  # the peak of the longest is the one that was planned
        for kind, early in ways:
            if model.ahead:
                model.ahead.early = early
            rows = _rows([tokens], len(model.head))
            taken = [card.seconds(lambda rows=rows: take(model, rows)) for _ in range(3)]
            say(
                f"{name} {where} {kind} {tokens}", tokens_per_second=round(tokens / min(taken[1:])),
                seconds=[rounded(s) for s in taken], kept="recompute" if fit.way.recompute else fit.way.activations,
                planned_gb=rounded((fit.needed - fit.parts["libraries"]) / 1e9), **card.peaks(),
                host_gb=rounded(psutil.Process().memory_info().rss / 1e9), planning_s=rounded(planned),
                loading_s=rounded(loading),
            )  # fmt: skip
    if model.ahead:
        block = model.ahead.blocks[0]
        into = model.ahead.slots[0][: len(block)]
        rate = 5 * block.nbytes / card.seconds(lambda: [into.copy_(block, non_blocking=True) for _ in range(5)])
        pinned = not card.small and block.is_pinned()
        say(
            f"{name} copies to the card",
            gb_per_second=rounded(rate / 1e9),
            layer_gb=rounded(block.nbytes / 1e9),
            pinned=pinned,
        )


# the whole


class Part(threading.Thread):
    """A part's process; its findings are passed on as they come."""

    def __init__(self, name: str, given: argparse.Namespace, seconds: float, found: Callable[[str, Any], None]) -> None:
        super().__init__()
        self.part, self.limit, self.found, self.log = name, seconds, found, given.logs / f"card-{name}.log"
        command = [sys.executable, __file__, "--device", given.device, "--folder", str(given.folder), "--one", name]
        self.command = [*command, "--only", given.only]
        self.code, self.taken, self.over = 0, 0.0, False

    def run(self) -> None:
        start = time.monotonic()
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                self.command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])},
            )  # fmt: skip
            timer = threading.Timer(self.limit, self._kill, [process.pid])
            timer.start()
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("::"):
                    self.found(self.part, json.loads(line[2:]))
            self.code = process.wait()
            timer.cancel()
        self.taken = time.monotonic() - start

    def _kill(self, group: int) -> None:
        self.over = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)

    def verdict(self) -> str:
        return "time limit" if self.over else "ended" if self.code == 0 else f"failed, {self.code}"


def main() -> None:
    """Run the parts and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--parts", default=",".join(LIMITS))
    parser.add_argument("--only", default="", help="only shapes whose name stands in this")
    parser.add_argument("--seconds", type=float, default=480, help="for all together")
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        _one(given)
        return
    kept = Path(os.environ["OUT"]) if os.environ.get("OUT") else None
    memory = Path("/dev/shm")
    at = str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 60e9 else None
    with tempfile.TemporaryDirectory(dir=at) as temporary:
        given.folder = Path(temporary)
        given.logs = kept or given.folder
        _all(given, kept)


def _one(given: argparse.Namespace) -> None:
    """A part, or a contender of ``step``, in this process."""
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "BUKE_CACHE": str(given.folder / "cache"),
        "BUKE_DEBUG": "1",
        "COLUMNS": "150",
    }
    card = Card(given.device, given.folder, given.one not in BESIDE)
    contenders = {
        "ours": contender_ours, "peft": contender_peft, "trl": contender_trl,
        "trl checkpointing": lambda card, given: contender_trl(card, given, True),
    }  # fmt: skip
    if given.only.endswith(".json"):
        contenders[given.one](card, json.loads(Path(given.only).read_text()))
    else:
        {"shapes": shapes, "kernels": kernels, "peft": peft, "walk": walk, "tests": tests, "step": step, "plan": plan,
         "eight": eight}[given.one](card, given.only)  # fmt: skip


def _all(given: argparse.Namespace, kept: Path | None) -> None:
    began, lock = time.monotonic(), threading.Lock()
    findings: list[tuple[str, dict[str, Any]]] = []

    def found(part: str, finding: dict[str, Any]) -> None:
        with lock:
            findings.append((part, finding))
            print(json.dumps({"part": part, "at": round(time.monotonic() - began)} | finding), flush=True)
            if kept:
                (kept / "card.json").write_text(json.dumps([{"part": p} | f for p, f in findings], indent=1))

    asked, ran = given.parts.split(","), []
    first = [name for name in asked if name in BESIDE]
    together = [name for name in asked if name in TOGETHER]
    for names in (first, together, *[[name] for name in asked if name not in BESIDE | TOGETHER]):
        left = given.seconds - (time.monotonic() - began)
        parts = [Part(name, given, min(LIMITS[name], left), found) for name in names if left > 5]
        for part in parts:
            part.start()
        for part in parts if names is not first else ():
            part.join()
        ran += parts
    for part in ran:
        part.join()
    if not given.json:
        print("\n".join(_table(findings)))
    for part in ran:
        print(f"{part.part}: {part.verdict()}, {part.taken:.0f} s")
        if part.code:
            print(part.log.read_text(errors="replace")[-700:])
        else:
            part.log.unlink()


def _table(findings: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """A line a finding; of several with one name the last."""
    last = {(part, finding["what"]): finding for part, finding in findings}
    for (part, what), finding in last.items():
        values = ", ".join(f"{name} {value}" for name, value in finding.items() if name != "what")
        yield f"{part:8} {what}: {values}"[:230]


if __name__ == "__main__":
    main()
