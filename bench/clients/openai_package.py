"""The openai package, which most of the others are built on."""

import openai
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from pydantic import BaseModel, Field

from calls import ASK, BASE, KEY, MODEL, TOO_LONG, WEATHER, raises, run

client = OpenAI(base_url=BASE, api_key=KEY, max_retries=0)


class City(BaseModel):
    name: str = Field(max_length=10)
    inhabitants: int = Field(ge=0, le=99)


def models():
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL


def chat():
    answer = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=8, seed=1, user="me", store=False)
    assert answer.choices[0].message.content and answer.usage.completion_tokens > 0


def chat_stream():
    stream = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=8, stream=True,
                                            stream_options={"include_usage": True})
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage.completion_tokens > 0


def chat_n():
    answer = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=4, n=3, temperature=1)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


async def chat_async():
    async with AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0) as one:
        answer = await one.chat.completions.create(model=MODEL, messages=ASK, max_tokens=4)
        assert answer.choices[0].message.content


def completion():
    answer = client.completions.create(model=MODEL, prompt=["Ticket: a", "Ticket: b"], max_tokens=4, logprobs=2)
    assert len(answer.choices) == 2 and len(answer.choices[0].logprobs.tokens) == len(answer.choices[0].logprobs.top_logprobs)


def completion_stream():
    stream = client.completions.create(model=MODEL, prompt="Ticket: a", max_tokens=8, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream)


def token_ids():
    answer = client.completions.create(model=MODEL, prompt=[20, 30, 40], max_tokens=4, extra_body={"return_token_ids": True})
    assert len(answer.choices[0].token_ids) == answer.usage.completion_tokens


def logprobs():
    answer = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=4, logprobs=True, top_logprobs=2)
    first = answer.choices[0].logprobs.content[0]
    assert first.logprob <= 0 and len(first.top_logprobs) == 2 and bytes(first.bytes).decode() == first.token


def tool_and_result():
    named = {"type": "function", "function": {"name": "weather"}}
    answer = client.chat.completions.create(model=MODEL, messages=ASK, tools=[WEATHER], tool_choice=named, max_tokens=80)
    message = answer.choices[0].message
    assert message.tool_calls[0].function.name == "weather"
    history = [*ASK, message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}]
    again = client.chat.completions.create(model=MODEL, messages=history, tools=[WEATHER], tool_choice="none", max_tokens=4)
    assert again.choices[0].finish_reason in ("stop", "length")


def tool_stream():
    with client.chat.completions.stream(model=MODEL, messages=ASK, tools=[WEATHER], tool_choice="required",
                                        max_tokens=80) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.parsed_arguments["city"] is not None


def schema():
    answer = client.chat.completions.parse(model=MODEL, messages=ASK, response_format=City, max_tokens=120)
    assert isinstance(answer.choices[0].message.parsed, City)


def schema_stream():
    with client.chat.completions.stream(model=MODEL, messages=ASK, response_format=City, max_tokens=120) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, City)


def pydantic_tool():
    answer = client.chat.completions.parse(model=MODEL, messages=ASK, tools=[pydantic_function_tool(City)],
                                           tool_choice="required", max_tokens=120)
    assert isinstance(answer.choices[0].message.tool_calls[0].function.parsed_arguments, City)


def json_object():
    answer = client.chat.completions.create(model=MODEL, messages=ASK, response_format={"type": "json_object"}, max_tokens=20)
    assert answer.choices[0].message.content.lstrip().startswith("{")


def responses():
    answer = client.responses.create(model=MODEL, input="Hello", instructions="Be kind.", max_output_tokens=8, store=False)
    assert answer.output_text and answer.usage.output_tokens > 0


def responses_stream():
    with client.responses.stream(model=MODEL, input=ASK, max_output_tokens=120, text_format=City) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text and "response.output_text.delta" in kinds


def responses_parse():
    answer = client.responses.parse(model=MODEL, input="A city", text_format=City, max_output_tokens=120)
    assert isinstance(answer.output_parsed, City)


def too_long():
    call = lambda: client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": TOO_LONG}])
    raises(openai.BadRequestError, call, "context_length_exceeded")


def unknown_model():
    call = lambda: client.chat.completions.create(model="nobody", messages=ASK)
    raises(openai.NotFoundError, call, "model_not_found")


run("openai", {
    "list models": models, "chat": chat, "chat, streamed": chat_stream, "chat, async": chat_async, "several answers": chat_n,
    "completion": completion, "completion, streamed": completion_stream, "token ids": token_ids, "log-probabilities": logprobs,
    "tool call and its result": tool_and_result, "tool call, streamed": tool_stream, "tool from a class": pydantic_tool,
    "answer as a class": schema, "answer as a class, streamed": schema_stream, "JSON object": json_object,
    "responses": responses, "responses, streamed": responses_stream, "responses, as a class": responses_parse,
    "prompt too long": too_long, "unknown model": unknown_model,
})
