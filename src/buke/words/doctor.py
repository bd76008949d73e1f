"""What the command `doctor` says."""

TEXTS = {
    "doctor": (
        "Look whether this machine is fit to train, and name the command that mends what is not.",
        "检查这台机器能否训练；有问题的，给出修复它的一条命令。",
    ),
    "hubs": ("also ask whether the model hubs can be reached", "同时检查能否连上模型库"),
    "ok": ("ok  ", "正常"),
    "warn": ("warn", "注意"),
    "bad": ("bad ", "有误"),
    "folder": ("FOLDER", "文件夹"),
    "libraries": ("libraries", "程序库"),
    "precision": ("precision", "精度"),
    "card_memory": ("card's memory", "显存"),
    "memory": ("memory", "内存"),
    "runs": ("run folder", "运行文件夹"),
    "cache": ("cache", "缓存"),
    "embedded": ("built-in model", "内置模型"),
    "python": ("{version}, {system}", "{version}，{system}"),
    "python_bad": (
        "{version}: Python 3.10 or newer is needed, 64 bit",
        "{version}：需要 64 位的 Python 3.10 或更高版本",
    ),
    "python_repair": (
        "install Python 3.12 from https://www.python.org/downloads/",
        "从 https://www.python.org/downloads/ 安装 Python 3.12",
    ),
    "missing": ("not installed: {names}", "未安装：{names}"),
    "wrong": ("{names}: a version known to spoil records", "{names}：已知会损坏记录的版本"),
    "torch_no_card": (
        "{version}; no NVIDIA card seen, so the CPU computes (on a Mac: its own card)",
        "{version}；没有发现 NVIDIA 显卡，用 CPU 计算（Mac 用其自带显卡）",
    ),
    "old_driver": (
        "{card}: driver {driver} is too old for PyTorch, which needs 525 or later",
        "{card}：驱动 {driver} 过旧，PyTorch 需要 525 或更高",
    ),
    "torch_cpu": (
        "{version} is built for the CPU alone and leaves {card} idle",
        "{version} 只能用 CPU，{card} 闲置",
    ),
    "torch_driver": (
        "{version} is built for CUDA {cuda}, which driver {driver} of {card} does not know",
        "{version} 按 CUDA {cuda} 编译，{card} 的驱动 {driver} 不支持",
    ),
    "torch_card": (
        "{version}, built for CUDA {cuda}, has no code for {card} (compute capability {capability})",
        "{version}（CUDA {cuda}）不含 {card}（计算能力 {capability}）的代码",
    ),
    "torch_fails": ("{version} cannot compute on {card}: {why}", "{version} 无法在 {card} 上计算：{why}"),
    "torch_card_ok": (
        "{version}, CUDA {cuda}, computes on {card}, driver {driver}",
        "{version}，CUDA {cuda}，可在 {card} 上计算，驱动 {driver}",
    ),
    "no_bf16_cpu": (
        "on the CPU: bf16 where it has matrix units for it (AMX), else fp32",
        "CPU 上：有 bf16 矩阵单元（AMX）时用 bf16，否则用 fp32",
    ),
    "bf16": ("the card has bf16, which is used", "显卡支持 bf16，将使用它"),
    "no_bf16": ("the card has no bf16, so fp16 is used", "显卡不支持 bf16，将使用 fp16"),
    "vram": ("{card}: {free} of {all} free", "{card}：{all} 中可用 {free}"),
    "memory_text": ("{free} of {all} free", "{all} 中可用 {free}"),
    "limit": ("; this container may use {limit}", "；容器限制为 {limit}"),
    "unwritable": ("{folder} cannot be written", "{folder} 不可写"),
    "disk": ("{folder}: {free} free", "{folder}：可用 {free}"),
    "no_parquet": ("not installed; only Parquet and Arrow files need it", "未安装；只有 Parquet 和 Arrow 文件需要它"),
    "no_excel": ("not installed; only Excel files need it", "未安装；只有 Excel 文件需要它"),
    "no_zstd": ("not installed; only .zst files need it", "未安装；只有 .zst 文件需要它"),
    "no_embedded": (
        "not installed; the demo and --model embedded need it",
        "未安装；演示和 --model embedded 需要它",
    ),
    "embedded_ok": ("SmolLM2-135M is here", "SmolLM2-135M 已就绪"),
    "hub_silent": ("{endpoint} cannot be reached: {why}", "连不上 {endpoint}：{why}"),
    "hub_answers": ("{endpoint} answers", "{endpoint} 有应答"),
}
