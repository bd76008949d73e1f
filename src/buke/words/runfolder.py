"""What the room `runfolder` says."""

TEXTS = {
    "bad_name": ("{name!r} cannot be the name of a run", "{name!r} 不能用作运行的名字"),
    "bad_name_hint": ("use letters, digits, '-', '_' and '.'", "请用文字、数字、-、_ 和 ."),
    "exists": ("{run}: a run of this name exists already", "{run}：已有同名的运行"),
    "exists_hint": (
        "take another name: --name {free!q}",
        "请另取名字：--name {free!q}",
    ),
    "unfinished_hint": (
        "go on with it: {buke} train --resume {run!q}; or take another name: --name {free!q}",
        "继续它：{buke} train --resume {run!q}；或另取名字：--name {free!q}",
    ),
    "unwritable": ("{run}: the run folder cannot be made: {why}", "{run}：无法创建运行文件夹：{why}"),
    "unwritable_hint": ("choose a folder you may write to with --runs", "请用 --runs 指定可写的文件夹"),
    "takes_nothing": ("{run}: nothing can be written into this run: {why}", "{run}：这个运行无法写入：{why}"),
    "takes_nothing_hint": (
        "mend that, or copy the folder to where you may write: the copy can be gone on with just as well",
        "请先解决；或把文件夹复制到可写的地方，用副本同样可以继续",
    ),
    "not_written": ("{run}: could not be written: {why}", "{run}：写入失败：{why}"),
    "full": ("{why}; {free} are free", "{why}；剩余空间 {free}"),
    "missing": (
        "{why}: {needed} are needed, {free} are free, {missing} are missing",
        "{why}：需要 {needed}，剩余 {free}，还差 {missing}",
    ),
    "held": ("{run}: process {pid} is working on this run", "{run}：进程 {pid} 正在使用这个运行"),
    "held_here_hint": ("wait until it has ended", "请等它结束"),
    "held_elsewhere": (
        "{run}: process {pid} on {host} is working on this run",
        "{run}：{host} 上的进程 {pid} 正在使用这个运行",
    ),
    "held_hint": ("if it no longer runs there, delete {lock}", "如果它已不在运行，请删除 {lock}"),
    "none": ("{run}: there is no such run", "{run}：没有这个运行"),
    "unreadable": ("{place}: {why}", "{place}：{why}"),
    "unreadable_hint": ("see that the file may be read", "请确认文件可读"),
    "damaged": ("{place}: the file is damaged: {why}", "{place}：文件已损坏：{why}"),
    "damaged_hint": (
        "put a copy of this file back, or start a new run under another --name",
        "请用备份恢复这个文件，或另取 --name 重新开始一次运行",
    ),
    "known": ("runs here: {names}", "现有的运行：{names}"),
    # errors of the system
    "error_ENOSPC": ("No space left on device", "磁盘已满"),
    "error_EDQUOT": ("Disk quota exceeded", "磁盘配额已用完"),
    "error_EACCES": ("Permission denied", "没有权限"),
    "error_EPERM": ("Operation not permitted", "不允许的操作"),
    "error_EROFS": ("Read-only file system", "文件系统只读"),
    "error_EIO": ("Input/output error", "读写设备出错"),
    "error_ENOENT": ("No such file or directory", "没有这个文件或文件夹"),
    "error_ENOTDIR": ("Not a directory", "不是文件夹"),
    "error_EISDIR": ("Is a directory", "是一个文件夹"),
    "error_EEXIST": ("File exists", "文件已存在"),
    "error_EMFILE": ("Too many open files", "打开的文件过多"),
    "error_ENAMETOOLONG": ("File name too long", "文件名过长"),
    "error_EFBIG": ("File too large", "文件过大"),
    "gone_hint": (
        "the run folder was deleted or moved while the run used it; put it back, or give the same command to begin again",
        "运行文件夹在使用中被删除或移走；请放回原处，或用同一命令重新开始",
    ),
}
