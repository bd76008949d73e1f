"""What the room `compare` says."""

TEXTS = {
    "no_adapter": ("{run}: the run has no adapter yet", "{run}：还没有适配器"),
    "no_adapter_yet_hint": ("process {pid} is training it; wait for it", "进程 {pid} 正在训练它，请等它完成"),
    "no_adapter_hint": (
        "finish it first: {buke} train --resume {run!q}",
        "请先完成训练：{buke} train --resume {run!q}",
    ),
    "no_held_out": ("{run}: the run held no records out, so there is nothing to ask", "{run}：没有留出的记录可问"),
    "no_held_out_hint": ("train with --held-out 0.05", "训练时请用 --held-out 0.05"),
    "prompt": (
        "{run}: the model now gets another prompt ({now}) than the one it was trained with ({learned})",
        "{run}：现在的提示格式（{now}）与训练时的（{learned}）不同",
    ),
    "prompt_hint": (
        "tokenizer, chat template or system message changed; put back the one of the training",
        "分词器、对话模板或系统消息有变动，请恢复训练时的版本",
    ),
}
