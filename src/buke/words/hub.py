"""Texts of the room `hub`."""

TEXTS = {
    "converting": (
        "Unpacking the built-in model {name} into {target} (once, some seconds).",
        "正在把内置模型 {name} 解包到 {target}（只需一次，几秒钟）。",
    ),
    "no_wheel": (
        "The built-in model {name} is not installed.",
        "内置模型 {name} 尚未安装。",
    ),
    "wrong_hash": (
        "{path}: this is not the file of the built-in model; its SHA-256 differs.",
        "{path}：不是内置模型的原文件，SHA-256 不一致。",
    ),
    "unwritable": ("{target}: cannot be written: {why}.", "{target}：无法写入：{why}。"),
    "unwritable_hint": (
        "Free some space (about 300 MB), or set BUKE_CACHE to a folder that can be written.",
        "请腾出空间（约 300 MB），或把 BUKE_CACHE 设为可写的文件夹。",
    ),
    # resolve
    "nothing": (
        "{name!r}: there is no such folder here, and it is not a name on the hub (org/name) either.",
        "{name!r}：这里没有这个文件夹，它也不是模型库里的名字（组织/名称）。",
    ),
    "nothing_hint": (
        "Give a model folder, a hub name such as Qwen/Qwen3-0.6B, a short name ({short}), or 'embedded'.",
        "请给出模型文件夹、模型库名字（如 Qwen/Qwen3-0.6B）、简称（{short}）或 embedded。",
    ),
    "downloading": (
        "Downloading {name} from {endpoint} into {target}.",
        "正在从 {endpoint} 下载 {name} 到 {target}。",
    ),
    "unknown": (
        "{name}: there is no such folder here, and {endpoint} has no such model, or shows it only to some accounts.",
        "{name}：这里没有这个文件夹，{endpoint} 上也没有这个模型，或者它只对部分账号开放。",
    ),
    "unknown_hint": (
        "Check the spelling; for a private model log in first with `hf auth login`.",
        "请检查拼写；若是私有模型，请先用 `hf auth login` 登录。",
    ),
    "gated": (
        "{name}: {endpoint} gives this model only to accounts that have accepted its terms.",
        "{name}：须先在 {endpoint} 上同意该模型的条款才能下载。",
    ),
    "gated_hint": (
        "Accept the terms on the model's page, then log in with `hf auth login`.",
        "请在模型页面同意条款，再用 `hf auth login` 登录。",
    ),
    "unreachable": (
        "{name}: it is not on this disk, and the download from {endpoint} failed: {why}.",
        "{name}：本机没有这个模型，从 {endpoint} 下载又失败了：{why}。",
    ),
    "unreachable_hint": (
        "Set HF_ENDPOINT to a mirror you can reach and try again (what has arrived is kept), or download config.json, "
        "generation_config.json, tokenizer.json, tokenizer_config.json, chat_template.jinja where there is one, and "
        "all model*.safetensors with their index.json by hand into one folder and give that folder instead.",
        "请把 HF_ENDPOINT 设为可访问的镜像后重试（已下载的部分会保留）；或者手动下载 config.json、"
        "generation_config.json、tokenizer.json、tokenizer_config.json、chat_template.jinja（如有），以及全部 "
        "model*.safetensors 和对应的 index.json，放进同一个文件夹，然后用该文件夹代替模型名。",
    ),
    "no_weights": (
        "{name}: {endpoint} holds no .safetensors weights of it (GGUF or pickle files only).",
        "{name}：{endpoint} 上没有它的 .safetensors 权重（只有 GGUF 或 pickle 文件）。",
    ),
    # check_model_folder
    "no_folder": ("{path}: there is no such folder.", "{path}：没有这个文件夹。"),
    "not_a_folder": (
        "{path}: a base model is a folder, and this is a file.",
        "{path}：基座模型应是文件夹，而这是一个文件。",
    ),
    "not_a_folder_hint": (
        "Give the folder that holds config.json, perhaps {folder}.",
        "请给出含有 config.json 的文件夹，也许是 {folder}。",
    ),
    "gguf": (
        "{path}: this is a GGUF model, which is made for running and cannot be trained.",
        "{path}：这是 GGUF 模型，只供推理，不能训练。",
    ),
    "gguf_hint": (
        "Take the original model it was made from, the one with .safetensors files.",
        "请换成它的原始模型（含 .safetensors 文件的那个）。",
    ),
    "adapter": (
        "{path}: this is an adapter, not a base model.",
        "{path}：这是适配器，不是基座模型。",
    ),
    "adapter_hint": ("It was trained on {base}: give that as the model.", "它是在 {base} 上训练的：请把后者作为模型。"),
    "adapter_hint_unknown": (
        "Give the model it was trained on; its adapter_config.json does not name it.",
        "请给出它所基于的模型；它的 adapter_config.json 没有写明。",
    ),
    "pickle": (
        "{path}: the weights are pickle files (.bin, .pt), which can run any code when loaded; they are not read.",
        "{path}：权重是 pickle 文件（.bin、.pt），加载时可能执行任意代码，因此不读取。",
    ),
    "pickle_hint": (
        "Convert them to .safetensors on an isolated machine, or take a copy of the model that has such files.",
        "请在隔离的机器上把它们转换为 .safetensors，或改用带 .safetensors 文件的版本。",
    ),
    "not_whole": (
        "{path}: this model folder is not whole; problems found: {count}.",
        "{path}：模型文件夹不完整，共发现 {count} 个问题。",
    ),
    "not_whole_hint": (
        "Download the named files again into this folder.",
        "请把上面列出的文件重新下载到这个文件夹。",
    ),
    "inner": ("Perhaps you mean the folder inside it: {folder}", "也许应该用它里面的文件夹：{folder}"),
    "missing": ("{name}: is missing", "{name}：缺失"),
    "not_object": ("not a JSON object", "不是 JSON 对象"),
    "no_key": ("{name}: has no {key}", "{name}：缺少 {key}"),
    "lfs": (
        "only git-lfs's stand-in for the file is here (`git lfs pull` fetches the file itself)",
        "这里只有 git-lfs 的占位文件（用 `git lfs pull` 取回真正的文件）",
    ),
    "file": ("{name}: {why}", "{name}：{why}"),
    "cut_header": (
        "cut off inside its header: {size:,} bytes are here",
        "在文件头处被截断：现有 {size:,} 字节",
    ),
    "bad_header": ("its header is not that of a safetensors file", "文件头不是 safetensors 格式"),
    "cut": (
        "cut off: {size:,} of {need:,} bytes are here",
        "被截断：应有 {need:,} 字节，现有 {size:,} 字节",
    ),
    "too_long": (
        "too long: {size:,} bytes are here, its header says {need:,}",
        "过长：文件头记为 {need:,} 字节，现有 {size:,} 字节",
    ),
    "no_file_name": ("{value!r} is not the name of a .safetensors file", "{value!r} 不是 .safetensors 文件名"),
    "other_shard": (
        "{name}: {count} tensors that {index} places here are not in it, {tensor} among them",
        "{name}：{index} 指明在此文件中的 {count} 个张量并不存在，例如 {tensor}",
    ),
}
