"""litellm, by its provider for servers of OpenAI's form, and by the one for vLLM."""

import litellm
from pydantic import BaseModel, Field

from calls import ASK, BASE, KEY, MODEL, TOO_LONG, WEATHER, raises, run

litellm.num_retries = 0
litellm.suppress_debug_info = True
TO = {"model": f"openai/{MODEL}", "api_base": BASE, "api_key": KEY}
VLLM = {"model": f"hosted_vllm/{MODEL}", "api_base": BASE, "api_key": KEY}


class City(BaseModel):
    name: str = Field(max_length=10)


def chat():
    for provider in (TO, VLLM):
        answer = litellm.completion(**provider, messages=ASK, max_tokens=8)
        assert answer.choices[0].message.content and answer.usage.completion_tokens > 0


def chat_stream():
    for provider in (TO, VLLM):
        chunks = litellm.completion(**provider, messages=ASK, max_tokens=8, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


async def chat_async():
    assert (await litellm.acompletion(**TO, messages=ASK, max_tokens=4)).choices[0].message.content


def completion():
    answer = litellm.text_completion(model=f"text-completion-openai/{MODEL}", api_base=BASE, api_key=KEY, prompt="Ticket: a",
                                     max_tokens=4)
    assert answer.choices[0].text


def completion_stream():
    chunks = litellm.text_completion(model=f"text-completion-openai/{MODEL}", api_base=BASE, api_key=KEY, prompt="Ticket: a",
                                     max_tokens=8, stream=True)
    assert "".join(chunk.choices[0].text or "" for chunk in chunks)


def logprobs():
    answer = litellm.completion(**TO, messages=ASK, max_tokens=4, logprobs=True, top_logprobs=2)
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2


def several():
    assert len(litellm.completion(**TO, messages=ASK, max_tokens=4, n=3, temperature=1).choices) == 3


def tool_and_result():
    for provider in (TO, VLLM):
        answer = litellm.completion(**provider, messages=ASK, tools=[WEATHER], tool_choice="required", max_tokens=80)
        message = answer.choices[0].message
        assert message.tool_calls[0].function.name == "weather"
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "name": "weather", "content": "sunny"}
        litellm.completion(**provider, messages=[*ASK, message.model_dump(), result], tools=[WEATHER], tool_choice="none", max_tokens=4)


def tool_stream():
    chunks = list(litellm.completion(**TO, messages=ASK, tools=[WEATHER], tool_choice="required", max_tokens=80, stream=True))
    whole = litellm.stream_chunk_builder(chunks, messages=ASK)
    assert whole.choices[0].message.tool_calls[0].function.name == "weather"


def schema():
    for provider in (TO, VLLM):
        answer = litellm.completion(**provider, messages=ASK, response_format=City, max_tokens=80)
        City.model_validate_json(answer.choices[0].message.content)


def json_object():
    answer = litellm.completion(**TO, messages=ASK, response_format={"type": "json_object"}, max_tokens=20)
    assert answer.choices[0].message.content.lstrip().startswith("{")


def responses():
    assert litellm.responses(**TO, input="Hello", max_output_tokens=8).output_text


def responses_stream():
    kinds = [str(getattr(event, "type", "")) for event in litellm.responses(**TO, input="Hello", max_output_tokens=8, stream=True)]
    assert any("completed" in kind.lower() or "incomplete" in kind.lower() for kind in kinds), kinds


def too_long():
    long = [{"role": "user", "content": TOO_LONG}]
    raises(litellm.ContextWindowExceededError, lambda: litellm.completion(**TO, messages=long))
    raises(litellm.ContextWindowExceededError, lambda: litellm.completion(**VLLM, messages=long))


def unknown_model():
    raises(litellm.NotFoundError, lambda: litellm.completion(**{**TO, "model": "openai/nobody"}, messages=ASK))


run("litellm", {
    "chat": chat, "chat, streamed": chat_stream, "chat, async": chat_async, "several answers": several, "completion": completion,
    "completion, streamed": completion_stream, "log-probabilities": logprobs, "tool call and its result": tool_and_result,
    "tool call, streamed": tool_stream, "answer as a class": schema, "JSON object": json_object, "responses": responses,
    "responses, streamed": responses_stream, "prompt too long": too_long, "unknown model": unknown_model,
})
