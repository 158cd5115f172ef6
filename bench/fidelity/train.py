"""Trains one small model per family on the demo corpus, and writes the text that `npm run fidelity` measures on.

What is already there is kept, so a stopped run is taken up again at the first family that is missing:

    examples/demo/.work/venv-peft/bin/python bench/fidelity/train.py [family ...]

The demo's own model stands for llama. About two minutes per family on two cores.
"""

import os
import shutil
import sys
import time
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "examples" / "demo"))

from corpus.documents import documents  # noqa: E402
from settings import EOS, EOS_ID, MODEL, SEED_BASE, SEED_CORPUS  # noqa: E402

MODELS = HERE / ".work"
HELDOUT = HERE / "heldout.txt"
LENGTH, BATCH, STEPS, RATE, WARMUP = 128, 16, 400, 2e-3, 40
HELDOUT_DOCUMENTS = 200
VOCAB, HIDDEN, LAYERS, HEADS = 2048, 128, 3, 4

LLAMA = {
    "vocab_size": VOCAB, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": 2, "head_dim": HIDDEN // HEADS, "intermediate_size": 352, "max_position_embeddings": 256,
    "initializer_range": 0.03, "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": EOS_ID,
    "pad_token_id": None,
}
GEMMA = {"query_pre_attn_scalar": HIDDEN // HEADS, "sliding_window": 64}
# What a family's models have and Llama's do not is switched on where it would act in models of this size too.
FAMILIES = {
    "mistral": LLAMA | {"sliding_window": 64},
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "gemma2": LLAMA | GEMMA,
    "gemma3_text": LLAMA | GEMMA | {"sliding_window_pattern": 3},
    "phi3": LLAMA,
    "smollm3": LLAMA,
    "granite": LLAMA | {
        "embedding_multiplier": 12.0, "attention_multiplier": 0.1, "residual_multiplier": 0.5, "logits_scaling": 4.0},
    "gpt2": {
        "vocab_size": VOCAB, "n_embd": HIDDEN, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 256,
        "bos_token_id": None, "eos_token_id": EOS_ID},
    "gpt_neox": LLAMA | {"num_key_value_heads": HEADS, "intermediate_size": 512, "rotary_pct": 0.5,
                         "tie_word_embeddings": False},
    "opt": LLAMA | {"num_key_value_heads": HEADS, "ffn_dim": 512, "word_embed_proj_dim": HIDDEN},
}


def corpus(tokenizer: Tokenizer) -> torch.Tensor:
    """As many tokens as all steps need."""
    count, ids = STEPS * BATCH * LENGTH + 1, []
    stream = documents(SEED_CORPUS)
    while len(ids) < count:
        for encoding in tokenizer.encode_batch([next(stream) + EOS for _ in range(2000)]):
            ids += encoding.ids
    return torch.tensor(ids[:count])


def rate(step: int) -> float:
    return RATE * min((step + 1) / WARMUP, (STEPS - step) / (STEPS - WARMUP))


def train(name: str, data: torch.Tensor) -> None:
    torch.manual_seed(SEED_BASE)
    config = AutoConfig.for_model(name, **FAMILIES[name], attention_dropout=0.0)
    for field in ("resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout", "hidden_dropout", "layerdrop"):
        if hasattr(config, field):
            setattr(config, field, 0.0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.01)
    order = torch.randperm(STEPS * BATCH, generator=torch.Generator().manual_seed(SEED_BASE)) * LENGTH
    started, running = time.time(), None
    for step in range(STEPS):
        batch = torch.stack([data[at:at + LENGTH + 1] for at in order[step * BATCH:(step + 1) * BATCH]])
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        running = loss.item() if running is None else 0.95 * running + 0.05 * loss.item()
        if (step + 1) % 50 == 0:
            print(f"{name}: step {step + 1} loss {running:.3f} {time.time() - started:.0f}s", flush=True)
    staging = MODELS / f".{name}"
    shutil.rmtree(staging, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(staging)
    os.replace(staging, MODELS / name)


def main() -> None:
    MODELS.mkdir(exist_ok=True)
    # Of another seed than the corpus that the models are trained on.
    text = EOS.join(islice(documents(SEED_CORPUS + 1), HELDOUT_DOCUMENTS))
    HELDOUT.write_text(text + "\n", encoding="utf-8")
    data = None
    for name in sys.argv[1:] or FAMILIES:
        if (MODELS / name).exists():
            continue
        data = corpus(Tokenizer.from_file(str(MODEL / "tokenizer.json"))) if data is None else data
        train(name, data)


if __name__ == "__main__":
    main()
