"""What the room `model` says."""

TEXTS = {
    "only_fast": (
        "{what} is done by our fast layers alone, and {why} goes without them",
        "{what} 只有快速层支持，而 {why} 用不了快速层",
    ),
    "no_fewer_hint": (
        "leave --activations out, or what rules it out; --recompute saves memory with both",
        "请去掉 --activations 或与它冲突的设置；要省内存可用 --recompute，两者都能配合",
    ),
    "no_device": ("{device} is not available on this machine", "这台机器上没有可用的 {device}"),
    "no_device_hint": (
        "leave --device away to take what there is; with an NVIDIA card, torch has to be a CUDA build",
        "去掉 --device 即自动选择；有 NVIDIA 显卡时需安装 CUDA 版 torch",
    ),
    "no_four_bits": (
        "weights in four bits (NF4) are for the CPU and NVIDIA cards only",
        "4 位权重（NF4）只能用于 CPU 和 NVIDIA 显卡",
    ),
    "no_four_bits_hint": ("leave --weights away", "请去掉 --weights"),
    "needs_library": ("weights in four bits (NF4) need bitsandbytes", "4 位权重（NF4）需要 bitsandbytes"),
    "fp16_cpu": ("fp16 cannot be trained on the CPU", "CPU 上不能用 fp16 训练"),
    "fp16_cpu_hint": ("leave --precision away, or use fp32", "去掉 --precision，或用 fp32"),
    "fp16_bias": ("biases cannot be trained in fp16", "fp16 下不能训练偏置"),
    "fp16_bias_hint": ("use --precision bf16 or fp32, or --bias none", "请用 --precision bf16 或 fp32，或 --bias none"),
    "softcap": (
        "it caps its attention scores, which buke does not compute",
        "它会截断注意力分数，buke 暂不支持",
    ),
    "not_loaded": ("{folder}: the model cannot be loaded: {why}", "{folder}：模型无法加载：{why}"),
    "not_loaded_hint": (
        "check that the folder is whole; fetch it again if not",
        "请检查文件夹是否完整，必要时重新下载",
    ),
    "architecture": (
        "{name}: this architecture is not supported: {why}",
        "{name}：不支持这种架构：{why}",
    ),
    "architecture_hint": (
        "Qwen2, Qwen3, Llama and models built like them are",
        "支持 Qwen2、Qwen3、Llama 及同类结构的模型",
    ),
    "no_starts": (
        "its layers are not told where a record of a packed row begins",
        "它的层得不到打包行中各条记录的起点",
    ),
    "logits_differ": (
        "its logits differ by {far} from those of packed records",
        "打包计算的 logits 与原模型相差 {far}",
    ),
    "layers": ("layers {layers}: the model has layers 0 to {last}", "layers {layers}：模型的层是 0 到 {last}"),
    "layers_hint": ("use all, upper, or a range within them", "请用 all、upper 或其中的范围"),
    "no_linear": (
        "{name}: this architecture has no linear layer that an adapter could sit on",
        "{name}：这种架构没有可以加适配器的线性层",
    ),
    "targets": ("the model has no linear layer called {names}", "模型没有名为 {names} 的线性层"),
    "targets_hint": ("it has {names}; or all-linear", "可选 {names}；或 all-linear"),
    "adapter_damaged": ("{folder}: the adapter cannot be read: {why}", "{folder}：适配器读不了：{why}"),
    "adapter_misfit": (
        "{folder}: the adapter does not fit this base model and these settings",
        "{folder}：适配器与当前基座模型或设置不匹配",
    ),
    "adapter_misfit_hint": (
        "use the model and the rank and targets it was trained with",
        "请使用训练它时的模型、秩和目标层",
    ),
    "adapter_not_finite": ("{tensor} holds values that are not finite", "{tensor} 含有非有限值"),
    "absent": (
        "{folder}: {count} weights of the model are in none of its files, {tensor} among them",
        "{folder}：模型的 {count} 个权重不在任何文件里，例如 {tensor}",
    ),
    "not_finite": (
        "{file}: {tensor} holds values that are not finite: {nan} NaN, {inf} infinite",
        "{file}：{tensor} 含有非有限值：{nan} 个 NaN，{inf} 个无穷",
    ),
    "not_finite_hint": (
        "fetch this file again; where only fp16 cannot hold the values, use --precision bf16 or fp32",
        "请重新下载这个文件；若只是 fp16 装不下这些值，请用 --precision bf16 或 fp32",
    ),
}
