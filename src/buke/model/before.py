"""What the libraries find when they are imported. This comes before them."""

from __future__ import annotations

import os
import sys
import tempfile

from buke.hub.cache import cache_folder

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# torch makes the folder of a compiler that is not used, by default among the system's temporary files
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "torch"))
PROGRAMS = 256
"""oneDNN writes a program for each shape of bfloat16 products on the CPU. It and torch keep this many, by default
1,024, which rows of many lengths fill. With 64 a step takes a twentieth longer, to write them anew; docs/log.md."""
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PROGRAMS))
os.environ.setdefault("LRU_CACHE_CAPACITY", str(PROGRAMS))

# libraries ask for the folder of temporary files, which Python finds by writing one there; so it is told
places = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")] + ["/tmp"]
tempfile.tempdir = tempfile.tempdir or next((p for p in places if p and os.access(p, os.W_OK)), None)

absent = {"kernels"}  # with it, bitsandbytes and transformers run code from a hub
if "bitsandbytes" not in sys.modules:  # PEFT would import it in any case, which takes seconds and 50 MB
    absent.add("bitsandbytes")
for name in absent:
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]

from peft.import_utils import is_bnb_available  # noqa: E402

is_bnb_available()  # PEFT remembers the answer
if "bitsandbytes" in absent:
    del sys.modules["bitsandbytes"]
