"""What the doors say."""

TEXTS = {
    # help
    "buke": (
        "buke teaches a reasoning model from your own question / thought / answer records, and proves what changed.",
        "buke（补课）：用你自己的 问题/思考/回答 记录给推理模型补课，并证明它变了什么。",
    ),
    "demo": (
        "See everything work: a built-in model learns built-in lessons.",
        "先看一遍全过程：内置模型学习内置课程。",
    ),
    "train": (
        "Teach a model from files of records; asks it before and after.",
        "用记录文件训练模型，并在训练前后各问一遍。",
    ),
    "check": (
        "Look through files of records: what is in them, what would spoil a run, and how to mend it.",
        "检查记录文件：里面有什么、什么会毁掉训练、怎么改。",
    ),
    "data_or_stdin": ("files or folders of records; - for standard input", "记录文件或文件夹；- 表示标准输入"),
    "check_quick": (
        "only form and exact duplicates: no near-duplicates, no look into the texts; for very large files",
        "只查格式和完全重复：不找近似重复，也不看文字内容；用于特大文件",
    ),
    "check_report_help": (
        "write report.html, check.json and, with --model, lengths.png there",
        "在该文件夹写出 report.html、check.json，给出 --model 时还有 lengths.png",
    ),
    "check_fix": (
        "write the good records, mended, to this file, and every change to OUT.changes.jsonl",
        "把修好的可用记录写到此文件，全部改动写到 OUT.changes.jsonl",
    ),
    "check_strict": ("exit with 2 where there is any finding", "只要有发现就以 2 退出"),
    "check_fixed": (
        "{path}: {records} records written, {mended} of them mended, {left_out} left out; every change: {changes}",
        "{path}：写出 {records} 条，其中修改 {mended} 条，略去 {left_out} 条；全部改动见 {changes}",
    ),
    "check_fixed_none": (
        "{path}: not written, for no record is good",
        "{path}：没有写出，因为没有可用的记录",
    ),
    "check_fixed_broken": (
        "Files that could not be read whole, so that records are missing: {n}; see {changes}",
        "未能完整读取、因此缺少记录的文件：{n} 个；见 {changes}",
    ),
    "check_report": ("Report: {path}", "报告：{path}"),
    "check_no_folder": ("{folder}: cannot be made: {why}", "{folder}：无法创建：{why}"),
    "compare": (
        "Ask a run's held-out questions again, before and after; replaces its comparison.",
        "把一次运行留出的问题在训练前后的模型上再问一遍；会替换原有的对比。",
    ),
    "report": ("Write a run's report.html again and print where it is.", "重新生成一次运行的 report.html 并打印位置。"),
    "show": (
        "Print records as they are learned: prompt, thought, answer, end token.",
        "打印记录将如何被学习：提示、思考、回答、结束符。",
    ),
    "runs": ("List the runs.", "列出所有运行。"),
    "data": ("files of records", "记录文件"),
    "config": ("a TOML file of settings; flags override it", "设置文件（TOML）；命令行优先"),
    "show_recipe": ("buke, or tutorial to see the tutorial's rows", "buke，或 tutorial 查看教程的训练行"),
    "resume": (
        "go on with an interrupted run; the same command without it does so too",
        "继续被中断的运行；不写它、重复原来的命令也会继续",
    ),
    "anew": (
        "start a new run, also where an unfinished one of the same settings is there",
        "另开一次运行，即使已有同样设置的未完成运行",
    ),
    "old_records": (
        "records were added to the data of an unfinished run: go on with those it began with",
        "未完成的运行所用的数据加入了新记录时：只用开始时的记录继续",
    ),
    "again": (
        "repeat a run in a new folder with exactly its settings, and say whether the adapters agree byte for byte",
        "用完全相同的设置在新文件夹里重做一次运行，并说明两个适配器是否逐字节一致",
    ),
    "verify": (
        "Hold all that a run was made of, and its own files, against what is there now.",
        "核对一次运行所用的一切及其自身文件，与现在的是否相同。",
    ),
    "verify_same": ("Everything is as it was.", "一切如旧。"),
    "verify_other": ("Not as it was: {n}.", "与当时不同：{n} 项。"),
    "again_same": (
        "The adapter agrees with that of {run}, byte for byte.",
        "适配器与 {run} 的逐字节一致。",
    ),
    "again_other": (
        "The adapter is not that of {run}. They first part {where}.",
        "适配器与 {run} 的不同。最先分开之处：{where}。",
    ),
    "earlier_loss": (
        "On the earlier run's held-out part: {before} before, {after} after.",
        "起点的留出部分：训练前 {before}，训练后 {after}。",
    ),
    "step_earlier": (" (earlier {loss})", "（起点 {loss}）"),
    "scored_earlier": ("; on the earlier run's part {loss}", "；起点的留出部分 {loss}"),
    "curve_earlier": ("earlier run's", "起点的留出"),
    "run": ("a run: its folder, or its name under --runs", "一次运行：文件夹，或 --runs 下的名字"),
    "json": ("print JSON for programs", "输出 JSON，供程序读取"),
    "show_json": ("one line a record: id, source, ids, learn", "每条记录一行：id、source、ids、learn"),
    "questions": (
        "how many held-out questions to ask (default: as in training)",
        "问多少道留出的问题（默认与训练时相同）",
    ),
    "demo_name": ("name of the run folder", "运行文件夹的名字"),
    "demo_seed": ("seed of the lessons", "课程的随机种子"),
    "demo_lessons": ("how many lessons to learn", "学习多少条课程"),
    "demo_questions": ("how many held-out questions to ask", "问多少道留出的问题"),
    "group_data": ("Data", "数据"),
    "group_model": ("Model", "模型"),
    "group_lora": ("LoRA", "LoRA"),
    "group_training": ("Training", "训练"),
    "group_comparison": ("Before and after", "前后对比"),
    "group_run": ("Run", "运行"),
    "command_line": ("command line", "命令行"),
    # errors
    "error": ("error: {message}", "错误：{message}"),
    "hint": ("hint: {message}", "提示：{message}"),
    "needs": ("{name} needs a value", "{name} 需要一个值"),
    "takes_none": ("{name} takes no value", "{name} 不接受值"),
    "missing": ("{name} is missing", "缺少 {name}"),
    "no_option": ("there is no option {name}", "没有 {name} 这个选项"),
    "no_command": ("there is no command {name}", "没有 {name} 这个命令"),
    "too_much": ("that is more than the command takes: {words}", "多余的参数：{words}"),
    "number_from": ("{name} takes a whole number of at least {low}", "{name} 须为不小于 {low} 的整数"),
    "number_between": ("{name} takes a whole number from {low} to {high}", "{name} 须为 {low} 到 {high} 的整数"),
    "help_usage": ("Usage:", "用法："),
    "help_arguments": ("Arguments:", "参数："),
    "help_options": ("Options:", "选项："),
    "help_commands": ("Commands:", "命令："),
    "help_help": ("Show this message and exit.", "显示本页。"),
    "help_default": ("default: ", "默认："),
    "help_required": ("required]", "必填]"),
    "usage_hint": ("see {buke} {command}--help", "参见 {buke} {command}--help"),
    "no_runs": ("{folder}: no runs yet", "{folder}：还没有运行"),
    "no_folder": ("{folder}: is not a folder", "{folder}：不是文件夹"),
    "bad_lang": ("{value!r} is no language of buke", "{value!r} 不是 buke 的界面语言"),
    "needs_lang": ("--lang en or --lang zh", "--lang en 或 --lang zh"),
    "resume_alone": (
        "--resume goes on with the data and settings of the run; it takes no data, no --config, --again, --anew or --dry-run",
        "--resume 沿用该运行的数据与设置，不接受数据、--config、--again、--anew 或 --dry-run",
    ),
    "again_alone": (
        "--again takes the data and settings of the run; besides it only --name and --anew may be said",
        "--again 沿用该运行的数据与设置；此外只接受 --name 和 --anew",
    ),
    "resume_alone_hint": (
        "{buke} train {flag} {run!q}, or start a new run",
        "{buke} train {flag} {run!q}，或另开一次运行",
    ),
    "needs_map": (
        "--map question=NAME thought=NAME answer=NAME",
        "--map question=字段名 thought=字段名 answer=字段名",
    ),
    "map_twice": ("--map says twice where the {role} is", "--map 里 {role} 出现了两次"),
    "needs_folder": ("--runs FOLDER", "--runs 文件夹"),
    "needs_report": ("--report FOLDER, one that you may write to", "--report 文件夹（须可写）"),
    "no_chinese": (
        "{encoding}, the encoding of this output, has no Chinese, so this is in English; PYTHONIOENCODING=utf-8 may help",
        "输出编码 {encoding} 不含中文，因此改用英文；可以试试 PYTHONIOENCODING=utf-8",
    ),
    "interrupted": ("Interrupted.", "已中断。"),
    "file": ("{file}: {why}", "{file}：{why}"),
    "output": ("something could not be read or written: {why}", "读写失败：{why}"),
    "file_hint": (
        "see whether the file is there, may be read and written, and has room on its disk; then give the command again "
        "(BUKE_DEBUG=1 shows where it stopped)",
        "请查看文件是否存在、能否读写、磁盘是否有空间，然后重新执行命令（BUKE_DEBUG=1 可显示出错位置）",
    ),
    "fault": ("something went wrong inside buke: {kind}: {why}", "buke 内部出错：{kind}：{why}"),
    "fault_hint": (
        "this is our mistake; run it again with BUKE_DEBUG=1 and send us what it prints",
        "这是我们的错误；请设置 BUKE_DEBUG=1 重新运行，并把输出发给我们",
    ),
    # while a run is under way
    "run_folder": ("Run folder: {run}", "运行文件夹：{run}"),
    "data_line": (
        "Records: {kept} of {read} kept; {train} to learn, {held_out} held out; longest {longest} tokens; "
        "{learned} tokens learned, the end token in {end} of {kept}",
        "记录：{read} 条中保留 {kept} 条；学习 {train} 条，留出 {held_out} 条；最长 {longest} token；"
        "学习 {learned} 个 token，{kept} 条中 {end} 条学到结束符",
    ),
    "more_dropped": ("  and {count} more, see {file}", "  另有 {count} 条，见 {file}"),
    "model_line": ("Model: {name}, {size} parameters, {where}", "模型：{name}，{size} 参数，{where}"),
    "asking_before": ("Asking before", "训练前提问"),
    "asking_after": ("Asking after", "训练后提问"),
    "training": ("Training", "训练"),
    "left": ("{left} left", "还需 {left}"),
    "tokens": ("{tokens} tokens", "{tokens} token"),
    "step_line": (
        "step {step}/{steps}  epoch {epoch}  loss {loss}  held-out {held_out}  {rate} tokens/s  {left} left",
        "第 {step}/{steps} 步  第 {epoch} 轮  损失 {loss}  留出 {held_out}  {rate} token/s  还需 {left}",
    ),
    "scored": ("step {step}: held-out loss {loss}{best}", "第 {step} 步：留出损失 {loss}{best}"),
    "best": (" (best so far)", "（目前最好）"),
    "stopping": (
        "Stopping after this step; press Ctrl-C again to stop at once.",
        "这一步之后停下；再按一次 Ctrl-C 立即停止。",
    ),
    "demo_too_many": (
        "{lessons} lessons and {questions} questions are more than there are",
        "没有 {lessons} 条课程加 {questions} 道题那么多",
    ),
    "demo_too_many_hint": ("lower --lessons or --questions", "请调小 --lessons 或 --questions"),
    "show_more": ("{count} records shown; --limit N shows more", "显示了 {count} 条；用 --limit N 看更多"),
    "skipped": ("step {step}: {why}", "第 {step} 步：{why}"),
    "curve_train": ("training", "训练"),
    "curve_held_out": ("held-out", "留出"),
    "saved": (
        "Stopped after step {step}; nothing is lost. Go on with: {buke} train --resume {run!q}",
        "已在第 {step} 步后停下，没有丢失。继续：{buke} train --resume {run!q}",
    ),
    "time_is_up": (
        "The time is up: stopped after step {step} of {of}; nothing is lost. Go on with: {buke} train --resume {run!q}",
        "时间到：已在第 {step}/{of} 步后停下，没有丢失。继续：{buke} train --resume {run!q}",
    ),
    "left_unsaved": (
        "Stopped after step {step}, but its checkpoint could not be written: {why}. The steps after {last} will be done "
        "again. Go on with: {buke} train --resume {run!q}",
        "已在第 {step} 步后停下，但检查点写入失败：{why}。第 {last} 步之后的部分将重做。继续：{buke} train --resume {run!q}",
    ),
    "go_on": ("Go on with: {buke} train --resume {run!q}", "继续：{buke} train --resume {run!q}"),
    "ending": ("Asked to end; stopping after this step.", "收到结束信号，这一步之后停下。"),
    "not_saved": (
        "step {step}: the checkpoint could not be written: {why}; {before}. Training goes on, and the next will be tried",
        "第 {step} 步：检查点写入失败：{why}；{before}。训练继续，到下一个检查点再试",
    ),
    "saved_before": ("the one of step {last} is whole", "第 {last} 步的检查点完好"),
    "none_before": ("no whole one is there", "没有完好的检查点"),
    "saved_again": ("step {step}: checkpoints are written again", "第 {step} 步：检查点恢复正常写入"),
    "not_logged": (
        "step {step}: {file} could not be added to: {why}; its lines wait, and training goes on",
        "第 {step} 步：无法写入 {file}：{why}；这些行先留在内存，训练继续",
    ),
    "slow": (
        "step {step} took {seconds} s, {times} times as long as usual for its tokens; is something else running, or the "
        "processor hot?",
        "第 {step} 步用了 {seconds} 秒，按 token 计是平常的 {times} 倍；是否有别的程序在运行，或处理器过热？",
    ),
    "damaged": (
        "{folder}: this checkpoint is damaged and passed over",
        "{folder}：这个检查点已损坏，跳过它",
    ),
    "damaged_line": (
        "{place}: this line is damaged and was taken out; the run does not need it",
        "{place}：这一行已损坏，已去掉；运行不需要它",
    ),
    "resumed": ("Going on after step {step}.", "从第 {step} 步之后继续。"),
    "begun_again": ("No checkpoint is whole: the run begins again at step 0.", "没有完整的检查点：从第 0 步重新开始。"),
    # at the end
    "done": ("Done. Training took {time}.", "完成。训练用时 {time}。"),
    "right": (
        "Right answers: {before} of {n} before, {after} of {n} after.",
        "答对：训练前 {n} 题中 {before} 题，训练后 {after} 题。",
    ),
    "closed": (
        "Thoughts closed: {before} of {n} before, {after} of {n} after.",
        "思考完整结束：训练前 {n} 题中 {before} 题，训练后 {after} 题。",
    ),
    "thinks": (
        "It thinks for {after} tokens on average ({before} before).",
        "平均思考 {after} 个 token（训练前 {before}）。",
    ),
    "loss": (
        "Held-out loss of these {n}: {before} before, {after} after.",
        "这 {n} 条的留出损失：训练前 {before}，训练后 {after}。",
    ),
    "see_report": ("Open the report:   {file}", "打开报告：  {file}"),
    "see_curve": ("The loss curve:    {file}", "损失曲线：  {file}"),
    "see_adapter": ("The adapter:       {folder}", "适配器：    {folder}"),
    "demo_intro": (
        "The demo: SmolLM2-135M, a small model that knows no bedside arithmetic, gets lessons in it. "
        "A few minutes on two cores; nothing is downloaded.",
        "演示：SmolLM2-135M 是个不会床边计算的小模型，现在给它补课。双核几分钟；不下载任何东西。",
    ),
    "demo_next": (
        "Next, your own file:\n  {buke} show my.jsonl --model embedded     what would be learned, in colours\n"
        "  {buke} train my.jsonl --model FOLDER_OR_NAME",
        "接下来用你自己的文件：\n  {buke} show my.jsonl --model embedded     用颜色看看会学到什么\n"
        "  {buke} train my.jsonl --model 文件夹或名字",
    ),
    "run_finished": ("finished", "已完成"),
    "run_unfinished": ("not finished", "未完成"),
    "part_prompt": ("prompt, not learned", "提示（不学习）"),
    "part_thought": ("thought", "思考"),
    "part_answer": ("answer", "回答"),
    "part_end": ("end token", "结束符"),
    "show_title": ("{source}: {tokens} tokens, {learned} learned", "{source}：{tokens} 个 token，学习 {learned} 个"),
    "table_head": (
        "{n} held-out questions, grader {grader}: before -> after   difference [95 % interval]",
        "{n} 道留出的问题，判分 {grader}：训练前 -> 训练后   差异 [95% 区间]",
    ),
    "key_right": ("right", "答对"),
    "key_wrong": ("wrong", "答错"),
    "key_no_answer": ("no answer", "没有作答"),
    "key_unscored": ("unscored", "未判分"),
    "key_closed": ("thought closed", "思考完整结束"),
    "key_looped": ("looped", "陷入重复"),
    "key_stopped": ("stopped by itself", "自行结束"),
    "key_thought_tokens_mean": ("thought tokens, mean", "思考 token 均值"),
    "key_answer_tokens_mean": ("answer tokens, mean", "回答 token 均值"),
    "key_seconds_mean": ("seconds to answer, mean", "作答秒数均值"),
    "key_tone_mean": ("likeness of tone", "语气相似度"),
    "key_held_out_loss": ("held-out loss", "留出损失"),
}
