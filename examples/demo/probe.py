"""Tells how well the base copies: the loss and the hit rate on the restated half of fresh ticket records."""

import json
from random import Random

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from corpus.records import ticket_json
from settings import MODEL

SEED, COUNT = 77, 100


@torch.no_grad()
def main() -> None:
    rng, tokenizer = Random(SEED), Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    losses, hits, values = [], 0, 0
    for _ in range(COUNT):
        text = ticket_json(rng)
        record = text[text.index("{"):]
        head = tokenizer.encode(text[:text.index("{")]).ids
        encoded = tokenizer.encode(record)
        logits = model(torch.tensor([head + encoded.ids])).logits[0, len(head) - 1:-1]
        target = torch.tensor(encoded.ids)
        losses.append(torch.nn.functional.cross_entropy(logits, target).item())
        right = logits.argmax(-1) == target
        for value in json.loads(record).values():
            start = record.index(f'"{value}"') + 1
            span = [i for i, (a, _) in enumerate(encoded.offsets) if start <= a < start + len(value)]
            hits += all(right[i] for i in span)
            values += 1
    print(f"record loss {sum(losses) / COUNT:.3f}, values copied whole {100 * hits / values:.1f} % of {values}")


if __name__ == "__main__":
    main()
