"""What the room `train` says."""

TEXTS = {
    "loss": ("loss", "损失"),
    "gradient": ("gradient", "梯度"),
    "whole_step": ("the step as a whole", "整个这一步"),
    "skipped": ("the {what} was not finite, the step was not taken: {where}", "{what}不是有限值，跳过这一步：{where}"),
    "not_finite": (
        "{count} steps in a row were not finite; stopped with the best adapter kept",
        "连续 {count} 步出现非有限值；已停止并保留最好的适配器",
    ),
    "early": (
        "the held-out loss did not improve {count} times in a row; stopped with the best adapter kept",
        "留出损失连续 {count} 次没有变好；已提前停止并保留最好的适配器",
    ),
    "never_finite": (
        "no step gave a finite loss, so there is no adapter to keep",
        "没有一步得到有限的损失，没有可保留的适配器",
    ),
    "never_finite_hint": (
        "lower --learning-rate, or use --precision fp32 or bf16",
        "请调低 --learning-rate，或改用 --precision fp32 / bf16",
    ),
    "no_data": ("no data was named", "没有指定数据"),
    "no_model": ("no base model was named", "没有指定基座模型"),
    "needs_hint": (
        "{buke} train my.jsonl --model FOLDER_OR_NAME; --model embedded needs no download",
        "{buke} train my.jsonl --model 文件夹或名字；--model embedded 无需下载",
    ),
    "reading": ("Reading the records", "正在读取记录"),
    "loading": ("Loading {model}", "正在载入 {model}"),
    "too_long": (
        "--length {length} is more than the {places} places of the model",
        "--length {length} 超过模型的 {places} 个位置",
    ),
    "too_long_hint": ("use --length {places} or less", "请用不超过 {places} 的 --length"),
    "too_few": (
        "{count} records to learn from are fewer than the {per_step} of one step",
        "可学习的记录只有 {count} 条，少于一步所需的 {per_step} 条",
    ),
    "too_few_hint": (
        "add records, or lower --batch and --accumulation",
        "请增加记录，或调小 --batch 与 --accumulation",
    ),
    "none_left": ("no record is left to learn from", "没有可以学习的记录"),
    "none_left_hint": (
        "raise --length, or shorten the thoughts with --overlong shorten",
        "可调大 --length，或用 --overlong shorten 缩短思考",
    ),
    "why_length": ("computed: the model has {places} places", "计算得出：模型有 {places} 个位置"),
    "why_rate": ("computed: from the model's width, {width}", "计算得出：按模型宽度 {width}"),
    "why_pace": ("computed: from the {steps} steps of the run", "计算得出：全程 {steps} 步"),
    "why_tightened": ("memory ran out at step {step}", "第 {step} 步内存不足"),
    "why_lower": (
        "computed: what the lower layers make of all records takes {size}; {free} of the disk are free",
        "计算得出：下面各层对所有记录的输出要 {size}，磁盘可用 {free}",
    ),
    "why_no_lower": (
        "computed: the first layer learns too, or this is not the fast road",
        "计算得出：第一层也在学习，或不是快速路径",
    ),
    "lower_full": (
        "{run}: the disk takes no more of what the lower layers give ({why}); they are computed in each epoch from here",
        "{run}：磁盘无法再保存下面各层的输出（{why}）；此后每轮都会重新计算",
    ),
    "plain_road": (
        "Computed by the layers of transformers, which take longer: our fast ones do not know {why}",
        "由 transformers 的层计算，较慢：我们的快速层不支持 {why}",
    ),
    "no_manifest": ("{run}: the run has no manifest.json to go on from", "{run}：没有 manifest.json，无法继续"),
    "finished": ("{run}: this run is finished", "{run}：这次运行已经完成"),
    "adapter_lost": (
        "{run}: the adapter of this trained run is damaged or missing; it is made again from its checkpoints",
        "{run}：这次训练完成的适配器已损坏或缺失，将用检查点重新生成",
    ),
    "adapter_gone": (
        "{run}: this run is finished, but its adapter is damaged or missing, and no checkpoint is whole to make it from",
        "{run}：这次运行已经完成，但适配器已损坏或缺失，也没有完整的检查点可用来重新生成",
    ),
    "adapter_gone_hint": (
        "train it once more with the same settings: {buke} train --again {run!q}",
        "用同样的设置再训练一次：{buke} train --again {run!q}",
    ),
    "unlike": (
        "Not as when the run began, so its bytes may come out otherwise: {what}",
        "与运行开始时不同，结果的字节可能因此不同：{what}",
    ),
    "finished_hint": ("see it with: {buke} report {run!q}", "查看：{buke} report {run!q}"),
    "changed": (
        "{run}: changed since the run was started: {what}",
        "{run}：运行开始之后有变动：{what}",
    ),
    "going_on": (
        "{run}: this run with the same settings and data is not complete; going on with it ({anew} starts another)",
        "{run}：已有设置与数据相同、尚不完整的运行，继续它（{anew} 可另开一次）",
    ),
    "other_data": (
        "{run}: this run with the same settings is not finished, but its data has changed since; starting a new one",
        "{run}：有设置相同的未完成运行，但数据已变动；另开一次运行",
    ),
    "data_choices": (
        "go on with the records it began with: {buke} train --resume {run!q} --old-records{flags}; or start a new run: {anew} with the "
        "command that began it; or "
        "finish it so and then teach its adapter the new records: --from {run!q}",
        "只用开始时的记录继续：{buke} train --resume {run!q} --old-records{flags}；或在当初的命令后加 {anew} 另开一次；"
        "或先这样完成它，再用 --from {run!q} 让它的适配器学习新记录",
    ),
    "gone": (
        "{count} records that the run began with are no longer in the data",
        "运行开始时的记录有 {count} 条已不在数据中",
    ),
    "no_ids": (
        "{run}: data.json does not say which records the run began with",
        "{run}：data.json 没有记下运行开始时用了哪些记录",
    ),
    "settled": (
        "{run}: these settings decide what is learned and cannot change on the way",
        "{run}：这些设置决定学习结果，中途不能更改",
    ),
    "settled_hint": ("leave them out; what may change: {allowed}", "请去掉它们；可以更改的有：{allowed}"),
    "product": (
        "--batch × --accumulation has to stay {was}, not {now}",
        "--batch × --accumulation 必须仍为 {was}，不能是 {now}",
    ),
    "why_again": ("{flag}, when the run was taken up", "{flag}，续跑时更改"),
    "run_gone": (
        "{run}: the run folder was deleted, moved or emptied while it trained",
        "{run}：训练期间运行文件夹被删除、移走或清空",
    ),
    "run_gone_hint": (
        "the adapter is trained, and lies in {adapter}; a folder that was moved can be gone on with from its last checkpoint",
        "适配器已训练完，保存在 {adapter}；被移走的文件夹可从其最后一个检查点继续",
    ),
    "mend_hint": (
        "mend that, then go on where it stopped: {buke} train --resume {run!q}",
        "解决之后从中断处继续：{buke} train --resume {run!q}",
    ),
    "changed_hint": ("put it back as it was, or start a new run", "请恢复原样，或另开一次运行"),
    "part_data": ("the data", "数据"),
    "part_prompt": ("the prompt", "提示格式"),
    "stdin": (
        "standard input cannot be read again when a run is taken up",
        "续跑时无法再次读取标准输入",
    ),
    "stdin_hint": ("save the records in a file", "请把记录存成文件"),
    "part_model": ("the base model", "基座模型"),
    # manifest
    "part_weights": ("base weights", "基座权重"),
    "part_tokenizer": ("tokenizer", "分词器"),
    "part_configuration": ("base configuration", "基座配置"),
    "part_code": ("code of buke", "buke 的代码"),
    "part_packages": ("libraries", "程序库"),
    "part_machine": ("machine", "机器"),
    "part_threads": ("threads", "线程数"),
    "part_settings": ("settings", "设置"),
    "part_from": ("the earlier run's adapter", "起点的适配器"),
    "part_from_held_out": ("the earlier run's held-out part", "起点的留出部分"),
    "part_file": ("file of the run", "运行的文件"),
    "part_checkpoint": ("checkpoint", "检查点"),
    "state_same": ("same", "相同"),
    "state_changed": ("changed", "已变动"),
    "state_missing": ("missing", "缺失"),
    "not_noted": ("the manifest does not tell", "manifest 中没有记载"),
    "not_finished": (
        "the run is not finished, so there are no hashes of its files",
        "运行尚未完成，还没有记下文件的哈希",
    ),
    "cut_line": ("line {line} is cut off", "第 {line} 行不完整"),
    "again_device_hint": (
        "a run is repeated on what it was computed on; to train with its settings on what is here: "
        "{buke} train --config {run!q}/run.toml --name NEW --anew",
        "重做须在当时的设备上；若要用它的设置在现有设备上训练：{buke} train --config {run!q}/run.toml --name 新名字 --anew",
    ),
    "again_part": ("Not as it was then: {part}: {state}: {what}", "与当时不同：{part}：{state}：{what}"),
    "parting_gone": ("at the beginning: {run} has no adapter any more", "一开始：{run} 的适配器已不存在"),
    "parting_length": ("in {file}, step {step}: only one of the two has it", "{file} 第 {step} 步：只有其中一次有"),
    "parting_step": (
        "in {file}, step {step}: {key} was {was} and is {now}",
        "{file} 第 {step} 步：{key} 当时是 {was}，现在是 {now}",
    ),
    "parting_shape": (
        "in {name}: only one of the two has it, or its shape differs",
        "{name}：只有其中一次有，或形状不同",
    ),
    "parting_tensor": ("in {name}: by {far} at most", "{name}：最多相差 {far}"),
    "parting_header": ("in the header of the file alone; every tensor is the same", "只有文件头不同，所有张量都相同"),
    # going on from an earlier run
    "why_from": ("as in {run}, which this run goes on from", "沿用起点 {run}"),
    "from_differs": (
        "{place}: {name} is {was} there and {now} here",
        "{place}：{name} 在那次运行中是 {was}，这里是 {now}",
    ),
    "from_gone": ("{run}: the run that this one goes on from is no longer there", "{run}：作为起点的运行已不在原处"),
    "from_gone_hint": (
        "put it back, or into {runs} under any name: it is known by its adapter",
        "请放回原处，或放进 {runs}，名字不限：靠适配器认出它",
    ),
    "from_other": (
        "{run}: its adapter cannot be gone on with under other settings",
        "{run}：不能用不同的设置继续训练它的适配器",
    ),
    "from_other_hint": (
        "leave these settings away to take that run's, or train anew without --from",
        "去掉这些设置即沿用那次运行的，或去掉 --from 重新训练",
    ),
    "from_leak": (
        "held out by {run}, which this run goes on from, so it is not learned",
        "已被起点 {run} 留出，因此不学习",
    ),
    "from_none_left_hint": (
        "give records that the earlier run did not hold out",
        "请给出起点没有留出的记录",
    ),
}
