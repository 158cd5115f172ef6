"""Trains the base model on the corpus; resumes from its last checkpoint and saves it in half precision."""

import argparse
import json
import math
import os
import time

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from corpus.documents import documents
from settings import BOS_ID, END_ID, EOS, EOS_ID, MODEL, PAD_ID, SEED_BASE, SEED_CORPUS, WORK

LENGTH, BATCH, STEPS = 256, 16, 1800
LEARNING_RATE, WARMUP = 3e-3, 80
# The rate follows a cosine of this horizon, then from `COOLDOWN` on a straight line down to nothing.
HORIZON, COOLDOWN = 2800, 1200
CHECKPOINT = WORK / "base.pt"


def architecture() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=2048, hidden_size=256, num_hidden_layers=5, num_attention_heads=8, num_key_value_heads=4,
        head_dim=32, intermediate_size=512, max_position_embeddings=1024, rope_theta=10000.0,
        tie_word_embeddings=True, rms_norm_eps=1e-5, bos_token_id=BOS_ID, eos_token_id=EOS_ID,
        pad_token_id=PAD_ID, initializer_range=0.03, attention_bias=False, mlp_bias=False)


def corpus_tokens(count: int) -> np.ndarray:
    """The first `count` tokens of the corpus, kept on disk between runs."""
    path = WORK / f"corpus-{count}.npy"
    if path.exists():
        return np.load(path, mmap_mode="r")
    tokenizer, stream = Tokenizer.from_file(str(MODEL / "tokenizer.json")), documents(SEED_CORPUS)
    parts, total = [], 0
    while total < count:
        batch = tokenizer.encode_batch([next(stream) + EOS for _ in range(5000)])
        parts += [np.array(e.ids, dtype=np.uint16) for e in batch]
        total += sum(len(e.ids) for e in batch)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.concatenate(parts)[:count])
    return np.load(path, mmap_mode="r")


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for the embedding and the norms."""
    named = list(model.named_parameters())
    matrices = [p for n, p in named if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in named if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=LEARNING_RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.01),
    ]


def schedule(step: int) -> float:
    if step < WARMUP:
        return (step + 1) / WARMUP
    cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (min(step, COOLDOWN) - WARMUP) / (HORIZON - WARMUP)))
    return cosine * min(1.0, (STEPS - step) / (STEPS - COOLDOWN))


@torch.no_grad()
def join_twins(model: LlamaForCausalLM) -> None:
    """Gives every word without a leading space its spaced twin's embedding, plus one offset for them all.

    A value after a quotation mark is written without the space that it had in the text. Unrelated
    embeddings would make the model learn the way from each twin to the other one by one.
    """
    vocabulary = Tokenizer.from_file(str(MODEL / "tokenizer.json")).get_vocab()
    twins = [(vocabulary[word[1:]], token) for word, token in vocabulary.items()
             if len(word) > 3 and word[0] == "Ġ" and word[1:].isalpha() and word[1:] in vocabulary]
    plain, spaced = (torch.tensor(side) for side in zip(*twins, strict=True))
    table = model.get_input_embeddings().weight
    table[plain] = table[spaced] + (table[plain] - table[spaced]).mean(0)


def export(model: LlamaForCausalLM) -> None:
    """Writes the half-precision folder beside the final one, then moves its files over."""
    staging = WORK / "base-export"
    half = LlamaForCausalLM(model.config)
    half.load_state_dict(model.state_dict())
    half.to(torch.bfloat16)
    half.config.dtype = torch.bfloat16
    half.generation_config = GenerationConfig(
        bos_token_id=BOS_ID, eos_token_id=[EOS_ID, END_ID], pad_token_id=PAD_ID, do_sample=False, max_new_tokens=128)
    half.save_pretrained(staging, safe_serialization=True)
    config = json.loads((staging / "config.json").read_text())
    config |= {"rope_theta": 10000.0, "torch_dtype": "bfloat16"}  # also under the names that older readers know
    (staging / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for file in staging.iterdir():
        temporary = MODEL / f".{file.name}"
        temporary.write_bytes(file.read_bytes())
        os.replace(temporary, MODEL / file.name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stop-after", type=int, default=None, help="end early (for a dry run)")
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler; about 1.5 times as fast")
    args = parser.parse_args()
    torch.manual_seed(SEED_BASE)
    data = torch.from_numpy(corpus_tokens(HORIZON * BATCH * LENGTH + 1).astype(np.int64))
    model = LlamaForCausalLM(architecture())
    compiled = torch.compile(model) if args.compile else model
    print(f"{model.num_parameters():,} parameters, {len(data):,} tokens", flush=True)
    optims, first, spent = optimizers(model), 0, 0.0
    if CHECKPOINT.exists():
        saved = torch.load(CHECKPOINT)
        model.load_state_dict(saved["model"])
        for optim, state in zip(optims, saved["optims"], strict=True):
            optim.load_state_dict(state)
        first, spent = saved["step"], saved["seconds"]
    order = torch.randperm(HORIZON * BATCH, generator=torch.Generator().manual_seed(SEED_BASE))
    started, running = time.time() - spent, None
    for step in range(first, STEPS):
        if step == COOLDOWN:
            join_twins(model)
        rows = order[step * BATCH:(step + 1) * BATCH]
        batch = torch.stack([data[r * LENGTH:(r + 1) * LENGTH + 1] for r in rows])
        for optim in optims:
            for group in optim.param_groups:
                group["lr"] = LEARNING_RATE * schedule(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = compiled(input_ids=batch[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optim in optims:
            optim.step()
            optim.zero_grad(set_to_none=True)
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        done = step + 1
        if done % 20 == 0:
            print(f"step {done} loss {running:.4f} {time.time() - started:.0f}s", flush=True)
        if done % 400 == 0 or done == STEPS:
            state = {"model": model.state_dict(), "optims": [o.state_dict() for o in optims], "step": done,
                     "seconds": time.time() - started}
            torch.save(state, WORK / "base.tmp")
            os.replace(WORK / "base.tmp", CHECKPOINT)
            export(model)
        if done == args.stop_after:
            return


if __name__ == "__main__":
    main()
