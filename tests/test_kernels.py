"""Kernels: each fast computation against its plain twin, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from buke.kernels import (
    Arena,
    Layer,
    Linear,
    Place,
    attention,
    decoder_layer,
    decoder_layer_plain,
    linear,
    linear_cross_entropy,
    linear_cross_entropy_plain,
    lora_linear,
    lora_linear_plain,
    loss,
    record_attention,
    record_attention_plain,
    work,
)
from buke.kernels import arena as arena_module
from buke.kernels.bits import Packed

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
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", at_once)
    weight = drawn(97, 13, dtype=dtype)
    targets = torch.randint(0, 97, (tokens,))
    hidden = drawn(tokens, 13, dtype=dtype).requires_grad_()
    both_ways(
        lambda h: linear_cross_entropy(h, weight, targets),
        lambda h: linear_cross_entropy_plain(h, weight, targets),
        [hidden],
        tolerance,
    )


@pytest.mark.parametrize("at_once", [1, 60, 2**24])
def test_cross_entropy_with_a_head_kept_in_16_bit(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(linear, "WIDE_AT_ONCE", at_once)
    weight, targets = drawn(97, 13, dtype=torch.bfloat16), torch.randint(0, 97, (7,))
    both_ways(
        lambda h: linear_cross_entropy(h, weight, targets),
        lambda h: F.cross_entropy(h @ weight.float().T, targets, reduction="sum"),
        [drawn(7, 13).requires_grad_()],
        1e-5,
    )


@pytest.mark.parametrize("at_once", [1, 300, 2**24])
def test_cross_entropy_of_a_head_with_a_bias_that_learns(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", at_once)
    weight, targets = drawn(97, 13), torch.randint(0, 97, (7,))
    both_ways(
        lambda h, b: linear_cross_entropy(h, weight, targets, None, b),
        lambda h, b: linear_cross_entropy_plain(h, weight, targets, b),
        [drawn(7, 13).requires_grad_(), drawn(97).requires_grad_()],
        1e-5,
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


def test_the_plain_twin_knows_where_records_begin_in_16_bits() -> None:
    q, k, v = (drawn(1, 517, 8) for _ in range(3))
    wanted = record_attention_plain(q, k, v, (0, 259, 517), 0.3)  # bfloat16 has no 259
    got = record_attention_plain(*(x.bfloat16() for x in (q, k, v)), (0, 259, 517), 0.3)
    assert (got.float() - wanted).norm() < 0.02 * wanted.norm()


def test_attention_by_hand() -> None:
    """Equal scores: each token gets the mean of the values it sees."""
    q, k = torch.zeros(1, 5, 2), torch.zeros(1, 5, 2)
    v = torch.tensor([[[1.0], [3.0], [5.0], [10.0], [20.0]]]).expand(1, 5, 1)
    for each in (record_attention, record_attention_plain):
        whole = each(q, k, v, (0, 3, 5), 1.0)
        assert whole.flatten().tolist() == pytest.approx([1, 2, 3, 10, 15])
        near = each(q, k, v, (0, 3, 5), 1.0, window=2)
        assert near.flatten().tolist() == pytest.approx([1, 2, 4, 10, 15])


@pytest.mark.parametrize("each", [record_attention, record_attention_plain])
def test_attention_never_looks_into_another_record(each: Callable[..., Tensor]) -> None:
    q, k, v = (drawn(2, 9, 4) for _ in range(3))
    before = each(q, k, v, (0, 4, 9), 0.5)
    for x in (k, v):
        x[:, :4] = 1e3 * torch.randn(2, 4, 4)
    after = each(q, k, v, (0, 4, 9), 0.5)
    assert torch.equal(before[:, 4:], after[:, 4:])
    assert not torch.equal(before[:, :4], after[:, :4])


# a decoder layer

STARTS = (0, 7, 8, 40, 61)


def drawn_layer(
    *, dtype: torch.dtype = torch.float32, bias: bool = False, normed: bool = False, window: int | None = None,
    adapters: str = "q k v o gate up down",
) -> Layer:  # fmt: skip
    """Width 24, 6 query heads, 2 key heads of width 8, 40 wide inside."""

    def linear(name: str, outputs: int, inputs: int) -> Linear:
        weight = drawn(outputs, inputs, scale=inputs**-0.5).to(dtype)
        own_bias = drawn(outputs, dtype=dtype) if bias and name in ("q", "k", "v") else None
        if name not in adapters.split():
            return Linear(weight, own_bias)
        return Linear(
            weight, own_bias, drawn(3, inputs, scale=0.2).requires_grad_(), drawn(outputs, 3).requires_grad_(), 0.7
        )

    shapes = {"q": (48, 24), "k": (16, 24), "v": (16, 24), "o": (24, 48), "gate": (40, 24), "up": (40, 24)}
    linears = {name: linear(name, *shape) for name, shape in (shapes | {"down": (24, 40)}).items()}
    norms = {"q_norm_E": torch.rand(8) + 0.5, "k_norm_E": torch.rand(8) + 0.5} if normed else {}
    return Layer(
        torch.rand(24) + 0.5, torch.rand(24) + 0.5, **linears, head_width=8, scale=0.3, epsilon=1e-6, window=window,
        **norms,
    )  # fmt: skip


def place_of(starts: Sequence[int], keep: str = "all") -> Place:
    angle = torch.cat([torch.rand(starts[-1], 4)] * 2, 1)
    return Place(angle.cos(), angle.sin(), starts, Arena(), keep)


def results(function: Callable[..., Tensor], layer: Layer, place: Place, x: Tensor) -> list[Tensor | None]:
    """The output, and the gradients by the input and the adapters."""
    own = x.clone().requires_grad_(x.requires_grad)
    y = function(own, layer, 0, place)
    torch.manual_seed(1)
    grads = torch.autograd.grad((y * torch.randn(y.shape)).sum(), [*[own] * own.requires_grad, *layer.adapters])
    return [y.detach(), *grads]


def assert_near(got: Sequence[Tensor | None], wanted: Sequence[Tensor | None], tolerance: float) -> None:
    for one, two in zip(got, wanted, strict=True):
        assert one is not None
        assert two is not None
        torch.testing.assert_close(one, two, rtol=0, atol=tolerance * max(1.0, float(two.abs().max())))


@pytest.mark.parametrize("keep", ["all", "half", "byte", "input"])
@pytest.mark.parametrize(
    "parts",
    [
        {}, {"bias": True}, {"normed": True}, {"window": 5}, {"dtype": torch.bfloat16}, {"dtype": torch.float16},
        {"adapters": "q v"}, {"adapters": "k up down"}, {"bias": True, "dtype": torch.bfloat16, "normed": True},
    ],
    ids=str,
)  # fmt: skip
def test_decoder_layer(parts: dict[str, Any], keep: str) -> None:
    layer, place, x = drawn_layer(**parts), place_of(STARTS, keep), drawn(61, 24).requires_grad_()
    wanted = results(decoder_layer_plain, layer, place, x)
    assert_near(results(decoder_layer, layer, place, x), wanted, {"half": 3e-2, "byte": 6e-2}.get(keep, 2e-5))


@pytest.mark.parametrize("keep", ["all", "half", "byte", "input"])
def test_decoder_layer_in_16_bits(keep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PART", 40)  # a row at a time, as many parts as a wide model has
    layer, place, x = drawn_layer(dtype=torch.bfloat16), place_of((0, 400), keep), drawn(400, 24).requires_grad_()
    wanted = results(decoder_layer_plain, layer, place, x)
    half = replace(place, cos_TE=place.cos_TE.bfloat16(), sin_TE=place.sin_TE.bfloat16())
    norms = {name: getattr(layer, name).bfloat16() for name in ("norm1_D", "norm2_D")}
    got = results(decoder_layer, replace(layer, **norms), half, x.detach().bfloat16().requires_grad_())
    far = [float((one.float() - two).norm() / two.norm()) for one, two in zip(got, wanted, strict=True)]
    assert max(far) < 0.05
    assert far[-2] < 0.02  # by A of down, a sum over parts: 0.022 where it is rounded after each; 0.0188 on a card


@pytest.mark.parametrize("keep", ["half", "byte", "input"])
def test_a_waiting_layer_holds_nothing_that_layers_share(keep: str) -> None:
    layer, place, x = drawn_layer(), place_of(STARTS, keep), drawn(61, 24).requires_grad_()
    node: Any = decoder_layer(x, layer, 0, place).grad_fn
    shared = {one.data_ptr() for (owner, *_), one in place.arena.held.items() if owner is None}
    assert shared
    assert shared.isdisjoint(one.data_ptr() for one in node.work.kept.values())


@pytest.mark.parametrize("starts", [(0, 1), (0, 1, 2, 3), (0, 300), (0, 129, 130, 387)])
def test_decoder_layer_over_rows_of_many_kinds(starts: tuple[int, ...]) -> None:
    layer, place, x = drawn_layer(), place_of(starts), drawn(starts[-1], 24).requires_grad_()
    assert_near(results(decoder_layer, layer, place, x), results(decoder_layer_plain, layer, place, x), 2e-5)


@pytest.mark.parametrize("keep", ["all", "half", "byte", "input"])
def test_layers_one_after_the_other_do_not_disturb_each_other(keep: str) -> None:
    layers, place, x = [drawn_layer() for _ in range(3)], place_of(STARTS, keep), drawn(61, 24)
    adapters = [p for layer in layers for p in layer.adapters]
    found = []
    for function in (decoder_layer, decoder_layer_plain):
        y = x
        for number, layer in enumerate(layers):
            y = function(y, layer, number, place)
        found.append([y.detach(), *torch.autograd.grad(y.square().sum(), adapters)])
    assert_near(*found, {"half": 3e-2, "byte": 6e-2}.get(keep, 2e-5))


def test_decoder_layer_of_an_input_without_gradient() -> None:
    layer, place, x = drawn_layer(), place_of(STARTS), drawn(61, 24)
    assert_near(results(decoder_layer, layer, place, x), results(decoder_layer_plain, layer, place, x), 2e-5)


def test_decoder_layer_after_scoring_in_the_same_memory() -> None:
    layer, place, x = drawn_layer(), place_of(STARTS), drawn(61, 24).requires_grad_()
    wanted = results(decoder_layer_plain, layer, place, x)
    with torch.inference_mode():
        scored = decoder_layer(x.detach(), layer, 0, place)
    torch.testing.assert_close(scored, wanted[0])
    assert_near(results(decoder_layer, layer, place, x), wanted, 2e-5)


def test_a_row_that_was_overwritten_is_not_gone_back_through() -> None:
    layer, place, x = drawn_layer(), place_of(STARTS), drawn(61, 24)
    first = decoder_layer(x, layer, 0, place).sum()
    decoder_layer(x + 1, layer, 0, place)
    with pytest.raises(RuntimeError, match="another row"):
        first.backward()


@pytest.mark.parametrize("keep", ["all", "half", "byte", "input"])
def test_what_waits_goes_with_the_backward_pass(keep: str) -> None:
    layer, place, x = drawn_layer(), place_of(STARTS, keep), drawn(61, 24).requires_grad_()
    y = decoder_layer(x, layer, 0, place)
    node: Any = y.grad_fn
    assert (node.saved_tensors[0] is None) == (keep in ("half", "byte"))  # not beside what is kept in fewer bits
    y.sum().backward()
    assert node.work is None  # though y lives on


@pytest.mark.parametrize("keep", ["all", "half", "byte", "input"])
def test_a_layer_leaves_what_it_is_given_as_it_is(keep: str) -> None:
    layer, place, x = drawn_layer(bias=True), place_of(STARTS, keep), drawn(61, 24).requires_grad_()
    given = [x, layer.norm1_D, layer.norm2_D, place.cos_TE, *layer.adapters, *(one.weight_OI for one in layer.linears)]
    before = [tensor.detach().clone() for tensor in given]
    results(decoder_layer, layer, place, x)
    assert all(torch.equal(one, two) for one, two in zip(given, before, strict=True))


def test_blocks_of_attention_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, place, x = drawn_layer(window=9), place_of(STARTS), drawn(61, 24).requires_grad_()
    whole = results(decoder_layer, layer, place, x)
    monkeypatch.setattr(attention, "BLOCK", 3)
    assert_near(results(decoder_layer, layer, place, x), whole, 2e-5)


@pytest.mark.parametrize("keep", ["all", "byte"])
def test_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch, keep: str) -> None:
    layer, place, x = (
        drawn_layer(bias=True, dtype=torch.bfloat16),
        place_of(STARTS, keep),
        drawn(61, 24).requires_grad_(),
    )
    whole = results(decoder_layer, layer, place, x)
    monkeypatch.setattr(work, "PART", 50)
    monkeypatch.setattr(linear, "WIDE_AT_ONCE", 40)
    assert_near(results(decoder_layer, layer, place, x), whole, 2e-5)


@pytest.mark.parametrize("width", [1, 24, 64, 192])
def test_what_waits_in_fewer_bits(width: int) -> None:
    x = drawn(7, width) * 10 ** drawn(7, 1)
    x[3] = 0
    for bits in (16, 8):
        kept, found = Packed(Arena(), "x", x, bits), torch.empty_like(x)
        kept.write(x)
        groups = x.view(7, -1, kept.group)
        far = groups.abs() / 256 if bits == 16 else groups.abs().amax(-1, keepdim=True) / 253
        assert ((kept.read(found).view(groups.shape) - groups).abs() <= far).all()
        kept.write(2 * x[2:4], slice(2, 4))
        part = kept.read(torch.empty_like(x[1:4]), slice(1, 4)).view(3, -1, kept.group)
        wanted = (torch.tensor([1.0, 2, 2])[:, None] * x[1:4]).view(part.shape)
        assert ((part - wanted).abs() <= 2 * far[1:4]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_eight_bits_of_sixteen(dtype: torch.dtype) -> None:
    x = drawn(40, 640, dtype=dtype) * torch.logspace(-6, 3, 40)[:, None].to(dtype)  # a scale of 16 bits would make 128
    kept, found = Packed(Arena(), "x", x, 8), torch.empty_like(x)
    kept.write(x)
    groups = x.view(40, -1, kept.group).float()
    far = groups.abs().amax(-1, keepdim=True) / 90 + 1e-7  # half a step, and the roundings of the format
    assert ((kept.read(found).view(groups.shape).float() - groups).abs() <= far).all()


def test_an_arena_gives_the_same_memory_again(monkeypatch: pytest.MonkeyPatch) -> None:
    arena, like = Arena(), torch.zeros(1)
    first = arena.take("a", 4, 5, like=like)
    again = arena.take("a", 3, 5, like=like)
    assert first.data_ptr() == again.data_ptr()
    assert arena.take("b", 4, 5, like=like).data_ptr() != first.data_ptr()
    assert arena.take("a", 20, like=like, dtype=torch.bfloat16).data_ptr() != first.data_ptr()
    arena.take("a", 50, like=like)
    assert arena.bytes == 4 * 50 + 4 * 20 + 2 * 20
    arena.take("a", 9, like=like, owner=3)
    monkeypatch.setattr(arena_module, "HELD", 400)
    arena.give_back()
    assert arena.bytes == 4 * 50 + 4 * 20 + 2 * 20 + 4 * 9  # not so much that it is worth it
    monkeypatch.setattr(arena_module, "HELD", 100)
    arena.give_back()
    assert arena.bytes == 4 * 9  # what is somebody's own stays
