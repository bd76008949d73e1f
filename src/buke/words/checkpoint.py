"""What the room `checkpoint` says."""

TEXTS = {
    "misfit": ("{folder}: the checkpoint does not fit this model and adapter", "{folder}：检查点与模型或适配器不匹配"),
    "misfit_hint": (
        "go on with the settings the run was started with",
        "请用该运行开始时的设置继续",
    ),
}
