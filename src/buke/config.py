"""Room `config`: every setting, said once: its meaning (English, Chinese), its range, its default.

The command line, TOML files, run.toml and the reference page are all made from ``Settings``.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from buke.words import Refusal, language, of_system, t

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its old name
    import tomli as tomllib

ROLES = ("question", "thought", "answer", "system")  # what --map may place
GROUPS = ("data", "model", "lora", "training", "comparison", "run")
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def setting(default: Any, group: str, en: str, zh: str, aliases: tuple[str, ...] = (), **limits: Any) -> Any:
    """A pydantic field that carries its group, its meaning in both languages and its usual other names."""
    extra: JsonDict = {"group": group, "en": en, "zh": zh, "aliases": list(aliases)}
    return Field(default, json_schema_extra=extra, **limits)


class Settings(BaseModel):
    """What a run is made of. ``None`` means: computed when model and data are known (see ``resolve`` in `train`)."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)

    # data
    data: list[str] = setting(
        [], "data",
        "files of records to learn from",
        "要学习的数据文件",
    )  # fmt: skip
    limit: int | None = setting(
        None, "data",
        "use only the first so many records",
        "只用前多少条记录",
        ("max_samples",), ge=1,
    )  # fmt: skip
    length: int | None = setting(
        None, "data",
        "longest record, in tokens; a longer one is listed and left out (default: 4096, or what the model can take)",
        "单条记录的最大长度（token）；超长的会逐条列出并跳过（默认 4096，或模型上限）",
        ("max_length", "max_seq_length", "cutoff_len"), ge=16,
    )  # fmt: skip
    overlong: Literal["drop", "shorten"] = setting(
        "drop", "data",
        "what to do with a record that is too long: drop it, or shorten it inside its thought",
        "超长记录怎么办：drop 跳过，shorten 只缩短思考部分",
    )  # fmt: skip
    without_thought: Literal["refuse", "empty", "mix"] = setting(
        "refuse", "data",
        "records without a thought: refuse them, train them with an empty thought, or mix them so with the others",
        "没有思考过程的记录：refuse 拒绝，empty 以空思考训练，mix 与其他记录混合训练（思考为空）",
    )  # fmt: skip
    question_field: str | None = setting(
        None, "data", "name of the field that holds the question", "问题所在的字段名"
    )  # fmt: skip
    thought_field: str | None = setting(
        None, "data", "name of the field that holds the thought", "思考过程所在的字段名"
    )  # fmt: skip
    answer_field: str | None = setting(
        None, "data", "name of the field that holds the answer", "回答所在的字段名"
    )  # fmt: skip
    map: dict[Literal["question", "thought", "answer", "system"], str] = setting(
        {}, "data",
        "where question, thought, answer and system message stand, as question=NAME thought=PATH …: the name of a "
        "field, a path such as messages[0].content, or a template such as '{title}\\n{body}'; goes before *_field",
        "问题、思考、回答、系统消息在哪里，写作 question=字段名 thought=路径 …：字段名，"
        "路径（如 messages[0].content），或模板（如 '{title}\\n{body}'）；优先于 *_field",
    )  # fmt: skip
    turns: Literal["every", "last"] = setting(
        "every", "data",
        "what is learned of a dialogue: every answer, each with the turns before it, or the last answer only",
        "多轮对话学什么：every 每一轮回答（各带之前的对话），last 只学最后一轮",
    )  # fmt: skip
    earlier_thoughts: Literal["drop", "keep"] = setting(
        "drop", "data",
        "the thoughts of earlier turns of a dialogue: drop them, as R1 does in use, or keep them in the prompt",
        "多轮对话中之前各轮的思考：drop 去掉（与 R1 使用时一致），keep 保留在提示里",
    )  # fmt: skip
    choices_from: int | None = setting(
        None, "data",
        "the number of the first option, where the answers of multiple choice questions are numbers (default: 0, and a "
        "file whose numbers seem to count from 1 is refused)",
        "选择题的答案是数字时，第一个选项的序号（默认 0；看来从 1 算起的文件会被拒绝）",
        ge=0, le=1,
    )  # fmt: skip
    held_out: float = setting(
        0.05, "data",
        "share of the records held out for scoring, chosen by content hash; 0 for none "
        "(at least 20 records where there are 200)",
        "留出用于评分的比例，按内容哈希选取；0 表示不留（满 200 条时至少留 20 条）",
        ge=0, le=0.5,
    )  # fmt: skip
    held_out_file: str | None = setting(
        None, "data",
        "a file of records to hold out, in place of a share of the data",
        "用此文件的记录作为留出部分，代替按比例选取",
        ("eval_file",),
    )  # fmt: skip

    @field_validator("map", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        """The command line hands over --map as JSON; what is none stays, to be refused as no table."""
        try:
            return json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError:
            return value

    # model
    model: str = setting(
        "", "model",
        "the base model: a folder, a name on the hub, or 'embedded' for the built-in SmolLM2-135M",
        "基座模型：文件夹、模型库里的名字，或 embedded（内置 SmolLM2-135M）",
        ("model_name_or_path",),
    )  # fmt: skip
    chat_template: str | None = setting(
        None, "model",
        "a Jinja file to use instead of the chat template in the model folder",
        "用此 Jinja 文件代替模型文件夹里的对话模板",
    )  # fmt: skip
    system: str = setting(
        "", "model",
        "system message of every prompt; empty for the template's own",
        "每个提示的系统消息；留空则按模板自身",
    )  # fmt: skip
    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "auto", "model",
        "where to compute; auto takes CUDA, then MPS, then the CPU",
        "计算设备；auto 依次选 CUDA、MPS、CPU",
    )  # fmt: skip
    precision: Literal["auto", "fp32", "bf16", "fp16"] = setting(
        "auto", "model",
        "number format of the frozen weights and activations; auto: bf16 on a GPU that has it, else fp16; on the CPU "
        "bf16 where it has matrix units for it (AMX) and the model is at least 512 wide, else fp32",
        "冻结权重与激活的数值格式；auto：显卡支持则 bf16，否则 fp16；"
        "CPU 有 bf16 矩阵单元（AMX）且模型宽度不小于 512 时 bf16，否则 fp32",
    )  # fmt: skip

    weights: Literal["auto", "resident", "streamed", "parts", "nf4"] = setting(
        "auto", "model",
        "where the frozen weights are: resident, in the memory that computes; streamed, on the CPU left in their file "
        "in 16 bit and widened where they are used, for a card left in the machine's memory and copied a layer ahead; "
        "parts, as streamed, but a card gets a part of a layer at a time and keeps no head: least memory, slower; nf4, "
        "in the memory that computes, the layers' weights rounded to four bits, as QLoRA does (bitsandbytes); auto "
        "streams more than 1 GB on the CPU and on a card what does not fit, or takes nf4 there where the machine has "
        "too little memory for that",
        "冻结权重放在哪里：resident 放在计算所在的内存；streamed 在 CPU 上以 16 位留在文件中、用到时再展开，"
        "用显卡时留在机器内存、提前一层拷入；parts 同 streamed，但显卡每次只拷一层的一部分、输出头不常驻，"
        "最省显存但较慢；nf4 放在计算所在的内存，各层权重量化到 4 位，即 QLoRA（bitsandbytes）；"
        "auto：CPU 上超过 1 GB 时、显卡上放不下时 streamed，机器内存也放不下时在显卡上用 nf4",
    )  # fmt: skip

    # lora
    rank: int = setting(
        16, "lora", "rank of the adapter matrices", "适配器矩阵的秩",
        ("r", "lora_r", "lora_rank"), ge=1, le=1024,
    )  # fmt: skip
    alpha: float = setting(
        32, "lora",
        "scale of the adapter: its output is multiplied by alpha / rank",
        "适配器的缩放：输出乘以 alpha / rank",
        ("lora_alpha",), gt=0,
    )  # fmt: skip
    rslora: bool = setting(
        False, "lora",
        "scale the adapter by alpha / sqrt(rank) in place of alpha / rank (rsLoRA), which keeps large ranks learning",
        "适配器按 alpha / sqrt(rank) 而非 alpha / rank 缩放（rsLoRA），高秩时学习更稳",
        ("use_rslora",),
    )  # fmt: skip
    dropout: float = setting(
        0.0, "lora",
        "dropout on the adapter's input while training; what is dropped, and so the adapter, then depends on how "
        "records are split (--batch, --row-tokens)",
        "训练时适配器输入的 dropout；丢弃哪些值（因而适配器）此时取决于记录怎样拆分（--batch、--row-tokens）",
        ("lora_dropout",), ge=0, lt=1,
    )  # fmt: skip
    bias: Literal["none", "lora_only", "all"] = setting(
        "none", "lora", "which biases are trained, as in PEFT", "训练哪些偏置（与 PEFT 相同）",
    )  # fmt: skip
    targets: str = setting(
        "all-linear", "lora",
        "layers that get an adapter: all-linear, or names separated by commas such as q_proj,v_proj",
        "加适配器的层：all-linear，或用逗号分隔的名字，如 q_proj,v_proj",
        ("target_modules", "lora_target"),
    )  # fmt: skip
    layers: str = setting(
        "all", "lora",
        "layers of the model that get an adapter: all, upper (the upper half: a backward pass half as long), "
        "or a range such as 12-27, counted from 0",
        "模型的哪些层加适配器：all 全部，upper 上半部分（反向传播只走一半），或范围如 12-27，从 0 数起",
        ("layers_to_transform",), pattern=r"^(all|upper|\d+-\d+)$",
    )  # fmt: skip

    # training
    recipe: Literal["buke", "tutorial"] = setting(
        "buke", "training",
        "buke: our defaults; tutorial: the tutorial's settings, text format and full-sequence loss, as a baseline",
        "buke：我们的默认值；tutorial：教程的设置、文本格式与全序列损失，作为对照基线",
    )  # fmt: skip
    batch: int = setting(
        4, "training", "records in a micro-batch", "每个微批的记录数",
        ("per_device_train_batch_size", "batch_size"), ge=1,
    )  # fmt: skip
    accumulation: int = setting(
        1, "training", "micro-batches in an optimizer step", "每次更新累积的微批数",
        ("gradient_accumulation_steps", "grad_accum"), ge=1,
    )  # fmt: skip
    epochs: float = setting(
        3.0, "training", "passes over the records", "训练轮数",
        ("num_train_epochs",), gt=0, le=10_000,
    )  # fmt: skip
    learning_rate: float | None = setting(
        None, "training",
        "peak learning rate (default: computed from the model's width)",
        "峰值学习率（默认按模型宽度计算）",
        ("lr",), gt=0, lt=1,
    )  # fmt: skip
    lora_plus: float = setting(
        1.0, "training",
        "learning rate of the adapter's B matrices relative to that of its A matrices (LoRA+)",
        "适配器 B 矩阵的学习率与 A 矩阵之比（LoRA+）",
        ("loraplus_lr_ratio",), ge=0.1, le=100,
    )  # fmt: skip
    schedule: Literal["cosine", "linear", "constant"] = setting(
        "cosine", "training", "course of the learning rate after warm-up", "预热之后学习率的走势",
        ("lr_scheduler_type",),
    )  # fmt: skip
    warmup: float = setting(
        0.05, "training", "share of the steps in which the learning rate rises from 0", "学习率从 0 上升的步数占比",
        ("warmup_ratio",), ge=0, lt=1,
    )  # fmt: skip
    weight_decay: float = setting(
        0.0, "training", "weight decay of AdamW", "AdamW 的权重衰减", ge=0, lt=1,
    )  # fmt: skip
    clip: float = setting(
        1.0, "training", "largest gradient norm; a larger one is scaled down to it", "梯度范数上限，超过则按比例缩小",
        ("max_grad_norm",), gt=0,
    )  # fmt: skip
    row_tokens: int = setting(
        1024, "training",
        "most tokens computed at once; a fuller micro-batch is split, which changes memory and not the step; "
        "on a card, unless you say it, up to 8192, as memory allows",
        "一次计算的最多 token 数；更大的微批会拆开，只影响内存，不影响结果；未指定时，显卡上按显存最多取 8192",
        ge=16,
    )  # fmt: skip
    activations: Literal["auto", "full", "half", "byte"] = setting(
        "auto", "training",
        "how activations wait for the backward pass: full, as computed; half, most of them in bfloat16; byte, the "
        "widest of them in 8 bits. Half takes about a half of the memory, byte a third to a half; they round gradients "
        "by about 0.3 % and 1 %; auto takes the first that fits into memory",
        "激活在反向传播前如何保存：full 原样；half 大部分用 bfloat16；byte 最宽的几项用 8 位。"
        "half 约为一半内存，byte 约三分之一到一半，梯度误差约 0.3 %、1 %；auto：按内存取第一个放得下的",
    )  # fmt: skip
    recompute: bool | None = setting(
        None, "training",
        "compute each layer's activations again in the backward pass: less memory, about a third more time "
        "(default: only where they do not fit into memory)",
        "反向传播时重新计算每层激活：省内存，时间约多三分之一（默认仅在内存放不下时）",
        ("gradient_checkpointing",),
    )  # fmt: skip
    memory: str | None = setting(
        None, "training",
        "most memory to use where it computes, such as 8GB (default: most of what is free)",
        "计算所在设备最多使用的内存，如 8GB（默认为可用内存的大部分）",
        ("max_memory",),
    )  # fmt: skip

    @field_validator("memory")
    @classmethod
    def _size(cls, value: str | None) -> str | None:
        """Said at once, not after the records are read."""
        if value is not None and not bytes_of(value):
            raise PydanticCustomError("memory", "no amount of memory")
        return value

    lower_cache: bool | None = setting(
        None, "training",
        "keep what the layers below the first adapter make of each record in a file, and compute them once, not in "
        "every epoch (default: where --layers leaves such layers, there is more than one epoch and the disk has room)",
        "把第一个适配器以下各层对每条记录的输出存入文件，只算一次而非每轮都算"
        "（默认：--layers 留有这样的层、不止一轮且磁盘放得下时）",
    )  # fmt: skip
    seed: int = setting(
        42, "training",
        "seed of the order of records, the adapter's start and dropout",
        "记录顺序、适配器初始化与 dropout 的随机种子",
        ge=0, le=2**31 - 1,
    )  # fmt: skip
    log_every: int = setting(
        1, "training", "print a line every so many steps where there is no terminal", "非终端输出时每多少步打印一行",
        ("logging_steps",), ge=1,
    )  # fmt: skip
    eval_every: int | None = setting(
        None, "training",
        "score the held-out part every so many steps (default: about ten times in a run)",
        "每多少步给留出部分评分（默认全程约十次）",
        ("eval_steps",), ge=1,
    )  # fmt: skip
    patience: int = setting(
        3, "training",
        "stop after so many scorings in a row without a better held-out loss; 0 never stops early",
        "留出损失连续多少次没有变好就提前停止；0 表示不提前停止",
        ("early_stopping_patience",), ge=0,
    )  # fmt: skip
    save_every: int | None = setting(
        None, "training",
        "write a checkpoint every so many steps (default: with each scoring)",
        "每多少步写一个检查点（默认与评分同步）",
        ("save_steps",), ge=1,
    )  # fmt: skip
    keep: int = setting(
        2, "training", "newest checkpoints to keep", "保留最近几个检查点", ("save_total_limit",), ge=1,
    )  # fmt: skip

    # comparison
    questions: int = setting(
        20, "comparison",
        "held-out questions to ask before and after; 0 asks none while training",
        "训练前后各问多少道留出的问题；0 表示训练时不问",
        ge=0,
    )  # fmt: skip
    thought_budget: int = setting(
        1024, "comparison",
        "longest thought in tokens; then the thought is closed and the answer asked for",
        "思考的最大 token 数；用完即关闭思考并要求作答",
        ge=1,
    )  # fmt: skip
    answer_budget: int = setting(
        512, "comparison", "longest answer in tokens", "回答的最大 token 数", ge=1,
    )  # fmt: skip
    temperature: float = setting(
        0.0, "comparison",
        "0 takes the likeliest token; above 0 draws with the seed",
        "0 取最可能的 token；大于 0 则按种子采样",
        ge=0, le=2,
    )  # fmt: skip
    top_p: float = setting(
        0.95, "comparison",
        "draw only from the likeliest tokens that make up this probability",
        "只在累计概率达到此值的 token 中采样",
        gt=0, le=1,
    )  # fmt: skip
    generation_batch: int = setting(
        40, "comparison", "questions answered at the same time", "同时作答的问题数", ge=1,
    )  # fmt: skip
    grader: Literal["auto", "number", "choice", "exact", "regex", "python", "none"] = setting(
        "auto", "comparison",
        "how answers are judged; auto takes number or choice where every reference answer has one, else none",
        "如何判分；auto：每条参考答案都有数字或选项时用 number 或 choice，否则不判",
    )  # fmt: skip
    grader_pattern: str | None = setting(
        None, "comparison",
        "regular expression of the regex grader; its first group is compared",
        "regex 判分所用的正则表达式，比较其第一个分组",
    )  # fmt: skip
    grader_file: str | None = setting(
        None, "comparison",
        "Python file of the python grader; it runs with your rights and defines grade(question, reference, answer)",
        "python 判分所用的文件，将以你的权限运行；需定义 grade(question, reference, answer)",
    )  # fmt: skip

    # run
    name: str | None = setting(
        None, "run",
        "name of the run folder (default: from the data's name and the time)",
        "运行文件夹的名字（默认取数据名与时间）",
    )  # fmt: skip
    from_run: str | None = setting(
        None, "run",
        "a finished run whose adapter is the start of this one (also --from): base, rank, alpha and targets are that "
        "run's, and its held-out part is scored too",
        "以一次已完成运行的适配器为起点（也可写 --from）：基座、秩、alpha、目标层都沿用它的，并同时给它的留出部分评分",
    )  # fmt: skip
    stop_at: str | None = setting(
        None, "run",
        "save and end at this time of day, such as 07:00 (local time, the next one); the run can be taken up later",
        "到这个时刻（如 07:00，本地时间）保存并结束，之后可以续跑",
        pattern=r"^([01]?\d|2[0-3]):[0-5]\d$",
    )  # fmt: skip
    max_hours: float | None = setting(
        None, "run",
        "save and end after so many hours; the run can be taken up later. While the machine sleeps they do not pass on "
        "Linux and macOS",
        "训练这么多小时后保存并结束，之后可以续跑；在 Linux 和 macOS 上，休眠的时间不计",
        gt=0,
    )  # fmt: skip
    on_hangup: Literal["save", "continue"] = setting(
        "save", "run",
        "when the terminal is closed: save and end, or continue without it",
        "终端关闭时：save 保存并结束，continue 在后台继续",
    )  # fmt: skip


