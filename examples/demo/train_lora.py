"""Trains LoRA adapters with PEFT on the frozen base: all that are missing, or the ones named."""

import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from plan import LORA
from settings import ADAPTERS, MODEL, SEED_TRAIN
from training import fit


def train(name: str) -> None:
    plan = LORA[name]
    torch.manual_seed(SEED_TRAIN)
    base = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    base.name_or_path = "models/demo"
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **plan.config))
    fit(model, plan, name)
    model.save_pretrained(ADAPTERS / name, save_embedding_layers=False)
    (ADAPTERS / name / "README.md").unlink(missing_ok=True)


def main() -> None:
    for name in sys.argv[1:] or [n for n in LORA if not (ADAPTERS / n).exists()]:
        train(name)


if __name__ == "__main__":
    main()
