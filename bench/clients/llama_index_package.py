"""llama-index's class for servers of OpenAI's form."""

import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel, Field

from calls import BASE, KEY, MODEL, TOO_LONG, raises, run

TO = {"model": MODEL, "api_base": BASE, "api_key": KEY, "max_retries": 0, "context_window": 1024}
ASK = [ChatMessage(role="user", content="How is the weather in Bern?")]


class City(BaseModel):
    """A city."""

    name: str = Field(max_length=10)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sun in {city}"


def model(max_tokens: int = 8, **more):
    return OpenAILike(**TO, is_chat_model=True, max_tokens=max_tokens, **more)


def chat():
    assert model().chat(ASK).message.content


def chat_stream():
    assert "".join(part.delta or "" for part in model().stream_chat(ASK))


async def chat_async():
    assert (await model(4).achat(ASK)).message.content


def completion():
    assert OpenAILike(**TO, is_chat_model=False, max_tokens=4).complete("Ticket: a").text


def completion_stream():
    parts = OpenAILike(**TO, is_chat_model=False, max_tokens=8).stream_complete("Ticket: a")
    assert "".join(part.delta or "" for part in parts)


def logprobs():
    assert len(model(4, logprobs=True, top_logprobs=2).chat(ASK).logprobs[0]) == 2


def tool_and_result():
    one = model(80, is_function_calling_model=True, strict=True)
    tool = FunctionTool.from_defaults(weather)
    answer = one.chat_with_tools([tool], chat_history=ASK, tool_required=True)
    calls = one.get_tool_calls_from_response(answer)
    assert calls[0].tool_name == "weather"
    result = ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": calls[0].tool_id})
    assert model(4).chat([*ASK, answer.message, result]).message is not None


def schema():
    one = model(120, is_function_calling_model=True, should_use_structured_outputs=True)
    assert isinstance(one.as_structured_llm(City).chat(ASK).raw, City)


def too_long():
    call = lambda: model().chat([ChatMessage(role="user", content=TOO_LONG)])
    raises(openai.BadRequestError, call, "context_length_exceeded")


def unknown_model():
    raises(openai.NotFoundError, lambda: OpenAILike(**{**TO, "model": "nobody"}, is_chat_model=True).chat(ASK))


run("llama-index-llms-openai-like", {
    "chat": chat, "chat, streamed": chat_stream, "chat, async": chat_async, "completion": completion,
    "completion, streamed": completion_stream, "log-probabilities": logprobs, "tool call and its result": tool_and_result,
    "answer as a class": schema, "prompt too long": too_long, "unknown model": unknown_model,
})