def bytes_of(text: str) -> int:
    """A number of bytes as people write it: 8GB, 7.5 GiB, 800M. 0 for what is none, or less than a megabyte."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", text, re.IGNORECASE | re.ASCII)
    size = int(float(found[1]) * UNITS[(found[2] or "").lower()]) if found else 0
    return size if size >= 10**6 else 0


TUTORIAL: dict[str, Any] = {
    "rank": 16, "alpha": 32, "dropout": 0.05, "bias": "none", "targets": "q_proj,v_proj",
    "batch": 2, "accumulation": 4, "epochs": 3, "learning_rate": 3e-4, "schedule": "linear", "warmup": 0.0,
    "length": 512, "log_every": 20, "patience": 0, "limit": 1500,
}  # fmt: skip
"""What ``recipe = "tutorial"`` sets where the user set nothing: the tutorial's own figures, and the defaults of the
trainer it used for what it left out (linear schedule without warm-up)."""


MAY_CHANGE = (
    "row_tokens", "batch", "accumulation", "recompute", "log_every", "save_every", "keep", "stop_at",
    "max_hours", "on_hangup",
)  # fmt: skip
"""What may be set anew when a run is taken up, for it does not change what is learned; batch and accumulation as long
as their product stays."""


def typed(name: str, value: Any) -> tuple[str, ...]:
    """A setting as it is typed: its flag, and its value where the flag is not all."""
    flag = name.replace("_", "-")
    return (f"--{flag}" if value else f"--no-{flag}",) if isinstance(value, bool) else (f"--{flag}", str(value))


def meaning(name: str) -> str:
    """What a setting means, in the language in force."""
    extra = Settings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return str(extra[language()])


def group_of(name: str) -> str:
    """The group a setting stands in, one of GROUPS."""
    extra = Settings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    return str(extra["group"])


def aliases_of(name: str) -> list[str]:
    """Other usual names of a setting."""
    extra = Settings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict)
    aliases = extra["aliases"]
    assert isinstance(aliases, list)
    return [str(alias) for alias in aliases]


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The words a setting admits, or () where it is not a choice."""
    return tuple(get_args(field.annotation)) if get_origin(field.annotation) is Literal else ()


