"""trl's client of a vLLM server: what its trainers generate with. Sending weights over NCCL is no part of it here."""

import trl.generation.vllm_client as vllm_client

from calls import ASK, URL, run

# The package asks whether vLLM itself is installed, which only what sends weights needs.
vllm_client.is_vllm_available = lambda *_, **__: True
client = vllm_client.VLLMClient(base_url=URL)


def completion():
    answer = client.generate(["Ticket: a", "Ticket: b"], n=2, max_tokens=6)
    assert len(answer["prompt_ids"]) == 2 and len(answer["completion_ids"]) == 4
    for ids, logprobs, drawn in zip(answer["completion_ids"], answer["logprobs"], answer["logprob_token_ids"], strict=True):
        assert len(ids) == len(logprobs) and [one[0] for one in drawn] == ids


def token_ids():
    assert client.generate([[20, 30, 40]], max_tokens=4)["prompt_ids"] == [[20, 30, 40]]


def logprobs():
    answer = client.generate(["Ticket: a"], max_tokens=4, logprobs=3)
    assert all(len(one) >= 3 and one == sorted(one, reverse=True) for one in answer["logprobs"][0])


def chat():
    answer = client.chat([ASK, ASK], n=2, max_tokens=6)
    assert len(answer["prompt_ids"]) == 2 and len(answer["completion_ids"]) == 4
    assert [[one[0] for one in drawn] for drawn in answer["logprob_token_ids"]] == answer["completion_ids"]


def regex():
    ids = client.generate(["Ticket: a"], max_tokens=8, structured_outputs_regex="[0-9]{3}")["completion_ids"][0]
    assert ids


def sequence_logprobs():
    answer = client.get_sequence_logprobs([[20, 30, 40, 50]], [2], top_logprobs=5)
    assert len(answer["logprobs"][0]) == 2


run("trl", {
    "chat": chat, "completion": completion, "token ids": token_ids, "log-probabilities": logprobs,
    "answer by a regular expression": regex, "log-probabilities of given tokens": sequence_logprobs,
})
