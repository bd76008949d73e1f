"""What ``buke check`` shows: its page, its picture and its lines. The findings are made up by ``made_up`` below."""

from __future__ import annotations

import copy
from typing import Any


def finding(kind: str, severity: str, count: int, message: str, hint: str, name: str) -> dict[str, Any]:
    places = [f"{name}:{3 + 7 * place}" for place in range(min(count, 20))]
    return {"kind": kind, "severity": severity, "count": count, "message": message, "hint": hint, "places": places}


def made_up(language: str = "en", model: bool = True) -> dict[str, Any]:
    """A check with a finding of every sort, of records in the language."""
    zh, name = language == "zh", f"cases-{language}.jsonl"
    question = "患儿体重 12 kg，每日每公斤 20 mg，分两次，每次多少毫克？" if zh else "A child of 12 kg, 20 mg per kg and day in two doses: how much is each?"
    thought = "一天 12 × 20 = 240 mg。\n分两次，每次 120 mg。" if zh else "A day is 12 × 20 = 240 mg.\nIn two doses that is 120 mg."
    answer = "每次 120 mg，每日两次。" if zh else "120 mg, twice a day."
    made: dict[str, Any] = {
        "buke": "0.2.0", "language": language,
        "files": [
            {"path": name, "bytes": 2_412_883, "sha256": "9f2c" * 16, "format": "jsonl", "encoding": "utf-8",
             "compression": "", "shape": "question/answer", "rows": 940,
             "mapping": {"question": "Question", "thought": "Complex_CoT", "answer": "Response"}},
            {"path": "ward/old cases.csv.gz", "bytes": 41_007, "sha256": "ab12" * 16, "format": "csv",
             "encoding": "gb18030", "compression": "gz", "shape": "fields", "rows": 60,
             "mapping": {"question": "问题", "thought": "思考过程", "answer": "回答"}},
        ],
        "read": 1000, "kept": 990, "left_out": 10, "without_thought": 3,
        "findings": [
            finding("empty_field", "error", 7, *(("思考是空的", "请补上内容，或删去这条记录") if zh else
                    ("the thought is empty", "fill it in, or delete the record")), name),
            finding("truncated", "error", 3, *(("第 812 列：JSON 没有写完", "缺少收尾的引号或括号；请重新写出这条记录") if zh else
                    ("column 812: the JSON breaks off", "a closing quote or bracket is missing; write this record again")), name),
            finding("near_duplicate", "warning", 34, *((f"与 {name}:20 几乎相同", "删去其中一条，否则模型会把它学两遍") if zh else
                    (f"nearly the same as {name}:20", "delete one of them, or the model learns it twice")), name),
            finding("personal", "warning", 2, *(("这里有像是手机号码的数字", "训练前请去掉：模型可能会把它背出来") if zh else
                    ("this looks like a telephone number", "take it out before training: a model may recite it")), name),
        ],
        "characters": {"question": {"median": 61, "longest": 412}, "thought": {"median": 1_204, "longest": 9_871},
                       "answer": {"median": 377, "longest": 2_040}},
        "languages": {"zh": 968, "en": 22} if zh else {"en": 968, "zh": 22},
        "samples": [{"source": f"{name}:{line}", "question": question, "thought": thought, "answer": answer}
                    for line in (1, 412)],
        "held_out": {"train": 940, "held_out": 50},
        "tokens": None,
    }  # fmt: skip
    if model:
        counts = [12, 96, 204, 231, 168, 109, 71, 42, 24, 14, 8, 5, 3, 0, 2, 1]
        made["tokens"] = {
            "model": "DeepSeek-R1-Distill-Qwen-1.5B", "all": 612_408, "learned": 531_226, "median": 571, "p95": 1_312,
            "longest": 2_421, "end_learned": [990, 990],
            "histogram": [[152 * (index + 1), count] for index, count in enumerate(counts)],
            "candidates": [{"length": 512, "dropped": 547, "answer_lost": 540},
                           {"length": 1_024, "dropped": 102, "answer_lost": 97},
                           {"length": 1_536, "dropped": 21, "answer_lost": 20},
                           {"length": 2_048, "dropped": 3, "answer_lost": 3},
                           {"length": 3_072, "dropped": 0, "answer_lost": 0}],
            "recommended": 2_048, "bytes_per_token": {"zh": 4.02, "en": 4.31}, "poor": 3,
        }  # fmt: skip
    return copy.deepcopy(made)
