"""Room `intake`, names: the usual names of the fields that hold a question, a thought, an answer or a system message.

All are normalised (see ``normal``), the likeliest first.
"""

from __future__ import annotations

from buke.intake.formats import DIALOGUES

NAMES: dict[str, tuple[str, ...]] = {
    "question": ("question", "problem", "query", "instruction", "prompt", "input", "问题", "提问", "指令", "输入"),
    "thought": (
        "complex_cot", "thought", "thoughts", "thinking", "think", "reasoning_content", "reasoning", "cot",
        "chain_of_thought", "message_thinking", "steps", "rationale", "思考过程", "思考", "思维链", "推理过程", "推理",
        # reasoning_content as it is misspelt
        "reasoning_conent", "reasoning_conten", "reasoning_contents", "reasoning_contet", "reasoning_contnet",
        "resoning_content", "resoning_conten", "reasonning_content", "reasonig_content", "reasoningcontent",
        "reason_content", "thinking_content", "think_content", "thought_content", "reasoning_text",
        "deepseek_thinking_trajectory", "thinking_trajectories",
    ),
    "answer": (
        "response", "answer", "output", "solution", "message_content", "content", "completion",
        "deepseek_attempt",
        "回答", "答案", "回复", "输出",
    ),
    "system": ("system", "system_prompt"),
}  # fmt: skip
TRAJECTORIES = ("thinking_trajectories", "deepseek_thinking_trajectory")  # may be a list of one text
OPTIONS = ("options", "option", "choices", "candidates", "选项")  # one field with all the options
LETTERED = ("", "op", "option_", "option", "choice_", "选项")  # before a letter: a field for each option
INDEX = (
    "answer_idx", "answer_index", "answer_key", "answerkey", "answer_letter", "answer_option", "correct_option",
    "correct_answer", "correct_choice", "correct", "cop", "gold", "label", "正确答案", "正确选项",
)  # fmt: skip
EXPLANATION = ("explanation", "exp", "解析", "答案解析")
KNOWN = frozenset(name for names in (*NAMES.values(), OPTIONS, INDEX, EXPLANATION) for name in names) | {*DIALOGUES}
REMEMBERED = 100  # fields: what was recognised in a row is kept for the next one like it, unless it has more than these
