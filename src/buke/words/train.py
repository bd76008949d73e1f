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
    "no_lower": (
        "--lower-cache: no layer lies below the first adapter, or this is not the fast road",
        "--lower-cache：第一个适配器之下没有层，或不是快速路径",
    ),
    "no_lower_hint": ("leave it out, or use --layers upper", "请去掉它，或使用 --layers upper"),
    "lower_full": (
        "{run}: the disk takes no more of what the lower layers give ({why}); they are computed in each epoch from here",
        "{run}：磁盘无法再保存下面各层的输出（{why}）；此后每轮都会重新计算",
    ),
    "plain_road": (
        "{name} takes the plain road: our fast layers do not know this architecture, dropout or trained biases",
        "{name} 走普通路径：我们的快速层不支持这种架构、dropout 或可训练的偏置",
    ),
    "no_manifest": ("{run}: the run has no manifest.json to go on from", "{run}：没有 manifest.json，无法继续"),
    "finished": ("{run}: this run is finished", "{run}：这次运行已经完成"),
    "finished_hint": ("see it with: {buke} report {run}", "查看：{buke} report {run}"),
    "changed": (
        "{run}: changed since the run was started: {what}",
        "{run}：运行开始之后有变动：{what}",
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
}
