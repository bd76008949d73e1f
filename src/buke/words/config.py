"""What the room `config` says."""

TEXTS = {
    "invalid": ("some settings are not valid", "有些设置不合要求"),
    "invalid_hint": (
        "the same command with --help lists every setting and its default",
        "在同一命令后加 --help 可列出所有设置及默认值",
    ),
    "toml_hint": (
        "a settings file holds lines such as rank = 16; a run's own run.toml is one",
        "设置文件由 rank = 16 这样的行组成；运行文件夹里的 run.toml 就是例子",
    ),
    "unknown": ("{place}: there is no setting called {name}", "{place}：没有名为 {name} 的设置"),
    "not_done": (
        "{place}: {name} is not available: buke does not do {what}; take the line out",
        "{place}：不支持 {name}（{what}）；请删去这一行",
    ),
    "nearest": ("; did you mean {name}?", "；是不是 {name}？"),
    "value": ("{place}: {value!r} is not valid: {rule}", "{place}：{value!r} 不合要求：{rule}"),
    "greater_than": ("it has to be greater than {gt}", "必须大于 {gt}"),
    "greater_than_equal": ("it has to be at least {ge}", "必须不小于 {ge}"),
    "less_than": ("it has to be less than {lt}", "必须小于 {lt}"),
    "less_than_equal": ("it has to be at most {le}", "必须不大于 {le}"),
    "literal_error": ("choose {expected}", "可选 {expected}"),
    "finite_number": ("it has to be a finite number", "必须是有限的数"),
    "form_layers": ("write all, upper, or a range such as 12-27", "请写 all、upper，或 12-27 这样的范围"),
    "form_stop_at": ("write a time of day such as 07:00", "请写 07:00 这样的时刻"),
    "int": ("it has to be a whole number", "必须是整数"),
    "float": ("it has to be a number", "必须是数字"),
    "bool": ("it has to be true or false", "必须是 true 或 false"),
    "string": ("it has to be text", "必须是文字"),
    "memory": ("write it as 8GB, 7.5GiB or 800MB", "请写成 8GB、7.5GiB 或 800MB"),
    "list": ("it has to be a list", "必须是列表"),
    "dict": (
        "write question=NAME thought=NAME answer=NAME, or a table in the settings file",
        "请写成 question=字段名 thought=字段名 answer=字段名，在设置文件里则写成表",
    ),
    "no_file": ("{path}: cannot be read: {why}", "{path}：读不了：{why}"),
    "not_utf8": ("{path}: the text is not UTF-8", "{path}：文字不是 UTF-8"),
    "bad_toml": ("{path}: is not valid TOML: {why}", "{path}：不是有效的 TOML：{why}"),
}