def make(given: dict[str, Any], where: dict[str, str] | None = None) -> tuple[Settings, dict[str, str]]:
    """Settings from what was given (field names or aliases), and for each setting where its value comes from.

    where: for each given name, the place to show in an error and in run.toml (``--rank``, ``buke.toml``).
    Raises Refusal naming every value that does not hold, in one go.
    """
    where = where or {}
    names = {alias: name for name in Settings.model_fields for alias in (name, *aliases_of(name))}
    values = {names.get(key, key): value for key, value in given.items()}
    sources = {names.get(key, key): where.get(key, key) for key in given}
    for key in MEANT & values.keys():  # said of the weights by a switch
        if values.pop(key) is True and "weights" not in values:
            values["weights"], sources["weights"] = "nf4", sources[key]
    if values.get("recipe") == "tutorial":
        for name, value in TUTORIAL.items():
            values.setdefault(name, value)
            sources.setdefault(name, "recipe tutorial")
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise Refusal(
            t("config.invalid"), t("config.invalid_hint"), tuple(_problem(e, sources, names) for e in error.errors())
        ) from None
    return settings, {name: sources.get(name, "default") for name in Settings.model_fields}


def _problem(error: Any, sources: dict[str, str], names: dict[str, str]) -> str:
    """One sentence for one of pydantic's errors, in the user's language."""
    name = str(error["loc"][0])
    place = sources.get(name, name)
    if error["type"] == "extra_forbidden" and name in NOT_DONE:
        return t("config.not_done", place=place, name=name, what=NOT_DONE[name])
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, names, n=1)
        return t("config.unknown", place=place, name=name) + (t("config.nearest", name=near[0]) if near else "")
    if not place.startswith("--") and place not in names:  # a file: say which of its settings
        place = f"{place}: {name}"
    kind = error["type"] if error["type"] in _LIMITS else error["type"].split("_")[0]
    context = {key: value for key, value in (error.get("ctx") or {}).items() if isinstance(value, (int, float, str))}
    if kind == "literal_error":
        context["expected"] = ", ".join(choices(Settings.model_fields[name]) or ROLES)
    if kind == "string_pattern_mismatch":
        kind = f"form_{name}"
    rule = t(f"config.{kind}", **context) if kind in (*_KINDS, *_FORMS) else error["msg"]
    return t("config.value", place=place, value=error["input"], rule=rule)


