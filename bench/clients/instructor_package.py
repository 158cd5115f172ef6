"""instructor, in each of its ways to get an object out of a model."""

import instructor
import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, ConfigDict, Field

from calls import ASK, BASE, KEY, MODEL, TOO_LONG, run


class City(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=10)


def client(mode):
    return instructor.from_openai(OpenAI(base_url=BASE, api_key=KEY, max_retries=0), mode=mode)


def ask(mode, **more):
    answer = client(mode).chat.completions.create(model=MODEL, messages=ASK, max_tokens=120, max_retries=0, response_model=City, **more)
    assert isinstance(answer, City)


def tools():
    ask(instructor.Mode.TOOLS)


def tools_strict():
    ask(instructor.Mode.TOOLS_STRICT)


def schema():
    ask(instructor.Mode.JSON_SCHEMA)


def stream():
    parts = client(instructor.Mode.JSON_SCHEMA).chat.completions.create_partial(
        model=MODEL, messages=ASK, max_tokens=120, max_retries=0, response_model=City)
    assert list(parts)[-1].name is not None


async def asynchronous():
    one = instructor.from_openai(AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0), mode=instructor.Mode.JSON_SCHEMA)
    assert isinstance(await one.chat.completions.create(model=MODEL, messages=ASK, max_tokens=120, max_retries=0, response_model=City), City)


def too_long():
    try:
        client(instructor.Mode.JSON_SCHEMA).chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": TOO_LONG}], max_retries=0, response_model=City)
    except Exception as error:  # instructor wraps what the openai package raises
        assert "context_length_exceeded" in str(error), str(error)[:300]
        return
    raise AssertionError("nothing was raised")


run("instructor", {
    "chat, async": asynchronous, "tool from a class": tools, "tool from a class, strict": tools_strict, "answer as a class": schema,
    "answer as a class, streamed": stream, "prompt too long": too_long,
})
