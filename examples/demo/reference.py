"""Scores the adapters (or the bare base) on the held-out inputs with the Python libraries themselves.

    python reference.py base        transformers alone
    python reference.py lora        transformers with PEFT
    python reference.py bottleneck  transformers with adapters

Each call replaces its own rows of reference.json and leaves its predictions in the work folder.
"""

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from plan import BOTTLENECK, LORA
from settings import ADAPTERS, EOS_ID, MODEL, PAD_ID, REFERENCE, WORK
from tasks import TASKS, Task, heldout

BATCH = 50
ORDER = ("lora", "bottleneck", "base")


def fresh() -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)


def base_models() -> Iterator[tuple[str, Task, torch.nn.Module]]:
    model = fresh()
    for task in TASKS.values():
        yield "base", task, model


def lora_models() -> Iterator[tuple[str, Task, torch.nn.Module]]:
    from peft import PeftModel
    for name, plan in LORA.items():
        yield name, TASKS[plan.task], PeftModel.from_pretrained(fresh(), ADAPTERS / name)


def bottleneck_models() -> Iterator[tuple[str, Task, torch.nn.Module]]:
    import adapters
    for name, plan in BOTTLENECK.items():
        model = fresh()
        adapters.init(model)
        model.load_adapter(str(ADAPTERS / name), set_active=True, use_safetensors=True)
        yield name, TASKS[plan.task], model


MODELS = {"base": (base_models, "transformers"), "lora": (lora_models, "peft"),
          "bottleneck": (bottleneck_models, "adapters")}


@torch.no_grad()
def answers(model: torch.nn.Module, tokenizer, task: Task, inputs: list[str], cached: bool) -> list[str]:
    """Greedy answers, decoded without the end mark."""
    model.eval()
    found: list[str] = []
    for start in range(0, len(inputs), BATCH):
        prompts = [task.ask(text) for text in inputs[start:start + BATCH]]
        encoded = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left",
                            return_token_type_ids=False)
        output = model.generate(**encoded, max_new_tokens=task.max_tokens, do_sample=False,
                                eos_token_id=EOS_ID, pad_token_id=PAD_ID, use_cache=cached)
        found += tokenizer.batch_decode(output[:, encoded["input_ids"].shape[1]:], skip_special_tokens=True)
    return found


def main() -> None:
    method = sys.argv[1]
    make, library = MODELS[method]
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    rows = []
    for name, task, model in make():
        pairs = heldout(task)
        # The adapters library (1.3.0) does not keep its key/value cache between steps, so it goes without one.
        given = answers(model, tokenizer, task, [text for text, _ in pairs], cached=method != "bottleneck")
        right = sum(answer == expected for answer, (_, expected) in zip(given, pairs, strict=True))
        rows.append({"adapter": name, "task": task.name, "method": method, "n": len(pairs),
                     "exact_match": round(100 * right / len(pairs), 2), "library": f"{library} {version(library)}"})
        print(f"{name:22} {task.name:20} {rows[-1]['exact_match']:6.2f} %", flush=True)
        folder = WORK / "predictions"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"input": text, "expected": expected, "answer": answer}, ensure_ascii=False)
                 for (text, expected), answer in zip(pairs, given, strict=True)]
        (folder / f"{name}--{task.name}.jsonl").write_text("\n".join(lines) + "\n")
    kept = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else []
    rows += [row for row in kept if row["method"] != method]
    rows.sort(key=lambda row: ORDER.index(row["method"]))
    REFERENCE.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
