"""A tiny model folder, made on the spot: real architectures with random weights, a real byte-level tokenizer.

A stand-in for unit tests: it learns nothing worth knowing, but it is loaded, trained and asked like any other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)  # for matrices this small, threads only wait for each other

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
R1_2025_01 = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>' + message['content'] }}{% else %}"
    "{{ '<|assistant|>' + message['content'].split('</think>')[-1] + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
R1_2025_02 = R1_2025_01.replace("{{ '<|assistant|>' }}{% endif %}", "{{ '<|assistant|><think>\\n' }}{% endif %}")
LLAMA3 = (
    "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
QWEN3 = """
{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{% endif %}
{%- set ns = namespace(searching=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- if ns.searching and message.role == 'user' and not message.content.startswith('<tool_response>') %}
        {%- set ns.searching = false %}
        {%- set ns.last_query_index = messages|length - 1 - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\n' + message.content + '<|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set content, thought = message.content, '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or thought) %}
            {{- '<|im_start|>assistant\n<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{% endif %}
{%- endif %}
"""
TEMPLATES = {"chatml": CHATML, "r1-01": R1_2025_01, "r1-02": R1_2025_02, "llama3": LLAMA3, "qwen3": QWEN3}
ENDS = {"chatml": "<|im_end|>", "qwen3": "<|im_end|>", "llama3": "<|eot_id|>"}  # else <|end|>
SPECIAL = ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|im_start|>", "<|im_end|>"]
CORPUS = ["The dose is 12 mg per kg. 12 * 4 = 48.", "患者头痛三天，诊断为偏头痛。", "def f(x): return x[0]"] * 20


def tiny_folder(path: Path, kind: str = "llama", template: str = "chatml", **config: Any) -> Path:
    """Write a model folder. kind: llama, qwen2, qwen3 or mistral; template: a key of TEMPLATES."""
    path.mkdir(parents=True, exist_ok=True)
    eos = ENDS.get(template, "<|end|>")
    headers = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"] if template == "llama3" else []
    _tokenizer(think=template not in ("chatml", "llama3"), special=SPECIAL + headers).save(str(path / "tokenizer.json"))
    settings = {"bos_token": "<|begin|>", "eos_token": eos, "pad_token": eos}
    settings["chat_template"] = TEMPLATES[template]
    (path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    vocabulary = Tokenizer.from_file(str(path / "tokenizer.json")).get_vocab_size()
    shape = {
        "vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        "tie_word_embeddings": False,
    } | ({"head_dim": 8} if kind == "qwen3" else {}) | config  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **shape))
    model.save_pretrained(path)
    (path / "generation_config.json").unlink(missing_ok=True)
    return path


def _tokenizer(think: bool, special: list[str]) -> Tokenizer:
    """Byte-level BPE with a few merges; ``<think>`` is a token of its own, not a special one, where R1 has it so."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if think:
        tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    return tokenizer


def lessons(count: int) -> list[dict[str, str]]:
    """Small records in the tutorial's shape, answers verifiable."""
    return [
        {"Question": f"What is {a} times {b}?", "Complex_CoT": f"{a} * {b} = {a * b}.", "Response": f"It is {a * b}."}
        for a, b in ((7 + i // 9, 1 + i % 9) for i in range(count))
    ]


def write_lessons(path: Path, count: int) -> Path:
    """Write ``lessons(count)`` as JSON Lines."""
    path.write_text("".join(json.dumps(lesson) + "\n" for lesson in lessons(count)), encoding="utf-8")
    return path
