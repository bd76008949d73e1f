"""Texts of the room `grade`."""

TEXTS: dict[str, tuple[str, str]] = {
    "unknown": (
        "there is no grader '{name}'",
        "没有名为“{name}”的判分方式",
    ),
    "unknown_hint": (
        "choose one of {names}",
        "可选：{names}",
    ),
    "no_pattern": (
        "the regex grader needs a pattern and none was given",
        "使用 regex 判分需要正则表达式，但没有给出",
    ),
    "no_pattern_hint": (
        "set grader_pattern, for example --grader-pattern 'dose: (\\d+)'",
        "请设置 grader_pattern，例如 --grader-pattern '剂量：(\\d+)'",
    ),
    "bad_pattern": (
        "the grader pattern '{pattern}' is not a regular expression: {why}",
        "判分用的“{pattern}”不是合法的正则表达式：{why}",
    ),
    "bad_pattern_hint": (
        "mend grader_pattern; round brackets that are meant literally are written \\( and \\)",
        "请改正 grader_pattern；要匹配括号本身时写成 \\( 和 \\)",
    ),
    "no_file": (
        "the python grader needs a file and none was given",
        "使用 python 判分需要一个 Python 文件，但没有给出",
    ),
    "missing_file": (
        "{file}: the grader file cannot be read: {why}",
        "{file}：无法读取判分文件：{why}",
    ),
    "load_failed": (
        "{place}: the grader file stopped while it was being loaded: {error}",
        "{place}：载入判分文件时出错：{error}",
    ),
    "no_function": (
        "{file}: the grader file does not define grade(question, reference, answer)",
        "{file}：判分文件里没有定义 grade(question, reference, answer)",
    ),
    "raised": (
        "{place}: grade() stopped on the record at {source}: {error}",
        "{place}：grade() 在处理 {source} 的记录时出错：{error}",
    ),
    "not_a_verdict": (
        "{file}: grade() returned {value} for the record at {source}, which is neither True, False nor None",
        "{file}：grade() 对 {source} 的记录返回了 {value}，应为 True、False 或 None",
    ),
    "python_hint": (
        "write a file with a function grade(question, reference, answer) that returns True, False, or None for "
        "'cannot be judged', and name it with grader_file",
        "请编写含函数 grade(question, reference, answer) 的文件，返回 True、False，无法判断时返回 None，"
        "并用 grader_file 指定该文件",
    ),
}
