"""What the room `prompt` says."""

TEXTS = {
    "round_trip": (
        "{folder}: the tokenizer does not give back what it is given: {text!r} became {back!r} (tokenizers {version})",
        "{folder}：分词器不能还原输入：{text!r} 变成了 {back!r}（tokenizers {version}）",
    ),
    "golden": (
        "{folder}: the tokenizer gives wrong ids: {text!r} became {found}, not {ids} (tokenizers {version})",
        "{folder}：分词器给出的编号不对：{text!r} 变成了 {found}，应为 {ids}（tokenizers {version}）",
    ),
    "reachable": (
        "{folder}: the tokenizer makes the control token {text!r} of these letters wherever a record has them, so that "
        "a record could end or open a turn",
        "{folder}：记录里只要出现 {text!r} 这些字符，分词器就会把它当成控制符，记录便能结束或开启一轮对话",
    ),
    "reachable_hint": (
        "choose another base model; this one cannot be taught safely",
        "请换一个基座模型；用这一个训练不安全",
    ),
    "misread_hint": (
        "fetch tokenizer.json again, or install another version of the tokenizers library than {version}",
        "请重新下载 tokenizer.json，或换一个版本的 tokenizers 库（现为 {version}）",
    ),
    "file": ("{path}: cannot be read: {why}", "{path}：读不了：{why}"),
    "file_object": ("{path}: this is not a JSON object", "{path}：不是 JSON 对象"),
    "file_hint": ("fetch this file of the model again", "请重新下载模型的这个文件"),
    "no_tokenizer": ("{path}: this is not a tokenizer: {why}", "{path}：不是分词器文件：{why}"),
    "bad_eos": (
        "{path}: eos_token_id is {value!r}, which is neither a token id nor a list of them",
        "{path}：eos_token_id 是 {value!r}，应为一个 token 编号或编号的列表",
    ),
    "no_eos": (
        "{path}: the tokenizer has no end token, which the tutorial's recipe needs (eos_token is {eos!r})",
        "{path}：分词器没有结束符，而教程的做法需要它（eos_token 为 {eos!r}）",
    ),
    "no_eos_hint": (
        "put eos_token into tokenizer_config.json, or train without --recipe tutorial",
        "请在 tokenizer_config.json 里写明 eos_token，或不用 --recipe tutorial",
    ),
    "template": ("the chat template cannot be rendered: {why}", "对话模板无法渲染：{why}"),
    "template_drops": (
        "the chat template does not write system message, earlier turns, question and reply once each and in order",
        "对话模板没有把系统消息、之前的对话、问题和回复按顺序各写一次",
    ),
    "template_hint": ("name another template with --chat-template FILE", "可用 --chat-template 文件 指定另一个模板"),
    "no_template": ("{folder}: the model has no chat template", "{folder}：模型没有对话模板"),
    "no_template_hint": (
        "a base model that never chatted needs one: --chat-template FILE.jinja",
        "未做过对话训练的基座模型需要指定：--chat-template 文件.jinja",
    ),
    "template_file": ("{path}: the chat template cannot be read: {why}", "{path}：读不了对话模板：{why}"),
    "no_end": ("the model has no token that ends a turn", "模型没有结束回合的 token"),
    "tutorial_turns": (
        "the tutorial's text has no place for the earlier turns of a dialogue",
        "教程的文本格式放不下之前的对话",
    ),
    "tutorial_turns_hint": (
        "leave dialogues out, or train without --recipe tutorial",
        "请去掉多轮对话，或不用 --recipe tutorial",
    ),
    "surrogate": (
        "the text holds half a character (a lone surrogate) that no tokenizer takes",
        "文字里有半个字符（孤立代理项），分词器无法处理",
    ),
    "surrogate_hint": ("delete it, or write the file again as UTF-8", "请删除它，或重新存为 UTF-8"),
    "overlong": ("{tokens} tokens, more than the {length} allowed", "{tokens} 个 token，超过上限 {length}"),
    "overlong_hint": (
        "raise --length, shorten the record, or --overlong shorten",
        "可调大 --length、缩短该记录，或用 --overlong shorten",
    ),
    "unproven": (
        "{source}: the tokens to be learned are not exactly its thought, answer and end token",
        "{source}：要学习的 token 与该记录的思考、回答和结束符不完全一致",
    ),
    "unproven_hint": (
        "the tokenizer changes this text; leave the record out, and please report it",
        "分词器改动了这段文字；请先去掉这条记录，并把问题告诉我们",
    ),
}