MEANT = frozenset({"load_in_4bit", "use_qlora"})  # what other trainers call --weights nf4
NOT_DONE = {  # settings of other trainers whose meaning is not to be guessed at
    "dora": "DoRA", "use_dora": "DoRA", "load_in_8bit": "LLM.int8", "loftq_config": "LoftQ",
    "modules_to_save": "modules_to_save", "neftune_noise_alpha": "NEFTune",
}  # fmt: skip
_LIMITS = (
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "literal_error",
    "finite_number",
    "string_pattern_mismatch",
)
_FORMS = ("form_layers", "form_stop_at")
_KINDS = (*_LIMITS, "int", "float", "bool", "string", "list", "dict", "memory")


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, tables flattened. Raises Refusal for a missing file or bad TOML."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Refusal(t("config.no_file", path=path, why=of_system(error)), t("config.toml_hint")) from None
    except UnicodeDecodeError:
        raise Refusal(t("config.not_utf8", path=path), t("intake.encoding_hint")) from None
    except tomllib.TOMLDecodeError as error:
        raise Refusal(t("config.bad_toml", path=path, why=error), t("config.toml_hint")) from None
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        is_group = isinstance(value, dict) and (key in GROUPS or key not in Settings.model_fields)
        flat.update(value if is_group else {key: value})  # [map] is a setting of its own
    return flat


