"""What the room `runfolder` says."""

TEXTS = {
    "bad_name": ("{name!r} cannot be the name of a run", "{name!r} 不能用作运行的名字"),
    "bad_name_hint": ("use letters, digits, '-', '_' and '.'", "请用文字、数字、-、_ 和 ."),
    "exists": ("{run}: a run of this name exists already", "{run}：已有同名的运行"),
    "exists_hint": (
        "choose another --name, or go on with it: {buke} train --resume RUN",
        "请另取 --name，或继续它：{buke} train --resume RUN",
    ),
    "unwritable": ("{run}: the run folder cannot be made: {why}", "{run}：无法创建运行文件夹：{why}"),
    "unwritable_hint": ("choose a folder you may write to with --runs", "请用 --runs 指定可写的文件夹"),
    "not_written": ("{run}: could not be written: {why}", "{run}：写入失败：{why}"),
    "full": ("{why}; {free} are free", "{why}；剩余空间 {free}"),
    "missing": (
        "{why}: {needed} are needed, {free} are free, {missing} are missing",
        "{why}：需要 {needed}，剩余 {free}，还差 {missing}",
    ),
    "held": ("{run}: process {pid} is working on this run", "{run}：进程 {pid} 正在使用这个运行"),
    "held_here_hint": (
        "wait until it has ended, or start another run with --anew",
        "请等它结束，或用 --anew 另开一次运行",
    ),
    "held_elsewhere": (
        "{run}: process {pid} on {host} is working on this run",
        "{run}：{host} 上的进程 {pid} 正在使用这个运行",
    ),
    "held_hint": ("if it no longer runs there, delete {lock}", "如果它已不在运行，请删除 {lock}"),
    "none": ("{run}: there is no such run", "{run}：没有这个运行"),
    "damaged": ("{place}: the file is damaged: {why}", "{place}：文件已损坏：{why}"),
    "damaged_hint": (
        "put a copy of this file back, or start a new run under another --name",
        "请用备份恢复这个文件，或另取 --name 重新开始一次运行",
    ),
    "known": ("runs here: {names}", "现有的运行：{names}"),
}
