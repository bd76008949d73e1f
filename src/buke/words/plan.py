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
    "no_config_hint": ("fetch it first: {buke} get {name!q}", "请先下载：{buke} get {name!q}"),
    "no_room": (
        "as asked, the run needs {needed} of memory at least, and {budget} may be used",
        "照此设置，运行至少需要 {needed} 内存，可用的只有 {budget}",
    ),
    "nearest": (
        "this fits: {flags}; as asked, --memory {needed} would do on a machine that has it",
        "这样放得下：{flags}；若要照原样，换内存足够的机器，--memory {needed} 即可",
    ),
    "needs_more": ("--memory {needed} would do, on a machine that has it", "在内存足够的机器上 --memory {needed} 即可"),
    "no_lower": (
        "--lower-cache: no layer lies below the first adapter",
        "--lower-cache：第一个适配器之下没有层",
    ),
    "no_lower_fast_hint": ("leave --lower-cache out, or what rules it out", "请去掉 --lower-cache 或与它冲突的设置"),
    "no_lower_hint": ("leave it out, or use --layers upper", "请去掉它，或使用 --layers upper"),
    "no_disk": (
        "the run needs {needed} of disk, and {free} are free",
        "运行需要 {needed} 磁盘空间，只剩 {free}",
    ),
    "no_disk_hint": (
        "make room{fewer}, or use another folder with --runs DIR",
        "请腾出空间{fewer}，或用 --runs 换个文件夹",
    ),
    "no_disk_keep": (", keep fewer checkpoints with --keep 1", "，或用 --keep 1 少留检查点"),
    "why_card_bf16": ("a card is fastest in it", "显卡用它最快"),
    "why_no_bf16": ("this device has no bfloat16", "该设备没有 bfloat16"),
    "why_tiles": ("this processor has matrix units for it", "处理器有它的矩阵单元"),
    "why_no_tiles": ("this processor has no matrix units for bfloat16", "处理器没有 bfloat16 的矩阵单元"),
    "why_narrow": (
        "at a width of {width} bfloat16 gains nothing on this processor",
        "宽度 {width} 时 bfloat16 在这个处理器上没有好处",
    ),
    "why_resident": ("held in memory they take {size}, and the rest fits", "全放内存要 {size}，其余也放得下"),
    "why_large": (
        "in float32 they would take {size}; from {most} on they stay in their file",
        "展开成 float32 要 {size}；超过 {most} 就留在文件里",
    ),
    "why_not_resident": (
        "held in memory they take {size}, and the run at least {needed}",
        "全放内存要 {size}，运行至少要 {needed}",
    ),
    "why_not_streamed": (
        "two layers and the head at a time, and the run needs at least {needed}",
        "一次放两层和输出头，运行至少要 {needed}",
    ),
    "why_nf4": (
        "in 16 bits {size} would lie in the machine's memory, which has room for {host}",
        "若用 16 位，要在机器内存里放 {size}，而那里只有 {host}",
    ),
    "why_full": ("they fit, and nothing is rounded", "放得下，且不舍入"),
    "why_inputs": ("only what goes into each layer waits, see --recompute", "只保存每层的输入，见 --recompute"),
    "why_kept": ("not needed: activations fit as {kind}", "不需要：激活按 {kind} 放得下"),
    "why_not_kept": (
        "{kind} would need at least {needed} with --row-tokens {rows}",
        "{kind} 在 --row-tokens {rows} 时至少要 {needed}",
    ),
    "why_one_row": (
        "all records of a micro-batch in one row, at most {tokens} tokens",
        "一个微批的记录放进一行，最多 {tokens} token",
    ),
    "why_most_rows": ("the largest that is tried: small rows keep a card waiting", "所试的最大值：行小了显卡要等待"),
    "why_not_rows": ("{rows} would need at least {needed}", "{rows} 至少要 {needed}"),
    "why_fewer": ("{asked} at once would need {needed}", "一次 {asked} 个要 {needed}"),
    "assumed_cuda": (
        "planned for a card without asking one: {context} for CUDA itself",
        "计划时没有询问显卡：CUDA 自身按 {context} 计",
    ),
    "assumed_host": (
        "the machine needs {size} of memory besides, for the weights that the card reads from there",
        "机器另需 {size} 内存，供显卡读取权重",
    ),
    "no_host": (
        "the weights need {needed} of the machine's memory, where the card reads them, and {free} are free",
        "权重要在机器内存里占 {needed}，供显卡读取，而可用的只有 {free}",
    ),
    "no_host_hint": (
        "--weights nf4 keeps them on the card, rounded to four bits; or close other programs",
        "用 --weights nf4 可把它们量化到 4 位放在显卡上；或关闭其他程序",
    ),
    "needs_library": (
        'weights in four bits need bitsandbytes, which is not installed here: pip install "buke[{extra}]"',
        '4 位权重需要 bitsandbytes，本机尚未安装：pip install "buke[{extra}]"',
    ),
    "assumed_tokens": (
        "tokens are estimated from characters: the tokenizer is not here",
        "token 数按字符估计：本机没有分词器",
    ),
    "line": (
        "Plan: {needed} of {budget} memory, {training} of training, {disk} of disk{ways}",
        "计划：内存 {needed}/{budget}，训练 {training}，磁盘 {disk}{ways}",
    ),
    "ways": ("; {ways}", "；{ways}"),
    "unknown": ("an unknown time", "时间未知"),
    "about": ("about {time}", "约 {time}"),
    "at_most": ("at most {time}", "最多 {time}"),
    "head": ("{model} on {device}, {precision}", "{model}，{device}，{precision}"),
    "chosen": ("How it is computed", "怎样计算"),
    "default": ("the default", "默认值"),
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
