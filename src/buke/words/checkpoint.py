"""What the room `checkpoint` says."""

TEXTS = {
    "none": ("{run}: there is no whole checkpoint to go on from", "{run}：没有完整的检查点可以继续"),
    "none_hint": ("start it anew under another --name", "请换一个 --name 重新开始"),
    "misfit": ("{folder}: the checkpoint does not fit this model and adapter", "{folder}：检查点与模型或适配器不匹配"),
    "misfit_hint": (
        "go on with the settings the run was started with",
        "请用该运行开始时的设置继续",
    ),
}
