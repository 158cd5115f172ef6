"""What both kinds of adapter share: examples, the training loop and a teacher-forced check."""

import math
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random

import torch
from tokenizers import Tokenizer

from plan import Plan
from settings import EOS_ID, MODEL, PAD_ID, SEED_TRAIN
from tasks import TASKS, Pair, Task, heldout, pairs

IGNORED = -100
Example = tuple[list[int], int]


def encode(tokenizer: Tokenizer, task: Task, pair: Pair) -> Example:
    """Prompt, answer and end mark as tokens, with the prompt's length."""
    prompt, answer = task.ask(pair[0]), pair[1]
    head, tail = tokenizer.encode(prompt).ids, tokenizer.encode(answer).ids
    assert tokenizer.encode(prompt + answer).ids == head + tail, "the prompt's tokens depend on the answer"
    return head + tail + [EOS_ID], len(head)


def collate(examples: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs padded on the right and the labels of the answers only, shifted by one."""
    width = max(len(ids) for ids, _ in examples) - 1
    inputs = torch.full((len(examples), width), PAD_ID)
    labels = torch.full((len(examples), width), IGNORED)
    for row, (ids, start) in enumerate(examples):
        inputs[row, :len(ids) - 1] = torch.tensor(ids[:-1])
        labels[row, start - 1:len(ids) - 1] = torch.tensor(ids[start:])
    return inputs, labels


def batches(source: Iterable[Example], size: int, rng: Random) -> Iterator[list[Example]]:
    """Batches of examples of like length, so that little is padding."""
    source = iter(source)
    while True:
        pool = sorted(islice(source, size * 16), key=lambda example: len(example[0]))
        chunks = [pool[i:i + size] for i in range(0, len(pool), size)]
        rng.shuffle(chunks)
        yield from chunks


@torch.no_grad()
def exact(model: torch.nn.Module, examples: list[Example]) -> float:
    """The share of answers whose every token is the model's first choice: what greedy decoding would give."""
    model.eval()
    inputs, labels = collate(examples)
    chosen = model(input_ids=inputs, use_cache=False).logits.argmax(-1)
    model.train()
    return ((chosen == labels) | (labels == IGNORED)).all(-1).float().mean().item()


def fit(model: torch.nn.Module, plan: Plan, name: str) -> None:
    """Trains the model's unfrozen parameters on the plan's task."""
    task, tokenizer = TASKS[plan.task], Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    stream = (encode(tokenizer, task, pair)
              for pair in pairs(task, SEED_TRAIN, {text for text, _ in heldout(task)}))
    checks = list(islice(stream, 100))
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.0)
    model.train()
    print(f"{name}: {sum(p.numel() for p in weights):,} weights", flush=True)
    started, total = time.time(), 0.0
    for step, batch in enumerate(islice(batches(stream, plan.batch, Random(SEED_TRAIN)), plan.steps)):
        scale = min((step + 1) / 20, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / plan.steps)))
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * scale
        inputs, labels = collate(batch)
        logits = model(input_ids=inputs, use_cache=False).logits
        wanted = labels != IGNORED
        loss = torch.nn.functional.cross_entropy(logits[wanted].float(), labels[wanted])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += loss.item()
        if (step + 1) % 40 == 0:
            print(f"{name}: step {step + 1} loss {total / 40:.4f} exact {exact(model, checks):.3f} "
                  f"{time.time() - started:.0f}s", flush=True)
            total = 0.0
