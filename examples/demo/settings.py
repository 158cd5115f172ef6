"""Where the demo keeps its files, and its seeds."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("DEMO_WORK", HERE / ".work")).resolve()
MODEL = HERE.parent.parent / "models" / "demo"
ADAPTERS = HERE / "adapters"
HELDOUT = HERE / "heldout"
TASKS = HERE / "tasks.json"
REFERENCE = HERE / "reference.json"

SEED_CORPUS = 20240501
SEED_BASE = 1
SEED_TRAIN = 101
SEED_HELDOUT = 2026

EOS, PAD, BOS = "<|endoftext|>", "<|pad|>", "<|startoftext|>"
EOS_ID, PAD_ID, BOS_ID = 0, 1, 2
CHAT_TOKENS = ("<|user|>", "<|assistant|>", "<|end|>")
END_ID = 5
