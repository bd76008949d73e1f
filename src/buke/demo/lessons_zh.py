"""Room `demo`, Chinese sentences of the lessons.

The same kinds and placeholders as ``lessons_en``, in the words of a Chinese ward. Units stay in Latin letters, as on
charts and labels.
"""

from __future__ import annotations

JOINTS = {"so": "，所以 ", "then": "，", "check": "核对：{check}。"}

WORDING: dict[str, tuple[tuple[str, ...], str, str]] = {
    "weight_dose": (
        (
            "患者体重 {a} kg，医嘱 {b} mg/kg，药液浓度 10 mg/mL，单次给药多少 mL？",
            "按 {b} mg/kg 给药，患者体重 {a} kg，应给 10 mg/mL 的药液多少 mL？",
            "体重 {a} kg 的患者，单次剂量为 {b} mg/kg，药液 10 mg/mL，一次用多少 mL？",
            "医嘱：{b} mg/kg，用一次。体重：{a} kg。浓度：10 mg/mL。请算出用量。",
            "某口服液 10 mg/mL，每次 {b} mg/kg，{a} kg 的患者一次需要多少 mL？",
        ),
        "{a} kg，{b} mg/kg。{steps}。{check}",
        "应给 {r} mL。",
    ),
    "tablets": (
        (
            "医嘱口服 {a} mg，每片 {b} mg，应服几片？",
            "药片规格 {b} mg，患者一次要吃 {a} mg，是几片？",
            "早上需服 {a} mg，手头是 {b} mg 一片的，要给几片？",
            "病区备有 {b} mg 的片剂，凑足 {a} mg 要取几片？",
            "每次剂量 {a} mg，片剂规格为 {b} mg，一次发几片？",
        ),
        "{a} mg，每片 {b} mg。{steps}。{check}",
        "给 {r} 片。",
    ),
    "draw_volume": (
        (
            "医嘱 {a} mg，药液浓度 {b} mg/mL，应抽取多少 mL？",
            "安瓿标示 {b} mg/mL，要注射 {a} mg，抽几 mL？",
            "需静推 {a} mg，注射液为 {b} mg/mL，注射器里应抽多少 mL？",
            "注射液 {b} mg/mL，取 {a} mg 需要抽多少 mL？",
            "肌注剂量 {a} mg，药液标签写 {b} mg/mL，该抽多少 mL？",
        ),
        "{a} mg，{b} mg/mL。{steps}。{check}",
        "抽取 {r} mL。",
    ),
    "pump_rate": (
        (
            "{a} mL 液体要在 {b} 小时内输完，输液泵调到多少？",
            "补液 {a} mL，用 {b} 小时匀速泵入，每小时多少 mL？",
            "医嘱：生理盐水 {a} mL，{b} 小时滴完。泵速设多少？",
            "一袋液体 {a} mL，计划输 {b} 小时，速度是多少 mL/h？",
            "患者需 {b} 小时输入 {a} mL，泵速应设为多少 mL/h？",
        ),
        "{a} mL，{b} 小时。{steps}。{check}",
        "泵速 {r} mL/h。",
    ),
    "daily_total": (
        (
            "每次 {a} mg，每日 {b} 次，全天共用多少 mg？",
            "患者每天服药 {b} 次，一次 {a} mg，日剂量是多少？",
            "医嘱 {a} mg，一天 {b} 次，一天总量多少 mg？",
            "某药每日给 {b} 次，每次 {a} mg，请算每日总量。",
            "单次剂量 {a} mg，一日 {b} 次，一日共多少 mg？",
        ),
        "每次 {a} mg，{b} 次。{steps}。{check}",
        "全天 {r} mg。",
    ),
    "supply_days": (
        (
            "一瓶糖浆 {a} mL，每天喝 {b} mL，能喝几天？",
            "患者每日用药 {b} mL，开了 {a} mL，够用几天？",
            "口服液还剩 {a} mL，每天用 {b} mL，几天用完？",
            "药瓶里有 {a} mL，按每日 {b} mL 服用，可以维持几天？",
            "出院带药一瓶 {a} mL，每天 {b} mL，能用多少天？",
        ),
        "{a} mL，每天 {b} mL。{steps}。{check}",
        "可用 {r} 天。",
    ),
    "balance": (
        (
            "本班入量 {a} mL，出量 {b} mL，液体平衡是多少？",
            "患者入量 {a} mL，尿量 {b} mL，正平衡多少 mL？",
            "出入量记录：入 {a} mL，出 {b} mL，相差多少？",
            "今日尿量 {b} mL，输液和饮水共 {a} mL，入量多出多少？",
            "统计出入量，出 {b} mL，入 {a} mL，平衡为正多少 mL？",
        ),
        "入 {a} mL，出 {b} mL。{steps}。{check}",
        "正平衡 {r} mL。",
    ),
    "percent": (
        (
            "{a}% 葡萄糖 {b} mL，含葡萄糖多少 g？",
            "患者输入 {b} mL 的 {a}% 溶液，其中溶质多少 g？",
            "一袋 {a}% 葡萄糖注射液 {b} mL，糖有多少 g？",
            "给患者输 {b} mL 浓度 {a}% 的葡萄糖，共给糖多少 g？",
            "{b} mL 注射液，浓度为 {a}%，算一算含多少 g。",
        ),
        "每 100 mL 含 {a} g，共 {b} mL。{steps}。{check}",
        "含 {r} g。",
    ),
}
