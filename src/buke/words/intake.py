"""What the room `intake` says. Every kind of finding has a sentence and, under ``<kind>_hint``, how to mend it."""

TEXTS = {
    # files
    "no_paths": ("no data file was named", "没有指定数据文件"),
    "no_paths_hint": ("name a file: {buke} train records.jsonl", "请指定文件：{buke} train records.jsonl"),
    "missing_file": ("{path}: there is no such file", "{path}：没有这个文件"),
    "missing_file_hint": ("check the spelling and the folder you are in", "请检查拼写和当前所在的文件夹"),
    "nearest_file": ("did you mean {name}?", "是不是 {name}？"),
    "no_data_in_folder": ("{path}: no data file in this folder", "{path}：文件夹里没有数据文件"),
    "no_data_in_folder_hint": ("looked for {suffixes}; name the file itself", "只找 {suffixes}；请直接指定文件"),
    "unreadable": ("{path}: cannot be read: {why}", "{path}：读不了：{why}"),
    "unreadable_hint": (
        "check that you may open it and that no other program holds it",
        "请检查读取权限，以及是否被其他程序占用",
    ),
    "not_regular": ("{path}: this is no regular file", "{path}：不是普通文件"),
    "not_regular_hint": (
        "name a file or a folder; what a program writes is read from stdin, as -",
        "请指定文件或文件夹；其他程序的输出请用 - 从标准输入读取",
    ),
    "needs_library": (
        "this kind of file is read with {name}, which is not installed",
        "读这种文件要用 {name}，尚未安装",
    ),
    "needs_library_hint": ('pip install "buke[{extra}]"', '请运行：pip install "buke[{extra}]"'),
    "needs_file": ("{what} cannot be read from stdin", "无法从标准输入读取 {what}"),
    "needs_file_hint": ("save it, and name the file", "请先存盘，再指定文件"),
    "several_splits": ("{path}: several splits in one folder: {names}", "{path}：文件夹里有几个部分：{names}"),
    "several_splits_hint": ("name the one to learn from: {path}", "请指定要学习的那一个：{path}"),
    "bad_saved": (
        "{path}: the description of this saved dataset does not fit its files",
        "{path}：这个已保存数据集的说明与文件不符",
    ),
    "bad_saved_hint": (
        "save it again with flatten_indices() and save_to_disk(), or name its .arrow files",
        "请用 flatten_indices() 和 save_to_disk() 重新保存，或直接指定 .arrow 文件",
    ),
    "read_error": ("the file cannot be read on from here: {why}", "从这里起读不下去：{why}"),
    "read_error_hint": ("check the disk, or copy the file and try again", "请检查磁盘，或复制文件后重试"),
    "empty_file": ("the file is empty", "文件是空的"),
    "empty_file_hint": ("put one record on each line, as JSON", "每行写一条 JSON 记录"),
    "binary": ("this is {what}, not text", "这是 {what}，不是文本"),
    "binary_hint": ("export it as JSON Lines or as CSV in UTF-8", "请导出为 JSON Lines，或 UTF-8 编码的 CSV"),
    "what_other": ("a binary file", "二进制文件"),
    "bad_file": ("this {what} file is damaged or cut off", "这个 {what} 文件已损坏或不完整"),
    "bad_file_hint": ("fetch or export it again", "请重新下载或导出"),
    "bad_archive": ("the compressed file is damaged here", "压缩文件在此处已损坏"),
    "bad_archive_hint": ("fetch or compress it again", "请重新下载或压缩"),
    "cut_archive": ("the compressed file breaks off here", "压缩文件在此处中断"),
    "cut_archive_hint": ("fetch or compress it again", "请重新下载或压缩"),
    "bomb": (
        "the file unpacks to more than {ratio} times its size, which no text does",
        "文件解开后超过原来的 {ratio} 倍，正常文本不会这样",
    ),
    "bomb_hint": ("do not trust it; otherwise unpack it yourself first", "请勿轻信；若确实可靠，请先自行解压"),
    "too_large": (
        "only up to {most} MB of this format can be read, since it has to be in memory as a whole",
        "这种格式须整个放进内存，最多只能读 {most} MB",
    ),
    "too_large_hint": ("convert it to JSON Lines, which may be of any size", "请转换为 JSON Lines，大小不限"),
    "line_too_long": ("the line is longer than {most} MB", "这一行超过 {most} MB"),
    "line_too_long_hint": ("put one record on each line", "每行只写一条记录"),
    "encoding": ("the text is neither UTF-8 nor GB18030 nor Big5", "文字既不是 UTF-8，也不是 GB18030 或 Big5"),
    "encoding_hint": ("save the file as UTF-8", "请将文件另存为 UTF-8"),
    "damaged": (
        "column {column}: the text is damaged, no {encoding} stands here",
        "第 {column} 列：文字已损坏，这里不是 {encoding}",
    ),
    "damaged_hint": ("mend or delete this line, and save as UTF-8", "请修好或删去这一行，再存为 UTF-8"),
    "gb18030": ("the file is not UTF-8, so it was read as GB18030 (GBK)", "文件不是 UTF-8，已按 GB18030（GBK）读取"),
    "gb18030_hint": ("look at a few records, or save it as UTF-8", "请抽看几条记录，或另存为 UTF-8"),
    "big5": ("the file is not UTF-8, so it was read as Big5", "文件不是 UTF-8，已按 Big5 读取"),
    "big5_hint": ("look at a few records, or save it as UTF-8", "请抽看几条记录，或另存为 UTF-8"),
    "utf_16": ("the file has no byte order mark and was read as UTF-16", "文件没有 BOM，已按 UTF-16 读取"),
    "utf_16_hint": ("look at a few records, or save it as UTF-8", "请抽看几条记录，或另存为 UTF-8"),
    "no_format": (
        "neither JSON, nor JSON Lines, nor a table with commas or tabs",
        "既不是 JSON、JSON Lines，也不是逗号或制表符分隔的表格",
    ),
    "no_format_hint": (
        'write each record as one line: {{"question": …, "thought": …, "answer": …}}',
        '每条记录写一行：{{"question": …, "thought": …, "answer": …}}',
    ),
    # JSON
    "truncated": ("column {column}: the JSON breaks off", "第 {column} 列：JSON 没有写完"),
    "truncated_hint": (
        "a closing quote or bracket is missing; write this record again",
        "缺少收尾的引号或括号；请重新写出这条记录",
    ),
    "trailing_comma": ("column {column}: a comma with nothing after it", "第 {column} 列：多余的逗号"),
    "trailing_comma_hint": ("delete the comma", "删去这个逗号"),
    "single_quotes": ("column {column}: single quotes around text", "第 {column} 列：用了单引号"),
    "single_quotes_hint": (
        "JSON wants double quotes; in Python write it with json.dumps, not str",
        "JSON 只认双引号；在 Python 里请用 json.dumps 而不是 str 写出",
    ),
    "python_literal": ("column {column}: a word that is not JSON", "第 {column} 列：有 JSON 不认识的单词"),
    "python_literal_hint": ("write null, true or false", "请写 null、true 或 false"),
    "not_a_number": ("column {column}: NaN or Infinity is not JSON", "第 {column} 列：NaN 和 Infinity 不是 JSON"),
    "not_a_number_hint": ("write the value, or null where there is none", "请写出真实的值，没有就写 null"),
    "control": (
        "column {column}: a raw line break or tab inside a text",
        "第 {column} 列：文字中有未转义的换行或制表符",
    ),
    "control_hint": ("write \\n or \\t", "请写成 \\n 或 \\t"),
    "backslash": ("column {column}: a single backslash inside a text", "第 {column} 列：文字中有单个反斜杠"),
    "backslash_hint": ("write \\\\ (as in LaTeX formulas)", "请写成 \\\\（LaTeX 公式里常见）"),
    "full_width": ("column {column}: full-width punctuation between fields", "第 {column} 列：字段之间用了全角标点"),
    "full_width_hint": ('use the plain characters " , and :', '请用半角的 " , 和 :'),
    "nul": ("column {column}: a NUL character", "第 {column} 列：有 NUL 字符"),
    "nul_hint": (
        "delete it; the file may have been damaged while it was written",
        "请删去；文件可能在写入时损坏",
    ),
    "mark_inside": ("column {column}: a byte order mark between records", "第 {column} 列：记录之间有 BOM"),
    "mark_inside_hint": (
        "delete it; it comes from joining files end to end",
        "请删去；它来自首尾相接的文件",
    ),
    "bare_cr": (
        "column {column}: the lines end with a carriage return alone",
        "第 {column} 列：各行只用回车（CR）结尾",
    ),
    "bare_cr_hint": ("save the file with line ends LF or CRLF", "请改用 LF 或 CRLF 换行保存"),
    "too_many_parts": ("more than {most} values in one text", "一段 JSON 里有超过 {most} 个值"),
    "too_many_parts_hint": ("a record is a flat object with a few texts", "一条记录应是只有几个文字字段的扁平对象"),
    "extra": ("column {column}: more text after the record", "第 {column} 列：记录之后还有内容"),
    "extra_hint": (
        "put each record on a line of its own, or all of them between [ and ]",
        "每条记录单独一行，或全部放进 [ 和 ] 里",
    ),
    "quote_or_comma": (
        "column {column}: a comma is missing, or a quote inside a text is not escaped",
        "第 {column} 列：缺逗号，或文字里的双引号没有转义",
    ),
    "quote_or_comma_hint": ('write \\" for a quote inside a text', '文字里的双引号请写成 \\"'),
    "missing_comma": (
        "column {column}: no comma between this record and the one before",
        "第 {column} 列：这条记录与前一条之间缺逗号",
    ),
    "missing_comma_hint": ("write a comma between them; both were read", "请在中间补上逗号；两条都已读取"),
    "broken": ("column {column}: not valid JSON", "第 {column} 列：不是有效的 JSON"),
    "broken_hint": ("look at what stands before this column", "请检查这一列之前的内容"),
    "too_deep": ("the JSON is nested too deeply", "JSON 嵌套太深"),
    "too_deep_hint": ("a record is a flat object with a few texts", "一条记录应是只有几个文字字段的扁平对象"),
    "duplicate_key": ("the field {key!r} stands here twice", "字段 {key!r} 出现了两次"),
    "duplicate_key_hint": ("keep one of them", "只留一个"),
    "not_object": ("the record is not an object with fields", "这条记录不是带字段的对象"),
    "not_object_hint": (
        'write {{"question": …, "thought": …, "answer": …}}',
        '请写成 {{"question": …, "thought": …, "answer": …}}',
    ),
    "several_lists": ("several lists of records in one file: {keys}", "一个文件里有几组记录：{keys}"),
    "several_lists_hint": ("save the one you want in a file of its own", "请把要用的那一组单独存成文件"),
    # tables
    "bad_row": ("the quotes of this row do not close as they should", "这一行的引号没有正确配对"),
    "bad_row_hint": (
        'put quotes around the whole cell and write "" for a quote inside it',
        '用引号括住整个单元格，里面的引号写成 ""',
    ),
    "columns": ("{found} columns where the first row has {wanted}", "有 {found} 列，而首行有 {wanted} 列"),
    "columns_hint": ("put quotes around cells that hold the separator", "含分隔符的单元格请用引号括起来"),
    "too_many_columns": ("{found} columns; at most {most} can be read", "有 {found} 列，最多只能读 {most} 列"),
    "too_many_columns_hint": (
        "keep the columns with question, thought and answer",
        "请只保留问题、思考和回答这几列",
    ),
    "several_sheets": ("several sheets hold something: {names}", "几张工作表都有内容：{names}"),
    "several_sheets_hint": ("save the one you want in a file of its own", "请把要用的那张单独存成文件"),
    "other_sheets": (
        "read was the sheet {name}, whose headings are known; left out: {left}",
        "读取了工作表 {name}，它的表头认得出；未读：{left}",
    ),
    "other_sheets_hint": (
        "nothing to do, unless records stand on the others: save those in a file of their own",
        "如果其他工作表没有记录，无需处理；有则请单独存成文件",
    ),
    "above_header": (
        "the headings were found in row {row}; left out above them: {shown}",
        "表头在第 {row} 行；上面的内容未读：{shown}",
    ),
    "above_header_hint": ("nothing to do, unless this is a record", "如果那不是记录，无需处理"),
    "header_below": (
        "the first row is a title; the headings seem to be in row {row}",
        "第一行是标题；表头好像在第 {row} 行",
    ),
    "header_below_hint": (
        "delete the rows above the headings; other names than question, thought and answer are given with --map",
        "请删去表头上面的行；列名不是问题、思考、回答时，请用 --map 指定",
    ),
    "columns_sheet": (
        "{found} cells are filled where there are {wanted} headings",
        "有 {found} 个单元格，而表头只有 {wanted} 个",
    ),
    "columns_sheet_hint": ("give the other columns a heading, or empty them", "请给多出的列加上表头，或清空它们"),
    "cell_error": ("the {role}{where} is {type}, the error of a formula", "{role}{where}是公式错误 {type}"),
    "cell_error_hint": ("write the text into the cell, or delete the row", "请在单元格里写上文字，或删去这一行"),
    "cell_formula": (
        "the {role}{where} is a formula whose result was not saved: {type}",
        "{role}{where}是没有保存结果的公式：{type}",
    ),
    "cell_formula_hint": (
        "open the file in Excel, let it calculate, and save it; or paste the values in the place of the formulas",
        "请在 Excel 里打开、计算后保存；或把公式粘贴成值",
    ),
    "cell_boolean": ("the {role}{where} is the value {type}, not text", "{role}{where}是逻辑值 {type}，不是文字"),
    "cell_boolean_hint": (
        "type an apostrophe before it, so that the cell holds text: '{type}",
        "请在前面加一个撇号，使单元格成为文字：'{type}",
    ),
    "no_header": (
        "no header line: column {question} was taken as the question, {thought} as the thought, {answer} as the answer",
        "没有表头：第 {question} 列当作问题，第 {thought} 列当作思考，第 {answer} 列当作回答",
    ),
    "no_header_hint": (
        "look at a record; if that is wrong, give all three, as in "
        "--map question={question} thought={thought} answer={answer}",
        "请看一条记录；如果不对，请三个都指定，例如 --map question={question} thought={thought} answer={answer}",
    ),
    "columns_unclear": (
        "no header line, and it is not clear which column is the question, the thought and the answer: {sample}",
        "没有表头，也看不出哪一列是问题、思考和回答：{sample}",
    ),
    "columns_unclear_hint": (
        "say it by number, for example --map question=1 thought=2 answer=3, or add a header line",
        "请用列号指定，例如 --map question=1 thought=2 answer=3，或加上表头",
    ),
    # fields
    "unknown_shape": (
        "cannot tell question, thought and answer among the fields {names}",
        "从字段 {names} 里认不出问题、思考和回答",
    ),
    "unknown_shape_hint": (
        "say where they are, for example {suggestion}",
        "请说明它们在哪里，例如 {suggestion}",
    ),
    "preference_pair": (
        "a preference pair, and buke learns from one answer",
        "这是偏好对（chosen 与 rejected），而 buke 只从一个回答学习",
    ),
    "preference_pair_hint": (
        "to learn the chosen one: --map question={question} answer={answer}",
        "要学习选中的那个，请用 --map question={question} answer={answer}",
    ),
    "unknown_field": (
        "{path}: no field called {name!r}; the fields are {names}",
        "{path}：没有名为 {name!r} 的字段；现有字段：{names}",
    ),
    "nearest_field": ("did you mean {name!r}?", "是不是 {name!r}？"),
    "unknown_field_hint": ("field names have to match letter by letter", "字段名要逐字一致"),
    "ambiguous": (
        "several fields could be the {role}: {names}; the first was taken",
        "有几个字段都可能是{role}：{names}；取了第一个",
    ),
    "ambiguous_hint": ("if that is wrong, say --map {role_name}=NAME", "如果不对，请用 --map {role_name}=字段名 指定"),
    "missing_field": ("there is no {role}{where}", "没有{role}{where}"),
    "missing_field_hint": ("add the field, or delete the record", "请补上这个字段，或删去这条记录"),
    "null_field": ("the {role}{where} is null", "{role}{where}是 null"),
    "null_field_hint": ("fill it in, or delete the record", "请补上内容，或删去这条记录"),
    "empty_field": ("the {role}{where} is empty", "{role}{where}是空的"),
    "empty_field_hint": ("fill it in, or delete the record", "请补上内容，或删去这条记录"),
    "wrong_type": ("the {role}{where} is {type}, not text", "{role}{where}是{type}，不是文字"),
    "wrong_type_hint": ("put it in double quotes as text", "请写成双引号括起来的文字"),
    "number_as_text": (
        "the {role} is a number, {shown}, and is learned as that text",
        "{role}是数字 {shown}，按这样的文字学习",
    ),
    "number_as_text_hint": (
        "if zeros at the end count, as in 8.50, put it in double quotes",
        "如果末尾的 0 有意义（如 8.50），请用双引号括起来",
    ),
    "surrogate": (
        "the {role}{where} holds half of a character (a lone surrogate)",
        "{role}{where}里有半个字符（孤立的代理项）",
    ),
    "surrogate_hint": ("delete the \\ud… escape that has no partner", "请删去没有配对的 \\ud… 转义"),
    "no_thought": ("there is no thought{where}", "没有思考过程{where}"),
    "no_thought_hint": (
        "add one, name the field with --thought-field, or decide: --without-thought empty (or mix)",
        "请补上，或用 --thought-field 指定字段，或作出决定：--without-thought empty（或 mix）",
    ),
    "perhaps_in": (
        "perhaps it is in one of the fields not used ({names}): {suggestion}; if not, {hint}",
        "也许在没有用到的字段里（{names}）：{suggestion}；如果不是，{hint}",
    ),
    "thought_inside": (
        "a thought seems to stand inside the answer, in {tag}",
        "回答里似乎夹着思考，在 {tag} 里",
    ),
    "thought_inside_hint": (
        "write <think> and </think> around it, or give it a field of its own",
        "请改用 <think> 和 </think> 括住，或单独放进一个字段",
    ),
    "think_tag": ("a {tag} stands inside the {role}{where}", "{role}{where}里有 {tag}"),
    "think_tag_hint": (
        "the tags are added by buke; delete it, or put the thought between one <think> and one </think>",
        "标签由 buke 添加；请删去它，或用一对 <think> 和 </think> 括住思考",
    ),
    # dialogues
    "tool_use": (
        "a dialogue with tool calls, which buke does not train; left out whole",
        "带工具调用的对话，buke 不训练这种对话，已整条跳过",
    ),
    "tool_use_hint": (
        "delete it, or write what the tool returned into the question",
        "请删去它，或把工具返回的内容写进问题里",
    ),
    "bad_turns": (
        "the turns are not user and assistant one after the other: {roles}",
        "各轮不是 user 与 assistant 依次交替：{roles}",
    ),
    "bad_turns_hint": (
        "a dialogue is: optional system, then user, assistant, user, assistant, …, ending with assistant",
        "对话应为：可选的 system，然后 user、assistant 交替，以 assistant 结尾",
    ),
    "bad_history": (
        "the history is not a list of pairs [question, answer]",
        "history 不是由 [问题, 回答] 组成的列表",
    ),
    "bad_history_hint": (
        'write "history": [["question", "answer"], …], or name the fields with --map and delete it',
        '请写成 "history": [["问题", "回答"], …]，或删去它',
    ),
    "too_many_turns": (
        "a dialogue of {turns} exchanges; the most is {most}",
        "对话有 {turns} 轮问答，上限为 {most} 轮",
    ),
    "too_many_turns_hint": ("divide it into several dialogues", "请分成几段对话"),
    "bad_content": ("a turn holds something other than text", "对话里有文字以外的内容"),
    "bad_content_hint": ("images and other media cannot be learned here", "这里学不了图片等其他媒体"),
    "tools_ignored": ("the list of tools is not part of the prompt and was left out", "工具列表不属于提示，已略去"),
    "tools_ignored_hint": (
        "write into the system message what the model has to know",
        "模型需要知道的请写进 system 消息",
    ),
    # multiple choice
    "bad_options": (
        "the options are not two or more texts, each with its own letter",
        "选项不是两个以上、各有字母的文字",
    ),
    "bad_options_hint": (
        'write "options": ["…", "…"]; if the field is something else, say --map question=… answer=…',
        '请写成 "options": ["…", "…"]；如果这个字段另有含义，请用 --map question=… answer=… 指定',
    ),
    "bad_choice": (
        "the answer {answer!r} does not name one of the options {options} without doubt",
        "无法确定答案 {answer!r} 指的是选项 {options} 中的哪一个",
    ),
    "bad_choice_hint": (
        "write the letter of the option (numbers count from 0)",
        "请写选项的字母（数字从 0 算起）",
    ),
    # among records
    "duplicate": ("the same record as {first}; left out", "与 {first} 完全相同，已跳过"),
    "duplicate_hint": ("delete one of them", "删去其中一条"),
    "other_answer": ("the question of {first} with another answer", "与 {first} 问题相同而回答不同"),
    "other_answer_hint": ("check which one is right; both are kept", "请核对哪个正确；两条都保留"),
    "near_duplicate": ("nearly the question of {first}", "与 {first} 的问题几乎相同"),
    "near_duplicate_hint": (
        "keep one of them, unless both are meant; both are learned",
        "若非有意，请只留一条；目前两条都会学习",
    ),
    "leak": (
        "the question of the held-out {first}, or nearly; not learned, so that the comparison stays honest",
        "与留出的 {first} 问题相同或几乎相同；不会拿来学习，以保证对比可信",
    ),
    "leak_hint": ("nothing to do; delete one of them to keep the other", "无需处理；若想学习它，请删去另一条"),
    # a mended copy
    "fix_exists": ("{path}: exists already", "{path}：已经存在"),
    "fix_exists_hint": ("name another file; nothing is overwritten", "请换一个文件名；不会覆盖已有文件"),
    "fix_no_folder": ("{path}: there is no such folder", "{path}：没有这个文件夹"),
    "fix_no_folder_hint": ("name a file in a folder you may write to", "请指定可写文件夹里的文件"),
    "fix_unwritable": ("{path}: cannot be written: {why}", "{path}：写不了：{why}"),
    # in the texts of a record
    "control_character": ("control characters in the {role}: {shown}", "{role}里有控制字符：{shown}"),
    "control_character_hint": ("delete them; they are invisible and mean nothing", "请删去；它们看不见，也没有意义"),
    "invisible_character": ("invisible characters in the {role}: {shown}", "{role}里有看不见的字符：{shown}"),
    "invisible_character_hint": (
        "delete them; the model would learn to write them",
        "请删去，否则模型会学着写出它们",
    ),
    "replacement_character": (
        "characters were lost in the {role} when the file was made: {shown}",
        "{role}里有字符在生成文件时已经丢失：{shown}",
    ),
    "replacement_character_hint": (
        "make the file again from its source, read in the right encoding",
        "请用正确的编码从源文件重新生成",
    ),
    "line_ends": ("the lines of the {role} end as on Windows: {shown}", "{role}里是 Windows 换行：{shown}"),
    "line_ends_hint": ("write \\n alone, or the model learns to write \\r", "请只用 \\n，否则模型会学着写 \\r"),
    "mojibake": ("the {role} was read in the wrong encoding: {shown}", "{role}有乱码（编码读错了）：{shown}"),
    "mojibake_hint": (
        "make the file again from its source, read as UTF-8",
        "请以 UTF-8 读取源文件，重新生成",
    ),
    "html": ("HTML is left over in the {role}: {shown}", "{role}里残留了 HTML：{shown}"),
    "html_hint": ("replace tags and entities by plain text", "请把标签和实体换成纯文字"),
    "cut": ("the {role} breaks off: {shown}", "{role}没有写完：{shown}"),
    "cut_hint": (
        "finish it, or delete the record; the model would learn to stop there",
        "请补全，或删去这条记录；否则模型会学着停在那里",
    ),
    "stray_tag": ("a tag is left over in the {role}: {shown}", "{role}里残留了标签：{shown}"),
    "stray_tag_hint": (
        "delete it; buke marks where a thought begins and ends by itself",
        "请删去；思考的起止由 buke 自己标记",
    ),
    "thought_leak": (
        "the thought speaks of an answer it was shown: {shown}",
        "思考里提到了事先给出的答案：{shown}",
    ),
    "thought_leak_hint": (
        "write it anew; in use there is no answer to look at",
        "请重写；实际使用时没有现成的答案可看",
    ),
    "not_concluded": (
        "the answer {shown} is nowhere at the end of the thought",
        "思考的结尾没有得出答案 {shown}",
    ),
    "not_concluded_hint": (
        "check that thought and answer belong together",
        "请核对思考和回答是否对应",
    ),
    "language_mix": (
        "question and thought are in different languages: {question}% and {thought}% Chinese",
        "问题和思考的语言不同：中文分别占 {question}% 和 {thought}%",
    ),
    "language_mix_hint": (
        "translate one, unless the model shall think in another language",
        "请翻译其中一个，除非就是要模型换一种语言思考",
    ),
    "identity_number": ("an identity number in the {role}: {shown}", "{role}里有身份证号：{shown}"),
    "identity_number_hint": (
        "a model can repeat what it learned; replace it by an invented one",
        "模型可能会复述学过的内容；请换成虚构的号码",
    ),
    "phone": ("a telephone number in the {role}: {shown}", "{role}里有电话号码：{shown}"),
    "phone_hint": (
        "delete it where it belongs to a person; a model can repeat it",
        "如果是个人的，请删去；模型可能会复述",
    ),
    "email": ("an e-mail address in the {role}: {shown}", "{role}里有电子邮箱：{shown}"),
    "email_hint": (
        "delete it where it belongs to a person; a model can repeat it",
        "如果是个人的，请删去；模型可能会复述",
    ),
    "bank_card": ("a bank card number in the {role}: {shown}", "{role}里有银行卡号：{shown}"),
    "bank_card_hint": (
        "delete it; a model can repeat what it learned",
        "请删去；模型可能会复述学过的内容",
    ),
    "secret": ("an access key in the {role}: {shown}", "{role}里有访问密钥：{shown}"),
    "secret_hint": (
        "delete it, and revoke the key: it may have been seen already",
        "请删去，并作废这个密钥：它可能已经泄露",
    ),
    "prompt_injection": ("orders to a model in the {role}: {shown}", "{role}里有对模型的指令：{shown}"),
    "prompt_injection_hint": (
        "delete the record, unless it teaches to refuse such orders",
        "请删去这条记录，除非它就是教模型拒绝这类指令",
    ),
    # mends, by the kind of the finding
    "mended_line_ends": ("line ends written as \\n (texts: {texts})", "换行统一为 \\n（{texts} 处文字）"),
    "mended_mojibake": ("read again as UTF-8 (texts: {texts})", "按 UTF-8 重新解读（{texts} 处文字）"),
    "mended_control_character": ("control characters deleted (texts: {texts})", "已删去控制字符（{texts} 处文字）"),
    "mended_invisible_character": (
        "invisible characters deleted (texts: {texts})",
        "已删去看不见的字符（{texts} 处文字）",
    ),
    "mended_html": ("HTML written as plain text (texts: {texts})", "HTML 已换成纯文字（{texts} 处文字）"),
    "mended_stray_tag": ("the tags around the text deleted (texts: {texts})", "已删去包住全文的标签（{texts} 处文字）"),
    # refusals
    "mixed": (
        "{without} of {all} records have no thought, and the others have",
        "{all} 条记录中有 {without} 条没有思考过程，其余都有",
    ),
    "mixed_hint": (
        "--without-thought mix trains both kinds side by side; refuse leaves those without a thought out",
        "--without-thought mix 两种一起训练；refuse 则略去没有思考的记录",
    ),
    "all_without_thought": (
        "none of the {read} records has a thought, and buke trains thoughts",
        "{read} 条记录都没有思考过程，而 buke 训练的正是思考",
    ),
    "all_without_thought_hint": (
        "name the field with --thought-field, or train with empty thoughts: --without-thought empty",
        "请用 --thought-field 指定字段，或以空思考训练：--without-thought empty",
    ),
    "nothing": (
        "there is nothing to learn from: none of the {read} records is good",
        "没有可学习的内容：{read} 条记录都不可用",
    ),
    "nothing_hint": ("mend what is listed and try again", "请按所列修改后重试"),
    "more": ("and {n} more", "另有 {n} 处"),
    # words
    "of_turn": (" of turn {turn}", "（第 {turn} 轮）"),
    "question": ("question", "问题"),
    "thought": ("thought", "思考"),
    "answer": ("answer", "回答"),
    "system": ("system message", "系统消息"),
    "type_number": ("a number", "数字"),
    "type_list": ("a list", "列表"),
    "type_object": ("an object", "对象"),
    "type_boolean": ("true or false", "布尔值"),
    "type_null": ("null", "null"),
    "type_other": ("of a type without text", "没有文字的类型"),
}
