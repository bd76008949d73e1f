"""Weights in four bits: as bitsandbytes packs them, as PEFT trains on them, and what a run makes of them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from buke.config import make
from buke.kernels import Arena, FourBits, four_bits, frozen_linear, linear, lora_linear, lora_linear_plain
from buke.kernels.four_bits import four_bits_plain, widened_plain
from buke.model import Model, load, loading
from buke.records import Example, Row, Step
from buke.train import begin as jobs
from buke.train import manifest
from buke.words import Refusal
from tiny import tiny_folder, write_lessons

pytestmark = pytest.mark.slow  # bitsandbytes is imported in seconds

SOURCE = Path(__file__).resolve().parents[1] / "src"
CPU = torch.device("cpu")
SHAPES = [(64, 64), (7, 33), (130, 48), (9, 576), (1, 1), (5, 13), (2, 128)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts as many as a large weight has."""
    monkeypatch.setattr(four_bits, "AT_ONCE", 256)
    monkeypatch.setattr(linear, "WIDE_AT_ONCE", 500)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of weights that are not whole groups of 64, as those of no published model are."""
    root = tmp_path_factory.mktemp("four")
    return tiny_folder(root / "base", "qwen2", initializer_range=0.2, hidden_size=48, intermediate_size=80)


def nf4(folder: Path, **given: Any) -> Model:
    settings, _ = make({"model": str(folder), "device": "cpu", "precision": "fp32", "weights": "nf4", **given})
    model = load(folder, settings)
    model.add_adapter(settings)
    return model


def row(tokens: int) -> Row:
    ids = tuple((7 * i + 3) % 200 for i in range(tokens))
    return Row((Example("", "", ids, (True,) * tokens, (0, 0, 0, tokens)),))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_four_bits_are_the_nearest_of_sixteen_levels(shape: tuple[int, int], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape).to(dtype)
    got, wanted = FourBits.of(weight, CPU), four_bits_plain(weight)
    assert torch.equal(got.packed_B, wanted.packed_B)
    assert torch.equal(got.scales_G, wanted.scales_G)
    four_bits._library()
    groups = F.pad(weight.reshape(-1), (0, -weight.numel() % 64))
    packed, scales = torch.ops.bitsandbytes.quantize_4bit(groups, 64, "nf4", torch.uint8)
    assert torch.equal(got.packed_B, packed.view(-1))
    assert torch.equal(got.scales_G, scales)
    plain = widened_plain(got)
    for wide in (torch.float32, torch.bfloat16):
        assert torch.equal(got.rows(0, shape[0], wide), plain.to(wide))
        parts = list(got.parts(wide, 100))
        assert torch.equal(torch.cat([part for _, part in parts]), plain.to(wide))
        assert [part.start for part, _ in parts[1:]] == [part.stop for part, _ in parts[:-1]]
    if weight.numel() > 64:
        assert 0.05 < float((plain - weight.float()).norm() / weight.float().norm()) < 0.12


def test_a_weight_of_zeros_stays_one() -> None:
    assert FourBits.of(torch.zeros(3, 64), CPU).rows(0, 3, torch.float32).abs().max() == 0


def both(function: Callable[..., Tensor], x: Tensor, learned: list[Tensor]) -> list[Tensor]:
    y = function()
    torch.manual_seed(3)
    return [y.detach(), *torch.autograd.grad((y * torch.randn_like(y)).sum(), [x, *learned])]


@pytest.mark.parametrize("shape", [(40, 33), (130, 48), (64, 64)], ids=str)
@pytest.mark.parametrize("biased", [False, True])
def test_products_with_four_bits_forward_and_backward(shape: tuple[int, int], biased: bool) -> None:
    torch.manual_seed(0)
    outputs, inputs = shape
    weight = FourBits.of(torch.randn(shape), CPU)
    wide, x = widened_plain(weight), torch.randn(2, 5, inputs, requires_grad=True)
    bias = torch.randn(outputs, requires_grad=True) if biased else None
    learned = [bias] if bias is not None else []
    got = both(lambda: frozen_linear(x, weight, bias), x, learned)
    torch.testing.assert_close(got, both(lambda: F.linear(x, wide, bias), x, learned), rtol=1e-5, atol=1e-4)
    a, b = torch.randn(3, inputs, requires_grad=True), torch.randn(outputs, 3, requires_grad=True)
    got = both(lambda: lora_linear(x, weight, bias, a, b, 0.7), x, [a, b, *learned])
    wanted = both(lambda: lora_linear_plain(x, wide, bias, a, b, 0.7), x, [a, b, *learned])
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-4)
    parts = [part for part, _ in linear.widened(weight, x, Arena())]
    assert len(parts) == -(-outputs // max(weight.unit, 500 // inputs // weight.unit * weight.unit))


@pytest.mark.parametrize("keep", ["full", "byte"])
def test_our_layers_give_what_those_of_transformers_give(folder: Path, keep: str) -> None:
    model = nf4(folder)
    assert model.fast is not None
    assert model.parameters == load(folder, make({"model": str(folder), "precision": "fp32"})[0]).parameters
    roads = []
    for fast in (model.fast, None):
        model.fast = fast
        if fast is not None:
            model.keep_activations(keep)
        torch.manual_seed(2)
        for parameter in model.trained().values():
            parameter.data = 0.1 * torch.randn_like(parameter)
        loss, _ = model.loss_sum(row(70))
        loss.backward()
        roads.append([loss.detach(), *(p.grad.clone() for p in model.trained().values() if p.grad is not None)])
        model.base.zero_grad()
    for mine, theirs in zip(*roads, strict=True):
        far = float((mine - theirs).norm() / theirs.norm().clamp(min=1e-6))
        assert far < (0.05 if keep == "byte" else 2e-5)


def test_the_adapter_is_that_of_peft_on_a_model_that_bitsandbytes_rounded(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "base", initializer_range=0.2, hidden_size=64, intermediate_size=128)
    model = nf4(folder)
    for name, parameter in model.trained().items():
        parameter.data += 0.1 * torch.randn_like(parameter) * ("lora_B" in name)
    model.save_adapter(tmp_path / "adapter", {})
    ids = list(range(5, 45))
    with model.evaluating():
        torch.save(model.logits(model.hidden(ids, (0, len(ids)))), tmp_path / "mine.pt")
    code = """
        import sys
        from pathlib import Path
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, BitsAndBytesConfig

        folder = Path(sys.argv[1])
        how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
        base = AutoModelForCausalLM.from_pretrained(folder / "base", quantization_config=how, dtype=torch.float32)
        assert type(base.model.layers[0].mlp.up_proj).__name__ == "Linear4bit"
        # as in training: for answers, bitsandbytes rounds the scales to 16 bits on some CPUs
        model = PeftModel.from_pretrained(base, folder / "adapter").train()
        theirs = model(torch.arange(5, 45)[None]).logits[0].detach()
        mine = torch.load(folder / "mine.pt", weights_only=True)
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))
        print("equal")
    """  # in a process of its own: in ours, PEFT is not told of bitsandbytes
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert ran.stdout.splitlines()[-1:] == ["equal"], ran.stderr


SETTINGS = {"epochs": 2.0, "batch": 4, "questions": 0, "weights": "nf4", "precision": "fp32", "save_every": 3}


def test_a_run_in_four_bits_learns_and_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    data = write_lessons(tmp_path / "lessons.jsonl", 30)

    def prepared(name: str) -> jobs.Job:
        given = {"data": [str(data)], "model": str(folder), "name": name, "learning_rate": 5e-3, **SETTINGS}
        return jobs.prepare(*make(given, {"weights": "--weights"}), tmp_path / "runs", lambda line: None)

    def adapter(job: jobs.Job) -> bytes:
        return (job.run / "adapter" / "adapter_model.safetensors").read_bytes()

    whole = prepared("whole")
    losses = [event.loss for event in whole.events() if isinstance(event, Step)]
    assert losses[-1] < 0.9 * losses[0]
    broken = prepared("broken")
    for event in broken.events():
        if isinstance(event, Step) and event.step == 5:
            break
    again = jobs.resume(broken.run, lambda line: None)
    list(again.events())
    assert again.settings.weights == "nf4"
    assert manifest.manifest_of(whole.run)["packages"]["bitsandbytes"]
    assert {part.state for part in manifest.verify(whole.run)} <= {"same"}
    assert adapter(again) == adapter(whole)


@pytest.mark.parametrize("name", ["load_in_4bit", "use_qlora"])
def test_other_trainers_names_for_it_are_understood(name: str) -> None:
    settings, sources = make({name: True}, {name: "recipe.toml"})
    assert (settings.weights, sources["weights"]) == ("nf4", "recipe.toml")
    assert make({name: False})[0].weights == "auto"
    assert make({name: True, "weights": "streamed"})[0].weights == "streamed"


def test_where_it_cannot_be_had_that_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "library_here", lambda: False)
    with pytest.raises(Refusal, match="bitsandbytes") as refused:
        nf4(folder)
    assert "buke[nf4]" in refused.value.hint
    with pytest.raises(Refusal, match="NVIDIA"):
        loading.check_four_bits(torch.device("mps"))


def test_it_is_loaded_only_when_asked_for_and_then_quietly_and_without_code_from_a_hub(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "kernels.py").write_text("raise SystemExit('fetched and ran code')\n")
    code = """
        import sys
        from pathlib import Path
        from buke.config import make
        from buke.model import load

        for weights in ("resident", "nf4"):
            settings, _ = make({"model": sys.argv[1], "weights": weights, "precision": "fp32", "device": "cpu"})
            load(Path(sys.argv[1]), settings).add_adapter(settings)
            print("bitsandbytes" in sys.modules)
    """
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (SOURCE, tmp_path)))}
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert ran.stdout.split() == ["False", "True"], ran.stderr
    assert "kernels" not in ran.stderr
