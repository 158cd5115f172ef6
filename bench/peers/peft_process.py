"""transformers and peft on the CPU: every row of a batch on its own adapter (`adapter_names`).

    python peft_process.py THREADS MODEL_DIR ADAPTER_DIR...

Answers every line {"prompts": [[id ...] ...], "newTokens": n} with a line {"seconds": s}; row i uses adapter i.
"""

import json
import sys
import time

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

threads, model_dir, *adapter_dirs = sys.argv[1:]
torch.set_num_threads(int(threads))
base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
names = [f"adapter{i}" for i in range(len(adapter_dirs))]
model = PeftModel.from_pretrained(base, adapter_dirs[0], adapter_name=names[0])
for name, adapter_dir in list(zip(names, adapter_dirs))[1:]:
    model.load_adapter(adapter_dir, adapter_name=name)
model.eval()
print(json.dumps({"seconds": 0}), flush=True)

for line in sys.stdin:
    request = json.loads(line)
    ids = torch.tensor(request["prompts"])
    count = request["newTokens"]
    started = time.perf_counter()
    with torch.inference_mode():
        answer = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            adapter_names=names[: len(ids)],
            do_sample=False,
            min_new_tokens=count,
            max_new_tokens=count,
            pad_token_id=0,
        )
    seconds = time.perf_counter() - started
    if answer.shape[1] != ids.shape[1] + count:
        raise SystemExit(f"asked for {count} tokens, {answer.shape[1] - ids.shape[1]} came")
    print(json.dumps({"seconds": seconds}), flush=True)
