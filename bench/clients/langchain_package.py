"""langchain-openai."""

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel, Field

from calls import BASE, KEY, MODEL, TOO_LONG, raises, run

TO = {"model": MODEL, "base_url": BASE, "api_key": KEY, "max_retries": 0}
ASK = "How is the weather in Bern?"


class City(BaseModel):
    """A city."""

    name: str = Field(max_length=10)


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sun in {city}"


def chat():
    answer = ChatOpenAI(**TO, max_tokens=8).invoke(ASK)
    assert answer.content and answer.usage_metadata["output_tokens"] > 0


def chat_stream():
    assert "".join(chunk.text for chunk in ChatOpenAI(**TO, max_tokens=8, stream_usage=True).stream(ASK))


async def chat_async():
    assert (await ChatOpenAI(**TO, max_tokens=4).ainvoke(ASK)).content


def several():
    assert len(ChatOpenAI(**TO, max_tokens=4, n=3, temperature=1).generate([[HumanMessage(ASK)]]).generations[0]) == 3


def completion():
    assert OpenAI(**TO, max_tokens=4).invoke("Ticket: a")


def completion_stream():
    assert "".join(OpenAI(**TO, max_tokens=8).stream("Ticket: a"))


def logprobs():
    answer = ChatOpenAI(**TO, max_tokens=4, logprobs=True, top_logprobs=2).invoke(ASK)
    assert len(answer.response_metadata["logprobs"]["content"][0]["top_logprobs"]) == 2


def tool_and_result():
    bound = ChatOpenAI(**TO, max_tokens=80).bind_tools([weather], tool_choice="weather", strict=True)
    answer = bound.invoke(ASK)
    call = answer.tool_calls[0]
    assert call["name"] == "weather" and "city" in call["args"]
    result = ToolMessage("sunny", tool_call_id=call["id"])
    ChatOpenAI(**TO, max_tokens=4).bind_tools([weather]).invoke([HumanMessage(ASK), answer, result])


def tool_stream():
    bound = ChatOpenAI(**TO, max_tokens=80).bind_tools([weather], tool_choice="required", strict=True)
    whole = None
    for chunk in bound.stream(ASK):
        whole = chunk if whole is None else whole + chunk
    assert whole.tool_calls[0]["name"] == "weather"


def schema():
    for method in ("json_schema", "function_calling"):
        answer = ChatOpenAI(**TO, max_tokens=120).with_structured_output(City, method=method).invoke(ASK)
        assert isinstance(answer, City), f"{method}: {answer}"


def json_object():
    bound = ChatOpenAI(**TO, max_tokens=120).bind(response_format={"type": "json_object"})
    assert bound.invoke(ASK).content.lstrip().startswith("{")


def responses():
    answer = ChatOpenAI(**TO, max_tokens=8, use_responses_api=True).invoke(ASK)
    assert answer.text


def responses_stream():
    assert "".join(chunk.text for chunk in ChatOpenAI(**TO, max_tokens=8, use_responses_api=True).stream(ASK))


def responses_schema():
    model = ChatOpenAI(**TO, max_tokens=80, use_responses_api=True)
    assert isinstance(model.with_structured_output(City, method="json_schema").invoke(ASK), City)


def too_long():
    raises(openai.BadRequestError, lambda: ChatOpenAI(**TO).invoke(TOO_LONG), "context_length_exceeded")


def unknown_model():
    raises(openai.NotFoundError, lambda: ChatOpenAI(**{**TO, "model": "nobody"}).invoke(ASK))


run("langchain-openai", {
    "chat": chat, "chat, streamed": chat_stream, "chat, async": chat_async, "several answers": several, "completion": completion,
    "completion, streamed": completion_stream, "log-probabilities": logprobs, "tool call and its result": tool_and_result,
    "tool call, streamed": tool_stream, "answer as a class": schema, "JSON object": json_object, "responses": responses,
    "responses, streamed": responses_stream, "responses, as a class": responses_schema, "prompt too long": too_long,
    "unknown model": unknown_model,
})
