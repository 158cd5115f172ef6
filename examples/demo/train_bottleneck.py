"""Trains bottleneck adapters with the adapters library on the frozen base: all that are missing, or the ones named."""

import sys

import adapters
import torch
from adapters import AdapterConfig
from transformers import LlamaForCausalLM

from plan import BOTTLENECK
from settings import ADAPTERS, MODEL, SEED_TRAIN
from training import fit


def train(name: str) -> None:
    plan = BOTTLENECK[name]
    torch.manual_seed(SEED_TRAIN)
    model = LlamaForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    model.config._name_or_path = "models/demo"
    adapters.init(model)
    options = dict(plan.config)
    model.add_adapter(name, config=AdapterConfig.load(options.pop("kind"), **options))
    model.train_adapter(name)
    fit(model, plan, name)
    ADAPTERS.mkdir(parents=True, exist_ok=True)
    model.save_adapter(str(ADAPTERS / name), name, with_head=False, use_safetensors=True)


def main() -> None:
    for name in sys.argv[1:] or [n for n in BOTTLENECK if not (ADAPTERS / n).exists()]:
        train(name)


if __name__ == "__main__":
    main()
