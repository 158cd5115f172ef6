"""Writes the held-out inputs, none of which the base or an adapter is trained on, and tasks.json."""

import json
from itertools import islice

from corpus.documents import documents
from plan import BOTTLENECK, LORA
from settings import HELDOUT, SEED_CORPUS, SEED_HELDOUT, SEED_TRAIN, TASKS as TASKS_FILE
from tasks import TASKS, pairs

PER_TASK = 200
# More documents than the base is trained on.
CORPUS_DOCUMENTS = 200_000
# More inputs than any adapter is trained on.
TRAINING_INPUTS = 16_384


def corpus_lines() -> set[str]:
    """Every line of the base corpus, without the words that lead it in or the chat mark that ends it."""
    lines = set()
    for text in islice(documents(SEED_CORPUS), CORPUS_DOCUMENTS):
        for line in text.splitlines():
            line = line.removesuffix("<|end|>")
            lines.update((line, line.split(": ", 1)[-1]))
    return lines


def main() -> None:
    HELDOUT.mkdir(exist_ok=True)
    seen = corpus_lines()
    for task in TASKS.values():
        chosen: dict[str, str] = {}
        trained = {text for text, _ in islice(pairs(task, SEED_TRAIN, set()), TRAINING_INPUTS)}
        for text, expected in pairs(task, SEED_HELDOUT, seen | trained):
            chosen[text] = expected
            if len(chosen) == PER_TASK:
                break
        rows = (json.dumps({"input": t, "expected": e}, ensure_ascii=False) for t, e in chosen.items())
        (HELDOUT / f"{task.name}.jsonl").write_text("\n".join(rows) + "\n")
    listed = [{
        "task": task.name, "kind": task.kind, "prompt": task.prompt, "max_tokens": task.max_tokens, "stop": [],
        "adapters": [{"name": name, "method": method} for method, plans in (("lora", LORA), ("bottleneck", BOTTLENECK))
                     for name, plan in plans.items() if plan.task == task.name],
    } for task in TASKS.values()]
    TASKS_FILE.write_text(json.dumps(listed, indent=2) + "\n")


if __name__ == "__main__":
    main()
