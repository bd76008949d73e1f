"""A base model with an adapter on it: what it computes, and what it learns.

Axes: T tokens of a row, B questions of a batch, Q and L query and key places, H heads, E width of a head,
D model width.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import Linear as PeftLinear
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface

from buke.config import Settings
from buke.kernels import (
    Arena,
    cached_attention,
    elements,
    free_at_once,
    linear_cross_entropy,
    lora_linear,
    record_attention,
    rows_to_add,
)
from buke.model.ahead import Ahead
from buke.model.fast import Fast, fast_of
from buke.model.lower import Lower
from buke.model.stream import weight_of
from buke.model.tensors import safetensors_of
from buke.records import Row
from buke.runfolder import write_json, write_pieces
from buke.words import Refusal, t

ATTENTION = "buke"
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **given: Any
) -> tuple[Tensor, None]:
    """What every layer calls in place of its own attention. query: (B, H, Q, E); returns (B, Q, H, E).

    given: ``starts`` for a packed row; without it, ``attention_mask`` (B, 1, Q, L) says which keys are seen.
    """
    if given.get("softcap") is not None:
        raise ValueError(t("model.softcap"))
    scale = given["scaling"] if given.get("scaling") is not None else query.shape[-1] ** -0.5
    window = module.__dict__["window"] = given.get("sliding_window")  # noted for our own layers
    if (starts := given.get("starts")) is not None:
        out = record_attention(query[0], key[0], value[0], starts, scale, window)[None]
    else:
        if attention_mask is None:  # a layer that does not pass on what it is called with
            raise ValueError(t("model.no_starts"))
        out = cached_attention(query, key, value, attention_mask, scale, window)
    return out.transpose(1, 2), None


AttentionInterface.register(ATTENTION, attend)


@dataclass
class Model:
    """A frozen base model and, once ``add_adapter`` was called, the adapter on it."""

    base: Any  # a transformers causal language model
    folder: Path
    device: torch.device
    precision: str
    peft: Any = None
    fast: Fast | None = None  # the road of training and scoring, where the architecture has it
    adapted: bool = True  # whether the adapter is on
    arena: Arena = field(default_factory=Arena)  # for the logits
    ahead: Ahead | None = None  # what brings the layers' frozen weights, where they are not where they are used
    lower: Lower | None = None  # what the layers that do not learn made of records, where that is kept
    own_biases: dict[str, Tensor] = field(default_factory=dict)  # the base's values of biases that are trained
    watches: list[RemovableHandle] = field(default_factory=list)  # of ``watched``, on the plain road

    @property
    def head(self) -> Tensor:
        """The output matrix, (V, D)."""
        weight: Tensor = self.base.get_output_embeddings().weight
        return weight

    @property
    def head_bias(self) -> Tensor | None:
        """The head's bias, (V), where it has one, as Phi's has."""
        bias: Tensor | None = self.base.get_output_embeddings().bias
        return bias

    def logits(self, hidden_BD: Tensor) -> Tensor:
        """Logits of hidden states, float32: (B, D) -> (B, V)."""
        return self.base.get_output_embeddings()(hidden_BD).float()  # type: ignore[no-any-return]

    @property
    def parameters(self) -> int:
        """Parameters of the base model."""
        return sum(elements(p) for name, p in self.base.named_parameters() if "lora_" not in name)

    def hidden(self, ids: Sequence[int], starts: Sequence[int], below_TD: Tensor | None = None) -> Tensor:
        """Hidden states before the head, (T, D), of records laid end to end, positions counted from each start.

        below_TD: hidden states below the first layer that learns, where they are known. Fast road only.
        """
        places = [place for a, b in pairwise(starts) for place in range(b - a)]
        count = len(places)
        if more := rows_to_add(count, PRECISIONS[self.precision], self.device):  # as a record that nobody looks at
            ids, places, starts = [*ids, *[ids[0]] * more], [*places, *range(more)], [*starts, count + more]
            below_TD = None if below_TD is None else F.pad(below_TD, (0, 0, 0, more))
        ids_1T = torch.tensor([ids], device=self.device)
        places_1T = torch.tensor([places], device=self.device)
        if self.fast is not None:
            return self.fast.hidden(ids_1T, places_1T, starts, self.adapted, below_TD)[:count]
        out = self.base.get_decoder()(
            input_ids=ids_1T, position_ids=places_1T, starts=list(starts), use_cache=False, return_dict=True
        )
        return out.last_hidden_state[0, :count]  # type: ignore[no-any-return]

    def begin(self, prompts: Sequence[Sequence[int]], store: Any) -> Tensor:
        """Hidden states (B, D) of the last token of each prompt; keys and values go into ``store``. Fast road only."""
        assert self.fast is not None
        return self.fast.begin(prompts, store, self.adapted)

    def go_on(self, token_B: Tensor, places_B: Tensor, seen_BL: Tensor, store: Any) -> Tensor:
        """Hidden states (B, D) of one more token a question. Fast road only."""
        assert self.fast is not None
        return self.fast.go_on(token_B, places_B, seen_BL, store, self.adapted)

    def targets(self, row: Row) -> int:
        """How many tokens of a row its loss counts."""
        return len(_learned(row)[0])

    def loss_sum(self, row: Row) -> tuple[Tensor, int]:
        """Summed cross-entropy of a row in nats, and how many tokens it counts. The head sees only those tokens."""
        places, ids = _learned(row)
        hidden_ND = self.hidden(ids, row.starts, self._below(row))[self._index([place - 1 for place in places])]
        targets_N = self._index([ids[place] for place in places])
        return linear_cross_entropy(hidden_ND, self.head, targets_N, self.arena, self.head_bias), len(places)

    def loss_sums(self, row: Row) -> list[tuple[float, int]]:
        """``loss_sum`` of each example of a row by itself, for scoring."""
        places, ids = _learned(row)
        hidden_TD = self.hidden(ids, row.starts, self._below(row))
        sums = []
        for start, stop in pairwise(row.starts):
            own = [place for place in places if start <= place < stop]
            hidden_ND = hidden_TD[self._index([place - 1 for place in own])]
            targets_N = self._index([ids[place] for place in own])
            loss = linear_cross_entropy(hidden_ND, self.head, targets_N, self.arena, self.head_bias)
            sums.append((float(loss), len(own)))
        return sums

    def keep_lower(self, folder: Path, full: Callable[[str], None]) -> None:
        """Compute the layers below the first that learns once a record; keep what they give in a file in ``folder``.

        full: called with the reason where the disk takes no more.
        """
        fast = self.fast
        assert fast is not None
        self.lower = Lower(folder, lambda example: fast.below(example.ids), full)

    def lower_bytes(self, tokens: int) -> int:
        """What ``keep_lower`` writes for so many tokens; 0 where there is nothing below the first layer that learns."""
        if self.fast is None or not self.fast.first:
            return 0
        return tokens * self.head.shape[1] * PRECISIONS[self.precision].itemsize

    def _below(self, row: Row) -> Tensor | None:
        if self.lower is None:
            return None
        out_TD = torch.empty(len(row), self.head.shape[1], dtype=PRECISIONS[self.precision], device=self.device)
        return self.lower.of(row, out_TD)

    def _index(self, values: list[int]) -> Tensor:
        return torch.tensor(values, device=self.device, dtype=torch.long)

    @contextmanager
    def adapter(self, on: bool) -> Iterator[None]:
        """With the adapter as it is, or switched off: the base model."""
        if on or self.peft is None:
            yield
        else:
            layers = [module for module in self.base.modules() if isinstance(module, PeftLinear)]
            try:
                self._switch(layers, on=False)
                yield
            finally:
                self._switch(layers, on=True)

    def _switch(self, layers: Sequence[PeftLinear], on: bool) -> None:
        """Switch LoRA and trained biases; PEFT's own switch leaves trained biases in the base."""
        self.adapted = on
        for layer in layers:
            layer.enable_adapters(on)
        for name, value in self.own_biases.items():
            bias = self.base.get_parameter(name)
            bias.data, self.own_biases[name] = value, bias.data

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """No gradients and no dropout inside; whatever mode was on before is on again after."""
        was = self.base.training
        self.base.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            self.base.train(was)

    # the adapter

    def add_adapter(self, settings: Settings) -> None:
        """Put a new LoRA adapter on the base, its start drawn from the seed. Raises Refusal for unknown targets."""
        if settings.bias != "none" and self.precision == "fp16":
            raise Refusal(t("model.fp16_bias"), t("model.fp16_bias_hint"))
        torch.manual_seed(settings.seed)
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,  # type: ignore[arg-type]  # PEFT only divides by it
            lora_dropout=settings.dropout,
            use_rslora=settings.rslora,
            bias=settings.bias,
            target_modules=_targets(self.base, settings.targets),
            layers_to_transform=layers_asked(
                int(self.base.config.get_text_config().num_hidden_layers), settings.layers
            ),
            task_type="CAUSAL_LM",
        )
        config.base_model_name_or_path = str(self.folder.resolve())
        with warnings.catch_warnings():  # PEFT asks transformers by a name that transformers is giving up
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
            self.peft = get_peft_model(self.base, config)
        for module in self.base.modules():
            if isinstance(module, PeftLinear):
                module.lora_A.to(self.device)  # PEFT puts them beside the weight, which may be streamed from elsewhere
                module.lora_B.to(self.device)
                _fuse(module)
        self.fast = fast_of(self.base, self.ahead)
        if self.fast is None and self.device.type == "cpu":
            free_at_once()
        self.own_biases = {name: p.detach().clone() for name, p in self.trained().items() if "lora_" not in name}

    def keep_activations(self, kind: str = "full", again: bool = False) -> None:
        """How a layer's activations wait for the backward pass: see the settings ``activations`` and ``recompute``."""
        if self.fast is not None:
            self.fast.keep = "input" if again else {"full": "all"}.get(kind, kind)
        elif kind != "full" and not again:
            raise Refusal(t("model.only_fast", what=f"--activations {kind}", why=self.plain), t("model.no_fewer_hint"))
        elif again:
            newer = getattr(self.base, "activation_checkpointing_enable", None)
            (newer or self.base.gradient_checkpointing_enable)({"use_reentrant": False})

    @property
    def plain(self) -> str:
        """Why the layers are not our own: flags that ours do not know, or the architecture; "" where they are."""
        if self.fast is not None:
            return ""
        adapter = self.peft.peft_config["default"]
        flags = [f"--dropout {adapter.lora_dropout}"] * bool(adapter.lora_dropout)
        flags += [f"--bias {adapter.bias}"] * (adapter.bias != "none")
        return ", ".join(flags) or type(self.base).__name__

    @contextmanager
    def watched(self, look: Callable[[int], None]) -> Iterator[None]:
        """Call ``look`` within rows, with the bytes that are taken next or 0; what it raises ends the row."""
        self.arena.look = look
        _take_off(self.watches)  # of one who was before and has not ended yet

        def passed(_: object, __: object, out: object) -> None:
            if isinstance(out, Tensor) and out.requires_grad:
                look(0)
                out.register_hook(lambda _: look(0))

        if self.fast is not None:
            self.fast.arena.look = look
        layers = self.base.get_decoder().modules() if self.fast is None else ()
        self.watches = mine = [module.register_forward_hook(passed) for module in layers]
        try:
            yield
        finally:
            _take_off(mine)

    def release(self) -> None:
        """Give back every buffer that is kept to be used again."""
        self.arena = Arena(look=self.arena.look)
        if self.fast is not None:
            self.fast.arena = Arena(look=self.fast.arena.look)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name."""
        return {name: p for name, p in self.base.named_parameters() if p.requires_grad}

    def adapter_state(self) -> dict[str, Tensor]:
        """The adapter's tensors under PEFT's names, on the CPU, detached from training."""
        state = get_peft_model_state_dict(self.peft, save_embedding_layers=False)
        return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}

    def save_adapter(self, folder: Path, notes: dict[str, Any], state: dict[str, Tensor] | None = None) -> None:
        """Write the adapter (or ``state``) in PEFT's format, with buke's own notes beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        write_pieces(folder / "adapter_model.safetensors", safetensors_of(state or self.adapter_state()))
        config = {  # PEFT's sets of names have another order in each process
            name: sorted(value) if isinstance(value, set) else value
            for name, value in sorted(self.peft.peft_config["default"].to_dict().items())
        }
        write_json(folder / "adapter_config.json", config)
        write_json(folder / "buke.json", notes)

    def load_adapter(self, folder: Path) -> None:
        """Take the adapter's tensors from a PEFT folder. Raises Refusal where they do not fit this model."""
        try:
            state = load_file(folder / "adapter_model.safetensors")
        except Exception as error:  # safetensors raises several kinds for a damaged file
            raise Refusal(
                t("model.adapter_damaged", folder=folder, why=error), t("hub.adapter_not_whole_hint")
            ) from None
        mine = {name: tuple(tensor.shape) for name, tensor in self.adapter_state().items()}
        if {name: tuple(tensor.shape) for name, tensor in state.items()} != mine:
            raise Refusal(t("model.adapter_misfit", folder=folder), t("model.adapter_misfit_hint"))
        if odd := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
            why = t("model.adapter_not_finite", tensor=odd[0])
            raise Refusal(t("model.adapter_damaged", folder=folder, why=why), t("hub.adapter_not_whole_hint"))
        set_peft_model_state_dict(self.peft, state)


