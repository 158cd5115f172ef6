"""Runs the calls of one client and prints what became of each, one JSON object a line."""

import asyncio
import inspect
import json
import os
from importlib.metadata import version

URL = os.environ["TROUPE_URL"]
BASE = f"{URL}/v1"
KEY = "any"
MODEL = "demo"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 12}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
ASK = [{"role": "user", "content": "How is the weather in Bern?"}]
TOO_LONG = "word " * 5000


def raises(kind, call, has: str = "") -> None:
    """The call must end in the client's own error class."""
    try:
        call()
    except kind as error:
        assert has in str(error), f"{kind.__name__} says {str(error)[:200]}"
        return
    raise AssertionError(f"nothing was raised in place of {kind.__name__}")


def run(package: str, calls: dict) -> None:
    print(json.dumps({"package": package, "version": version(package)}), flush=True)
    for name, call in calls.items():
        fault = None
        try:
            if inspect.iscoroutinefunction(call):
                asyncio.run(call())
            else:
                call()
        except Exception as error:  # noqa: BLE001: whatever a client raises is what its row shows
            fault = f"{type(error).__name__}: {error}"[:400]
        print(json.dumps({"call": name, "fault": fault}), flush=True)
