"""What the room `intake` says. Every kind of finding has a sentence and, under ``<kind>_hint``, how to mend it."""

TEXTS = {
    # files
    "no_paths": ("no data file was named", "没有指定数据文件"),
    "no_paths_hint": ("name a file: {buke} train records.jsonl", "请指定文件：{buke} train records.jsonl"),
    "missing_file": ("{path}: there is no such file or folder", "{path}：没有这个文件或文件夹"),
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
    "several_splits_both": (
        "{hint}; to score on another: {path} --held-out-file {other}",
        "{hint}；若用另一个评分：{path} --held-out-file {other}",
    ),
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
    "bad_rows": (
        "the quotes of this row do not close as they should; lines {first} to {last} were left out",
        "这一行的引号没有正确配对；第 {first} 到 {last} 行已跳过",
    ),
    "bad_rows_hint": (
        'close the quote that is opened in line {first}, and write "" for a quote inside a cell',
        '请把第 {first} 行的引号补全；单元格里面的引号写成 ""',
    ),
    "unread_rows": (
        "lines {first} to {last} were left out: the line before them was too long to be read, and may end inside quotes",
        "第 {first} 到 {last} 行已跳过：之前那一行太长，读不了，它的引号可能没有闭合",
    ),
    "unread_rows_hint": ("delete or divide that line", "请删去或拆分那一行"),
    "header_guessed": (
        "the first line was taken for the names of the columns: {names}",
        "首行被当作表头：{names}",
    ),
    "header_guessed_hint": (
        "if it is a record, add a header line, or give column numbers: --question-field 1 …",
        "如果它是一条记录，请加表头，或用列号指定：--question-field 1 …",
    ),
    "header_denied": (
        "the first line was taken for a record, for numbers of columns were given: {names}",
        "因为指定了列号，首行被当作一条记录：{names}",
    ),
    "header_denied_hint": (
        "if it is a header line, give its names in place of numbers",
        "如果它是表头，请用其中的名字代替列号",
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
    "second_thought": (
        "turn {turn} has several thoughts, which differ: {names}; the first was taken",
        "第 {turn} 轮有几个不同的思考：{names}；取了第一个",
    ),
    "second_thought_hint": ("leave only the right one in each turn", "每轮请只留正确的那一个"),
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
        "write the letter of the option (numbers count from {first})",
        "请写选项的字母（数字从 {first} 算起）",
    ),
    "from_one": (
        "{source}: the answer is the number of options, and no answer in the file is 0: they seem to count from 1, so "
        "that each of them, counted from 0, would be the option after the right one",
        "{source}：答案等于选项个数，而整个文件没有答案是 0：看来序号从 1 算起，若从 0 算，每个答案都会错成后一个选项",
    ),
    "from_one_hint": (
        "say --choices-from 1 (or 0, where {source} alone is wrong), or write the letters of the options",
        "请用 --choices-from 1（若只是 {source} 有误，则用 0），或写选项的字母",
    ),
    "never_zero": (
        "none of the {count} answers is 0; they were taken as numbers of options counted from 0",
        "{count} 个答案中没有 0；它们被当作从 0 算起的选项序号",
    ),
    "never_zero_hint": (
        "look at a few records; if the numbers count from 1, say --choices-from 1",
        "请抽看几条；如果数字从 1 算起，请用 --choices-from 1",
    ),
    # among records
    "duplicate": ("the same record as {first}; left out", "与 {first} 完全相同，已跳过"),
    "duplicate_hint": ("nothing to do; the other one is kept", "无需处理；另一条已保留"),
    "other_answer": ("the question of {first} with another answer", "与 {first} 问题相同而回答不同"),
    "other_answer_hint": ("check which one is right", "请核对哪个正确"),
    "near_duplicate": ("nearly the question of {first}", "与 {first} 的问题几乎相同"),
    "near_duplicate_hint": ("keep one of them, unless both are meant", "若非有意，请只留一条"),
    "too_alike": (
        "nearly all of the question stands in many others too, so that it could be compared only to the letter",
        "这个问题的大部分文字在许多问题里都有，所以只比较了是否完全相同",
    ),
    "too_alike_hint": (
        "look yourself for questions that mean the same, above all between what is learned and what is held out",
        "请自行查看有没有意思相同的问题，尤其是学习部分与留出部分之间",
    ),
    "leak": (
        "the question of the held-out {first}, or nearly; not learned, so that the comparison stays honest",
        "与留出的 {first} 问题相同或几乎相同；不会拿来学习，以保证对比可信",
    ),
    "leak_hint": ("nothing to do; delete one of them to keep the other", "无需处理；若想学习它，请删去另一条"),
    # a mended copy
    "fix_exists": ("{path}: exists already", "{path}：已经存在"),
    "fix_exists_hint": ("name another file; nothing is overwritten", "请换一个文件名；不会覆盖已有文件"),
    "fix_inside": (
        "{path}: lies inside {folder}, which was given as data, and would be read as data the next time",
        "{path}：在作为数据给出的 {folder} 里，下次会被当作数据读入",
    ),
    "fix_inside_hint": ("name a file outside of that folder", "请指定该文件夹之外的文件"),
    "rewritten": ("read as {shape} and written as {into}", "读作 {shape}，写作 {into}"),
    "rewritten_calculator": (
        "the calculator's notes <<…>> inside the thoughts left out",
        "略去思考中的计算器标注 <<…>>",
    ),
    "field_left_out": ("the field {name!r} left out of the copy", "副本略去字段 {name!r}"),
    "fix_no_folder": ("{path}: there is no such folder", "{path}：没有这个文件夹"),
    "fix_no_folder_hint": ("name a file in a folder you may write to", "请指定可写文件夹里的文件"),
    "fix_unwritable": ("{path}: cannot be written: {why}", "{path}：写不了：{why}"),
    # in the texts of a record
    "latex_escape": (
        "control characters in the {role}, which may be LaTeX after a single backslash: {shown}",
        "{role}里有控制字符，可能是 LaTeX 命令前只写了一个反斜杠：{shown}",
    ),
    "latex_escape_hint": (
        "write two backslashes in JSON: \\\\frac; --fix restores the usual commands",
        "JSON 里请写两个反斜杠：\\\\frac；--fix 可还原常用命令",
    ),
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
    "picture": ("a picture stood in place of text in the {role}: {shown}", "{role}里有图片占了文字的位置：{shown}"),
    "picture_hint": (
        "write out what it shows, or delete the record; the model sees no pictures",
        "请用文字写出图中内容，或删去这条记录；模型看不到图片",
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
    "answer_language": (
        "question and answer are in different languages: {question}% and {answer}% Chinese",
        "问题和回答的语言不同：中文分别占 {question}% 和 {answer}%",
    ),
    "answer_language_hint": (
        "translate one, unless the model shall answer in another language",
        "请翻译其中一个，除非就是要模型换一种语言回答",
    ),
    "identity_number": ("an identity number in the {role}: {shown}", "{role}里有身份证件号码：{shown}"),
    "identity_number_hint": (
        "a model can repeat what it learned; replace it by an invented one",
        "模型可能会复述学过的内容；请换成虚构的号码",
    ),
    "record_number": (
        "the number of a patient's record in the {role}: {shown}",
        "{role}里有病历号一类的号码：{shown}",
    ),
    "record_number_hint": (
        "delete it, or replace it by an invented one; it leads to a person",
        "请删去，或换成虚构的号码；凭它可以找到患者本人",
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
    "ip_address": ("an address on the Internet in the {role}: {shown}", "{role}里有 IP 地址：{shown}"),
    "ip_address_hint": (
        "delete it where it belongs to a person or a machine of yours",
        "如果属于个人或自家机器，请删去",
    ),
    "password": ("a password in the {role}: {shown}", "{role}里有密码：{shown}"),
    "password_hint": (
        "delete it, and change it where it is in use: it may have been seen already",
        "请删去；如果还在使用，请改掉：它可能已经泄露",
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
    # the same for several places that differ; what each is like stands beside it
    "many_above_header": ("the headings stand below other rows, which were left out", "表头上面还有别的行，已跳过"),
    "many_cell_boolean": ("a cell holds a truth value, not text", "单元格里是逻辑值，不是文字"),
    "many_cell_error": ("a cell holds the error of a formula", "单元格里是公式错误"),
    "many_cell_formula": (
        "a cell holds a formula whose result was not saved",
        "单元格里是没有保存结果的公式",
    ),
    "many_columns_sheet": ("more cells are filled than there are headings", "填写的单元格比表头多"),
    "many_columns_unclear": (
        "no header line, and it is not clear which column is the question, the thought and the answer",
        "没有表头，也看不出哪一列是问题、思考和回答",
    ),
    "many_header_below": (
        "the first row is a title, and the headings seem to be below it",
        "第一行是标题，表头好像在下面",
    ),
    "many_missing_comma": ("no comma between a record and the one before", "记录与前一条之间缺逗号"),
    "many_no_header": (
        "no header line: which column is what was told by what they hold",
        "没有表头：按内容判断了各列是什么",
    ),
    "many_number_as_text": (
        "a question or an answer is a number, and is learned as that text",
        "问题或回答是数字，按这样的文字学习",
    ),
    "many_other_sheets": (
        "the sheet whose headings are known was read, the others left out",
        "只读取了表头认得出的工作表，其余未读",
    ),
    "many_thought_inside": ("a thought seems to stand inside the answer", "回答里似乎夹着思考"),
    "many_bad_rows": ("quotes that do not close swallowed rows", "没有配对的引号吞掉了后面的行"),
    "many_unread_rows": (
        "rows after a line that was too long to be read were left out",
        "太长读不了的一行之后，有些行已跳过",
    ),
    "many_header_guessed": ("the first line was taken for the names of the columns", "首行被当作表头"),
    "many_header_denied": (
        "the first line was taken for a record, for numbers of columns were given",
        "因为指定了列号，首行被当作一条记录",
    ),
    "many_second_thought": (
        "turns with several thoughts, which differ; the first was taken",
        "有的轮次里有几个不同的思考；取了第一个",
    ),
    "many_never_zero": (
        "no answer of a file is 0; they were taken as numbers of options counted from 0",
        "文件里没有答案是 0；它们被当作从 0 算起的选项序号",
    ),
    "many_latex_escape": (
        "control characters, which may be LaTeX after a single backslash",
        "控制字符，可能是 LaTeX 命令前只写了一个反斜杠",
    ),
    "many_read_error": ("files that cannot be read to their end", "文件没能读到结尾"),
    "many_binary": ("a binary file, not text", "是二进制文件，不是文本"),
    "many_bad_file": ("the file is damaged or cut off", "文件已损坏或不完整"),
    "many_bomb": (
        "the file unpacks to very many times its size, which no text does",
        "文件解开后大得离谱，正常文本不会这样",
    ),
    "many_too_large": (
        "too large for its format, which has to be in memory as a whole",
        "对这种须整个放进内存的格式来说，文件太大",
    ),
    "many_damaged": ("the text is damaged", "文字已损坏"),
    "many_truncated": ("the JSON breaks off", "JSON 没有写完"),
    "many_trailing_comma": ("a comma with nothing after it", "多余的逗号"),
    "many_single_quotes": ("single quotes around text", "用了单引号"),
    "many_python_literal": ("a word that is not JSON", "有 JSON 不认识的单词"),
    "many_not_a_number": ("NaN or Infinity is not JSON", "NaN 和 Infinity 不是 JSON"),
    "many_control": ("a raw line break or tab inside a text", "文字中有未转义的换行或制表符"),
    "many_backslash": ("a single backslash inside a text", "文字中有单个反斜杠"),
    "many_full_width": ("full-width punctuation between fields", "字段之间用了全角标点"),
    "many_nul": ("a NUL character", "有 NUL 字符"),
    "many_mark_inside": ("a byte order mark between records", "记录之间有 BOM"),
    "many_bare_cr": ("the lines end with a carriage return alone", "各行只用回车（CR）结尾"),
    "many_extra": ("more text after the record", "记录之后还有内容"),
    "many_quote_or_comma": (
        "a comma is missing, or a quote inside a text is not escaped",
        "缺逗号，或文字里的双引号没有转义",
    ),
    "many_broken": ("not valid JSON", "不是有效的 JSON"),
    "many_duplicate_key": ("a field stands there twice", "有字段出现了两次"),
    "many_several_lists": ("several lists of records in one file", "一个文件里有几组记录"),
    "many_columns": ("another number of columns than in the first row", "列数与首行不同"),
    "many_too_many_columns": ("more columns than can be read", "列数超出可读范围"),
    "many_several_sheets": ("several sheets hold something", "几张工作表都有内容"),
    "many_unknown_shape": (
        "cannot tell question, thought and answer among the fields",
        "从字段里认不出问题、思考和回答",
    ),
    "many_ambiguous": (
        "several fields could have the same part; the first was taken",
        "有几个字段都可能是同一部分；取了第一个",
    ),
    "many_missing_field": ("a part of the record is not there", "缺少记录的某一部分"),
    "many_null_field": ("a part of the record is null", "记录的某一部分是 null"),
    "many_empty_field": ("a part of the record is empty", "记录的某一部分是空的"),
    "many_wrong_type": ("a part of the record is not text", "记录的某一部分不是文字"),
    "many_surrogate": (
        "half of a character (a lone surrogate) in the record",
        "记录里有半个字符（孤立的代理项）",
    ),
    "many_no_thought": ("there is no thought", "没有思考过程"),
    "many_think_tag": ("a tag of thoughts stands inside a text", "文字里混有思考标签"),
    "many_bad_turns": (
        "the turns are not user and assistant one after the other",
        "各轮不是 user 与 assistant 依次交替",
    ),
    "many_too_many_turns": ("a dialogue of too many exchanges", "对话的轮数太多"),
    "many_bad_choice": (
        "the answer does not name one of the options without doubt",
        "无法确定答案指的是哪一个选项",
    ),
    "many_duplicate": ("the same record as an earlier one; left out", "与前面的某条完全相同，已跳过"),
    "many_other_answer": ("the question of an earlier record with another answer", "与前面的某条问题相同而回答不同"),
    "many_near_duplicate": ("nearly the question of an earlier record", "与前面某条的问题几乎相同"),
    "many_leak": (
        "the question of a held-out record, or nearly; not learned, so that the comparison stays honest",
        "与某条留出的记录问题相同或几乎相同；不会拿来学习，以保证对比可信",
    ),
    "many_control_character": ("control characters", "有控制字符"),
    "many_invisible_character": ("invisible characters", "有看不见的字符"),
    "many_replacement_character": (
        "characters were lost when the file was made",
        "有字符在生成文件时已经丢失",
    ),
    "many_line_ends": ("the lines end as on Windows", "是 Windows 换行"),
    "many_mojibake": ("read in the wrong encoding", "有乱码（编码读错了）"),
    "many_html": ("HTML is left over", "残留了 HTML"),
    "many_cut": ("a text breaks off", "有文字没有写完"),
    "many_stray_tag": ("a tag is left over", "残留了标签"),
    "many_picture": ("a picture stood in place of text", "有图片占了文字的位置"),
    "many_thought_leak": ("the thought speaks of an answer it was shown", "思考里提到了事先给出的答案"),
    "many_not_concluded": ("the answer is nowhere at the end of the thought", "思考的结尾没有得出答案"),
    "many_language_mix": ("question and thought are in different languages", "问题和思考的语言不同"),
    "many_answer_language": ("question and answer are in different languages", "问题和回答的语言不同"),
    "many_identity_number": ("an identity number", "有身份证件号码"),
    "many_record_number": ("the number of a patient's record", "有病历号一类的号码"),
    "many_phone": ("a telephone number", "有电话号码"),
    "many_email": ("an e-mail address", "有电子邮箱"),
    "many_bank_card": ("a bank card number", "有银行卡号"),
    "many_ip_address": ("an address on the Internet", "有 IP 地址"),
    "many_password": ("a password", "有密码"),
    "many_secret": ("an access key", "有访问密钥"),
    "many_prompt_injection": ("orders to a model", "有对模型的指令"),
    # mends, by the kind of the finding
    "mended_latex_escape": (
        "the backslash of LaTeX commands restored (texts: {texts})",
        "已还原 LaTeX 命令的反斜杠（{texts} 处文字）",
    ),
    "mended_line_ends": ("line ends written as \\n (texts: {texts})", "换行统一为 \\n（{texts} 处文字）"),
    "mended_mojibake": ("read again as UTF-8 (texts: {texts})", "按 UTF-8 重新解读（{texts} 处文字）"),
    "mended_control_character": (
        "control characters deleted, or written as \\n where they end a page (texts: {texts})",
        "已删去控制字符，分页符改为 \\n（{texts} 处文字）",
    ),
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
