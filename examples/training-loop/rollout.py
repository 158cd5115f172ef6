"""GRPO by TRL whose rollouts are sampled by Troupe from the very weights that are trained: docs/training-loop.md.

    npm start -- --model models/demo --precision f32
    python examples/training-loop/rollout.py --url http://127.0.0.1:8080 --model models/demo
"""

import argparse
import io
import tarfile
import tempfile

import requests
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

NAME = "policy"
TASK = "policy-live"
PROMPTS = ["Ticket:\nMy parcel has not arrived.\n\nReply:\n", "Ticket:\nThe lamp is broken.\n\nReply:\n"]


class Sampler:
    """Keeps the server at the trainer's weights and samples from exactly those."""

    def __init__(self, url: str):
        self.url = url
        self.session = requests.Session()
        self.step = 0
        # Before the first step a LoRA does nothing, which the server would refuse: the base model is the policy.
        self.digest = None

    def push(self, model) -> None:
        """One call: the server takes the folder, proves that it acts, and sends the task to it; then it answers."""
        packed = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=packed, mode="w:gz") as archive:
            model.save_pretrained(folder)
            archive.add(folder, arcname="adapter")
        answer = self.session.post(f"{self.url}/v1/adapters/{NAME}/versions?activate={TASK}", data=packed.getvalue(),
                                   headers={"content-type": "application/gzip"})
        answer.raise_for_status()
        self.digest = answer.json()["digest"]
        print(f"step {self.step}: {NAME} {answer.json()['version']} {self.digest[:19]}", flush=True)

    def sample(self, prompt_ids: list[list[int]], max_tokens: int) -> tuple[list[list[int]], list[list[float]]]:
        """Token ids and the log-probabilities that they were drawn with."""
        pinned = {} if self.digest is None else {"x-troupe-digest": self.digest}
        body = {"model": TASK if self.digest else self.base(), "prompt": prompt_ids, "max_tokens": max_tokens, "temperature": 1,
                "logprobs": 0, "return_token_ids": True}
        answer = self.session.post(f"{self.url}/v1/completions", json=body, headers=pinned)
        answer.raise_for_status()
        choices = answer.json()["choices"]
        return [one["token_ids"] for one in choices], [one["logprobs"]["token_logprobs"] for one in choices]

    def base(self) -> str:
        return self.session.get(f"{self.url}/v1/models").json()["data"][0]["id"]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--url", default="http://127.0.0.1:8080")
    options.add_argument("--model", default="models/demo")
    options.add_argument("--steps", type=int, default=2)
    given = options.parse_args()
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(given.model, padding_side="left")
    sampler = Sampler(given.url)

    def rollout(prompts: list[str], trainer: GRPOTrainer) -> dict:
        if trainer.state.global_step != sampler.step:
            sampler.step = trainer.state.global_step
            sampler.push(trainer.model)
        prompt_ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
        completion_ids, logprobs = sampler.sample(prompt_ids, trainer.args.max_completion_length)
        return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": logprobs}

    def short(completions: list[str], **_) -> list[float]:
        return [-float(len(text)) for text in completions]

    with tempfile.TemporaryDirectory() as out:
        args = GRPOConfig(output_dir=out, max_steps=given.steps, per_device_train_batch_size=4, num_generations=4, use_cpu=True,
                          max_completion_length=12, learning_rate=0.01, logging_steps=1, save_strategy="no", report_to=[], bf16=False)
        lora = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
        trainer = GRPOTrainer(model=AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32), args=args,
                              processing_class=tokenizer, reward_funcs=short, rollout_func=rollout, peft_config=lora,
                              train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS * 4]))
        trainer.train()
        sampler.step = trainer.state.global_step
        sampler.push(trainer.model)
        # What the server says of given tokens is what the trainer says.
        ids = tokenizer(PROMPTS[0])["input_ids"]
        drawn, logprobs = sampler.sample([ids], 8)
        with torch.no_grad():
            logits = trainer.model(torch.tensor([ids + drawn[0]])).logits[0, len(ids) - 1:-1].log_softmax(-1)
        own = logits.gather(1, torch.tensor(drawn[0])[:, None])[:, 0].tolist()
        print(f"largest difference of a log-probability: {max(abs(a - b) for a, b in zip(own, logprobs[0], strict=True)):.1e}")


main()
