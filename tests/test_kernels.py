"""Kernels: each fast computation against its plain twin, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from buke import kernels
from buke.kernels import (
    linear_cross_entropy,
    linear_cross_entropy_plain,
    lora_linear,
    lora_linear_plain,
    record_attention,
    record_attention_plain,
)

torch.set_num_threads(1)  # for matrices this small, threads only wait for each other

FLOAT32 = (torch.float32, 1e-5)
BFLOAT16 = (torch.bfloat16, 3e-2)


def drawn(*shape: int, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Tensor:
    return (torch.randn(*shape) * scale).to(dtype)


def both_ways(
    fast: Callable[..., Tensor], plain: Callable[..., Tensor], inputs: Sequence[Tensor], tolerance: float
) -> None:
    """Same value and same gradient by every input that asks for one, relative to the largest element."""
    results = []
    for compute in (fast, plain):
        own = [x.detach().clone().requires_grad_(x.requires_grad) for x in inputs]
        out = compute(*own)
        torch.manual_seed(1)
        (out.float() * torch.randn(out.shape)).sum().backward()
        results.append([out.detach(), *(x.grad for x in own if x.requires_grad)])
    for got, wanted in zip(*results, strict=True):
        assert got is not None
        assert wanted is not None
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        if wanted.numel():
            scale = max(1.0, float(wanted.float().abs().max()))
            torch.testing.assert_close(got.float(), wanted.float(), rtol=0, atol=tolerance * scale)


@pytest.fixture(autouse=True)
def same_draw() -> None:
    torch.manual_seed(0)


# cross-entropy of the head


@pytest.mark.parametrize(("dtype", "tolerance"), [FLOAT32, BFLOAT16])
@pytest.mark.parametrize("tokens", [0, 1, 7, 64])
@pytest.mark.parametrize("at_once", [1, 97, 300, 2**24])
def test_cross_entropy(
    monkeypatch: pytest.MonkeyPatch, at_once: int, tokens: int, dtype: torch.dtype, tolerance: float
) -> None:
    monkeypatch.setattr(kernels, "LOGITS_AT_ONCE", at_once)
    weight = drawn(97, 13, dtype=dtype)
    targets = torch.randint(0, 97, (tokens,))
    hidden = drawn(tokens, 13, dtype=dtype).requires_grad_()
    both_ways(
        lambda h: linear_cross_entropy(h, weight, targets),
        lambda h: linear_cross_entropy_plain(h, weight, targets),
        [hidden],
        tolerance,
    )


def test_cross_entropy_without_gradients() -> None:
    hidden, weight, targets = drawn(5, 4), drawn(11, 4), torch.arange(5)
    with torch.inference_mode():
        got = linear_cross_entropy(hidden, weight, targets)
    assert not got.requires_grad
    torch.testing.assert_close(got, linear_cross_entropy_plain(hidden, weight, targets))


def test_cross_entropy_of_far_apart_logits_is_finite() -> None:
    hidden = torch.tensor([[1e4, 0.0]]).requires_grad_()
    loss = linear_cross_entropy(hidden, torch.eye(2), torch.tensor([1]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1e4)
    assert hidden.grad is not None
    assert hidden.grad.tolist() == [[1.0, -1.0]]


# a frozen linear layer with its adapter


@pytest.mark.parametrize(("dtype", "tolerance"), [FLOAT32, BFLOAT16])
@pytest.mark.parametrize("shape", [(0, 12), (1, 12), (3, 5, 12), (1, 17, 12)])
@pytest.mark.parametrize("bias", ["none", "frozen", "trained"])
def test_lora_linear(bias: str, shape: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    x = drawn(*shape, dtype=dtype).requires_grad_()
    a, b = drawn(3, 12).requires_grad_(), drawn(7, 3).requires_grad_()  # an adapter stays in float32
    weight = drawn(7, 12, dtype=dtype)
    inputs = [x, a, b] + ([] if bias == "none" else [drawn(7, dtype=dtype).requires_grad_(bias == "trained")])

    def call(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda x, a, b, bias=None: function(x, weight, bias, a, b, 1.7)

    both_ways(call(lora_linear), call(lora_linear_plain), inputs, tolerance)


def test_lora_linear_of_an_input_without_gradient() -> None:
    x, weight = drawn(4, 6), drawn(5, 6)
    a, b = drawn(2, 6).requires_grad_(), drawn(5, 2).requires_grad_()
    both_ways(
        lambda a, b: lora_linear(x, weight, None, a, b, 0.5),
        lambda a, b: lora_linear_plain(x, weight, None, a, b, 0.5),
        [a, b],
        1e-5,
    )


def test_lora_linear_leaves_its_inputs_as_they_are() -> None:
    inputs = [drawn(4, 6), drawn(5, 6), drawn(5), drawn(2, 6), drawn(5, 2)]
    before = [x.clone() for x in inputs]
    lora_linear(*inputs, 2.0)  # type: ignore[arg-type]
    assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))


# attention within each record of a row


@pytest.mark.parametrize(("dtype", "tolerance"), [FLOAT32, BFLOAT16])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("starts", [(0, 1), (0, 23), (0, 1, 2, 3), (0, 7, 8, 21, 40)])
@pytest.mark.parametrize("window", [None, 1, 5, 100])
def test_attention(
    window: int | None, starts: tuple[int, ...], heads: tuple[int, int], dtype: torch.dtype, tolerance: float
) -> None:
    q = drawn(heads[0], starts[-1], 8, dtype=dtype).requires_grad_()
    k, v = (drawn(heads[1], starts[-1], 8, dtype=dtype).requires_grad_() for _ in range(2))
    both_ways(
        lambda q, k, v: record_attention(q, k, v, starts, 0.3, window),
        lambda q, k, v: record_attention_plain(q, k, v, starts, 0.3, window),
        [q, k, v],
        tolerance,
    )


def test_attention_by_hand() -> None:
    """Equal scores: each token gets the mean of the values it sees."""
    q, k = torch.zeros(1, 5, 2), torch.zeros(1, 5, 2)
    v = torch.tensor([[[1.0], [3.0], [5.0], [10.0], [20.0]]]).expand(1, 5, 1)
    for attention in (record_attention, record_attention_plain):
        whole = attention(q, k, v, (0, 3, 5), 1.0)
        assert whole.flatten().tolist() == pytest.approx([1, 2, 3, 10, 15])
        near = attention(q, k, v, (0, 3, 5), 1.0, window=2)
        assert near.flatten().tolist() == pytest.approx([1, 2, 4, 10, 15])


@pytest.mark.parametrize("attention", [record_attention, record_attention_plain])
def test_attention_never_looks_into_another_record(attention: Callable[..., Tensor]) -> None:
    q, k, v = (drawn(2, 9, 4) for _ in range(3))
    before = attention(q, k, v, (0, 4, 9), 0.5)
    for x in (k, v):
        x[:, :4] = 1e3 * torch.randn(2, 4, 4)
    after = attention(q, k, v, (0, 4, 9), 0.5)
    assert torch.equal(before[:, 4:], after[:, 4:])
    assert not torch.equal(before[:, :4], after[:, :4])
