"""What the room `plan` says."""

TEXTS = {
    "plan": (
        "Say how a run would be computed and what it takes of memory, time and disk; the model need not be here",
        "预先说明一次运行会怎样计算、占多少内存、时间和磁盘；模型不必已下载",
    ),
    "dry_run": ("show the plan of the run and stop", "只显示运行计划，不训练"),
    "of_free": ("{share} of {free} free, and what this process holds", "可用 {free} 的 {share}，加本进程已占用的"),
    "which_card": ("there is no CUDA card here to plan for", "这里没有可供规划的 CUDA 显卡"),
    "which_card_hint": ("say how much memory the card has: --memory 8GB", "请说明显卡内存：--memory 8GB"),
    "no_config": (
        "{name}: the model is not here, and its shape is not known",
        "{name}：模型不在本机，也不知道它的形状",
    ),
    "no_config_hint": ("fetch it first: {buke} get {name}", "请先下载：{buke} get {name}"),
    "no_room": (
        "the run needs {needed} of memory, and {budget} may be used",
        "运行需要 {needed} 内存，可用的只有 {budget}",
    ),
    "nearest": ("this fits: {flags}", "这样放得下：{flags}"),
    "needs_more": ("--memory {needed} would do, on a machine that has it", "在内存足够的机器上 --memory {needed} 即可"),
    "no_disk": (
        "the run needs {needed} of disk, and {free} are free",
        "运行需要 {needed} 磁盘空间，只剩 {free}",
    ),
    "no_disk_hint": (
        "make room, keep fewer checkpoints with --keep 1, or use another folder with --runs DIR",
        "请腾出空间，或用 --keep 1 少留检查点，或用 --runs 换个文件夹",
    ),
    "why": ("computed: {place}; {needed} of {budget}", "计算得出：{place}；{needed}，可用 {budget}"),
    "why_precision": ("computed: what is fastest on this machine ({device})", "计算得出：本机上最快的格式（{device}）"),
    "why_first": ("it fits and loses nothing", "放得下且无损失"),
    "why_after": (
        "the first of the ways that fits, {count} before it do not",
        "依次尝试中第一个放得下的，之前 {count} 种放不下",
    ),
    "assumed_cuda": (
        "planned for a card without asking one: {context} for CUDA itself",
        "计划时没有询问显卡：CUDA 自身按 {context} 计",
    ),
    "assumed_host": (
        "the machine needs {size} of memory besides, for the weights that the card reads from there",
        "机器另需 {size} 内存，供显卡读取权重",
    ),
    "assumed_tokens": (
        "tokens are estimated from characters: the tokenizer is not here",
        "token 数按字符估计：本机没有分词器",
    ),
    "line": (
        "Plan: {needed} of {budget} memory, {training} of training, {disk} of disk; {ways}",
        "计划：内存 {needed}/{budget}，训练 {training}，磁盘 {disk}；{ways}",
    ),
    "unknown": ("an unknown time", "时间未知"),
    "about": ("about {time}", "约 {time}"),
    "at_most": ("at most {time}", "最多 {time}"),
    "head": ("{model} on {device}, {precision}", "{model}，{device}，{precision}"),
    "chosen": ("How it is computed", "怎样计算"),
    "given": ("as set, or its default", "按设置或默认值"),
    "memory": (
        "Memory: {needed} of {budget} ({source}), the larger of training ({training}, in parts below) and answering",
        "内存：{needed}，可用 {budget}（{source}）；取训练（{training}，分项如下）与回答两者中较大的",
    ),
    "part_libraries": ("libraries and data", "库与数据"),
    "part_frozen": ("frozen weights of the layers", "各层冻结权重"),
    "part_embedding": ("embedding and head", "词嵌入与输出头"),
    "part_adapter": ("adapter, gradient, optimizer, best adapter", "适配器、梯度、优化器、最佳适配器"),
    "part_activations": ("activations kept for the backward pass", "为反向传播保存的激活"),
    "part_buffers": ("buffers that layers share", "各层共用的缓冲区"),
    "part_logits": ("logits", "logits"),
    "part_passing": ("what comes and goes", "临时占用"),
    "part_asking": ("while questions are answered, in all", "作答时合计"),
    "part_file": (
        "besides, frozen weights that stay in their file, or, for a card, in the machine's memory",
        "另有冻结权重，留在文件中；用显卡时留在机器内存中",
    ),
    "rows": (
        "Rows: the longest record has {longest} tokens; {rows} rows an epoch, {rows_per_step} a step of "
        "{records_per_step} records, {steps} steps",
        "行：最长记录 {longest} token；每轮 {rows} 行，每步 {records_per_step} 条记录约 {rows_per_step} 行，共 {steps} 步",
    ),
    "time": (
        "Time: training {training} at about {speed} tokens/s; questions {asking}",
        "时间：训练{training}，约 {speed} token/s；作答{asking}",
    ),
    "time_unknown": ("Time: not known without the device", "时间：没有该设备，无法估计"),
    "disk": (
        "Disk: {needed} of {free} free: checkpoints {checkpoints}, adapter {adapter}, report {report}, "
        "kept of lower layers {lower}",
        "磁盘：{needed}，可用 {free}：检查点 {checkpoints}，适配器 {adapter}，报告 {report}，下层缓存 {lower}",
    ),
    "tightened": (
        "Memory ran out at step {step}; from here {what}. The step is done again, its records stay the same",
        "第 {step} 步内存不足；此后 {what}。该步重做，记录不变",
    ),
    "less_rows": ("--row-tokens {tokens}", "--row-tokens {tokens}"),
    "again": ("--recompute", "--recompute"),
    "exhausted": (
        "memory ran out at step {step}, and nothing is left that would save some",
        "第 {step} 步内存不足，已没有可节省的办法",
    ),
    "exhausted_hint": (
        "the last checkpoint stays; start anew with a shorter --length, or with more --memory",
        "最近的检查点保留；请用更短的 --length 或更多 --memory 重新开始",
    ),
}
