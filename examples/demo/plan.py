"""Which adapters the demo trains, and how each one is shaped."""

from dataclasses import dataclass, field

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Plan:
    task: str
    config: dict = field(default_factory=dict)
    steps: int = 160
    batch: int = 32
    rate: float = 4e-3


# Arguments of peft.LoraConfig.
LORA: dict[str, Plan] = {
    "ticket-json": Plan("ticket-json", {"r": 8, "lora_alpha": 16, "target_modules": ATTENTION + MLP}),
    "ticket-department": Plan("ticket-department", {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]},
                              steps=320, rate=6e-3),
    "ticket-summary": Plan("ticket-summary", {"r": 8, "lora_alpha": 16, "target_modules": ATTENTION}),
    "ticket-reply": Plan("ticket-reply", {"r": 16, "lora_alpha": 32, "target_modules": MLP}),
    "review-sentiment": Plan("review-sentiment", {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}),
    "question-sql": Plan("question-sql", {"r": 16, "lora_alpha": 8, "use_rslora": True,
                                          "target_modules": ATTENTION + MLP}, steps=220),
    "date-iso": Plan("date-iso", {"r": 8, "lora_alpha": 8, "use_rslora": True,
                                  "target_modules": ["q_proj", "v_proj", "down_proj"]}),
}

# A kind of the adapters library, then what it overrides.
BOTTLENECK: dict[str, Plan] = {
    "ticket-json-bn": Plan("ticket-json", {"kind": "double_seq_bn", "reduction_factor": 4, "non_linearity": "swish"}),
    "ticket-summary-bn": Plan("ticket-summary", {"kind": "seq_bn", "reduction_factor": 4, "non_linearity": "gelu"}),
    "question-sql-bn": Plan("question-sql", {"kind": "double_seq_bn", "reduction_factor": 4, "non_linearity": "relu"},
                            steps=320, rate=5e-3),
    "review-sentiment-bn": Plan("review-sentiment", {"kind": "seq_bn", "reduction_factor": 16,
                                                     "non_linearity": "relu"}),
}
