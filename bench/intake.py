"""How fast `buke check` reads, and in how much memory: at 10,000, 100,000 and 1,000,000 records of about 2 KB.

    python bench/intake.py [RECORDS ...] [--keep DIR]

Each size is measured quick (form and exact duplicates) and whole (texts and near-duplicates too), in turns; memory is
the sum over all processes, at its peak.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
# parts of sentences that are put together at random, so that questions differ as those of people do
WORDS = (
    "患者 男性 女性 头痛 发热 咳嗽 三天 一周 两月 血压 心率 正常 偏高 偏低 既往 体健 吸烟 "
    "饮酒 过敏 青霉素 手术 史 查体 腹部 压痛 反跳痛 肝区 叩击痛 白细胞 血红蛋白 血小板 "
    "尿蛋白 影像 提示 结节 阴影 积液 考虑 诊断 鉴别 治疗 首选 随访 复查 建议 因此 所以 "
    "但是 需要 注意 排除 感染 肿瘤 结核 免疫 代谢 遗传 中毒 外伤"
)
PARTS = WORDS.split()


def text(rng: random.Random, characters: int) -> str:
    """Nonsense of about so many characters."""
    return "，".join("".join(rng.choices(PARTS, k=5)) for _ in range(characters // 12)) + "。"


def write(path: Path, records: int) -> None:
    """A file of records; one in a thousand is an exact duplicate, one in a thousand nearly one."""
    rng = random.Random(0)
    last: dict[str, str] = {}
    with path.open("w", encoding="utf-8") as file:
        for i in range(records):
            if i % 1000 == 500:
                row = last
            elif i % 1000 == 600:
                row = last | {"Question": last["Question"].replace("，", "；", 1)}
            else:
                row = {"Question": text(rng, 100), "Complex_CoT": text(rng, 420), "Response": text(rng, 170)}
            last = row
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def measure(path: Path, quick: bool) -> tuple[float, float]:
    """(seconds, MB at the peak over all processes) of one check."""
    command = [sys.executable, "-m", "buke", "check", str(path), "--json", *["--quick"] * quick]
    began, peak = time.perf_counter(), 0
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with tempfile.TemporaryFile() as out:
        process = psutil.Popen(command, stdout=out, env=env)
        while process.poll() is None:
            try:
                family = [process, *process.children(recursive=True)]
                peak = max(peak, sum(one.memory_full_info().uss for one in family))
            except psutil.Error:
                pass
            time.sleep(0.1)
        if process.returncode:
            sys.exit(f"buke check ended with {process.returncode}")
    return time.perf_counter() - began, peak / 1e6


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--keep", type=Path, help="keep the generated files here")
    given = parser.parse_args()
    print(f"{'records':>9} {'MB':>6} {'quick':>5} {'seconds':>8} {'MB/s':>6} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as temporary:
        for records in given.records:
            path = (given.keep or Path(temporary)) / f"{records}.jsonl"
            if not path.exists():
                write(path, records)
            size = path.stat().st_size / 1e6
            for quick in (True, False):
                seconds, peak = measure(path, quick)
                print(
                    f"{records:>9} {size:>6.0f} {quick!s:>5} {seconds:>8.1f} {size / seconds:>6.0f} {peak:>8.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
