"""Uploads of 64 MiB that the server refuses, through Python's HTTP clients: what each can read of the refusal, and its next request."""

import json
import os
import urllib.error
import urllib.request

import httpx
import requests

URL, KEY = os.environ["TROUPE_URL"], os.environ["TROUPE_UPLOAD_KEY"]
BODY = bytes(64 * 2**20)
BOUNDARY = "troupe-uploads"
SECONDS = 60
# adapter, name of the file, times the body, key; and the refusal: status and code.
REFUSALS = {
    "wrong key": ("big", "adapter_model.safetensors", 1, "wrong-key-1", 401, "invalid_api_key"),
    "bad name": ("Big Name", "adapter_model.safetensors", 1, KEY, 400, "invalid_request"),
    "pickle": ("big", "adapter_model.bin", 1, KEY, 400, "pickle_refused"),
    "too large": ("big", "adapter_model.safetensors", 2, KEY, 413, "upload_too_large"),
}


def path(adapter: str) -> str:
    return f"{URL}/v1/adapters/{adapter.replace(' ', '%20')}/versions"


def by_urllib(adapter: str, name: str, times: int, key: str):
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    data = head.encode() + BODY * times + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"authorization": f"Bearer {key}", "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    try:
        urllib.request.urlopen(urllib.request.Request(path(adapter), data, headers), timeout=SECONDS)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]["code"], 200
    return 200, None, 200


def by_session(session, adapter: str, name: str, times: int, key: str):
    answer = session.post(path(adapter), files={"files": (name, BODY * times)}, headers={"authorization": f"Bearer {key}"},
                          timeout=SECONDS)
    after = session.get(f"{URL}/v1/models", headers={"authorization": f"Bearer {KEY}"}, timeout=SECONDS)
    return answer.status_code, answer.json()["error"]["code"], after.status_code


def tried(client: str, send) -> None:
    for name, (adapter, file, times, key, status, code) in REFUSALS.items():
        try:
            found = send(adapter, file, times, key)
            fault = None if found == (status, code, 200) else f"{found} in place of {(status, code, 200)}"
        except Exception as error:  # noqa: BLE001: what a client makes of it is what is looked for
            fault = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps({"client": client, "call": name, "fault": fault}), flush=True)


tried("urllib", by_urllib)
with requests.Session() as one:
    tried("requests", lambda *call: by_session(one, *call))
with httpx.Client() as one:
    tried("httpx", lambda *call: by_session(one, *call))