def to_toml(settings: Settings, reasons: dict[str, str]) -> str:
    """run.toml: every setting by group, each with where its value comes from as a comment."""
    lines: list[str] = []
    for group in GROUPS:
        lines += ["", f"[{group}]"]
        for name in Settings.model_fields:
            if group_of(name) == group:
                lines.append(_line(settings, name, reasons.get(name, "default")))
    return "\n".join(lines).lstrip() + "\n"


def changed_toml(text: str, settings: Settings, reasons: dict[str, str]) -> str:
    """run.toml with the settings named in ``reasons`` as they are now; every other line stays as it is."""
    lines = []
    for line in text.splitlines():
        name = line.removeprefix("# ").partition(" =")[0]
        lines.append(_line(settings, name, reasons[name]) if name in reasons else line)
    return "\n".join(lines) + "\n"


def _line(settings: Settings, name: str, reason: str) -> str:
    """A setting in run.toml, and where its value comes from."""
    value = getattr(settings, name)
    shown = f"# {name} =" if value is None else f"{name} = {_toml_value(value)}"
    return f"{shown}  # " + "".join(c if c.isprintable() else " " for c in reason)


def _toml_value(value: Any) -> str:
    """A value as TOML writes it: JSON's strings, numbers, booleans and lists of strings are TOML's too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml_value(each)}" for key, each in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