def _take_off(hooks: Sequence[RemovableHandle]) -> None:
    for hook in hooks:
        hook.remove()


def _learned(row: Row) -> tuple[list[int], list[int]]:
    """Places of a row that are targets of the loss, and its ids. A record's first token has nothing to predict it."""
    ids = [i for example in row.examples for i in example.ids]
    learn = [flag for example in row.examples for flag in example.learn]
    first = set(row.starts)
    return [place for place, flag in enumerate(learn) if flag and place not in first], ids


def _linear_names(base: Any) -> set[str]:
    """Last names of the linear layers an adapter may sit on: all but the head."""
    head = base.get_output_embeddings()
    return {name.rsplit(".", 1)[-1] for name, m in base.named_modules() if isinstance(m, nn.Linear) and m is not head}


def layers_asked(count: int, asked: str) -> list[int] | None:
    """Indices of the layers, of ``count``, that get an adapter; None for all of them. Raises Refusal."""
    if asked == "all":
        return None
    first, last = (count // 2, count - 1) if asked == "upper" else map(int, asked.split("-"))
    if not first <= last < count:
        raise Refusal(t("model.layers", layers=asked, last=count - 1), t("model.layers_hint"))
    return list(range(first, last + 1))


def _targets(base: Any, asked: str) -> list[str]:
    """Last names of the layers that get an adapter."""
    if not (known := _linear_names(base)):
        raise Refusal(t("model.no_linear", name=type(base).__name__), t("model.architecture_hint"))
    if asked == "all-linear":
        return sorted(known)
    names = [name.strip() for name in asked.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        hint = t("model.targets_hint", names=", ".join(sorted(known)))
        raise Refusal(t("model.targets", names=", ".join(unknown)), hint)
    return names


def _fuse(module: PeftLinear) -> None:
    """Let a PEFT layer compute with our kernel wherever it does plain LoRA; PEFT keeps the tensors and their names."""
    plain, base = module.forward, module.base_layer
    a, b = module.lora_A["default"], module.lora_B["default"]
    scale, dropout = module.scaling["default"], module.lora_dropout["default"]

    def forward(x: Tensor, *args: Any, **given: Any) -> Tensor:
        if module.disable_adapters:
            return base(x)  # type: ignore[no-any-return]
        if module.merged or (module.training and not isinstance(dropout, nn.Identity)):
            return plain(x, *args, **given)
        return lora_linear(x, weight_of(base), base.bias, a.weight, b.weight, scale)  # type: ignore[arg-type]

    module.forward = forward  # type: ignore[method-assign]
