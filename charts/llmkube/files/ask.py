"""What `helm test` runs: asks the server through its Service whether it is well, and which models it has.

Needs nothing but Python's standard library. The environment says what to ask for:
LLMKUBE_TEST_ADDRESS, LLMKUBE_TEST_PATHS (separated by spaces), LLMKUBE_TEST_SECONDS, LLMKUBE_TEST_KEY (optional).
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request

PASSING = (502, 503, 504)  # a pod that is being replaced, or a proxy before one


def fetch(url: str, key: str) -> bytes:
    """Returns what is at a URL, without any proxy: the server is in the cluster."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return bytes(answer.read())


def ask(url: str, key: str, deadline: float) -> bytes:
    """Returns what is at a URL; asks again, until the deadline, where a failure may pass."""
    while True:
        try:
            return fetch(url, key)
        except (OSError, http.client.HTTPException) as error:
            final = isinstance(error, urllib.error.HTTPError) and error.code not in PASSING
            if final or time.monotonic() > deadline:
                raise
        time.sleep(1)


def models(body: bytes) -> list[str]:
    """Returns the names in a list of models as OpenAI's API has it."""
    try:
        names = [str(model["id"]) for model in json.loads(body)["data"]]
    except (ValueError, LookupError, TypeError):
        raise ValueError("is no list of models") from None
    if not names:
        raise ValueError("lists no model")
    return names


def check(address: str, path: str, key: str, deadline: float) -> str:
    """Returns what the server said, in a few words."""
    try:
        body = ask(address + path, key, deadline)
    except urllib.error.HTTPError as error:
        if path:
            raise
        return f"answers with {error.code}"  # where nothing is known about the server, any answer will do
    return f"lists {', '.join(models(body))}" if path.endswith("/models") else "is well"


def tell(address: str, path: str, key: str, deadline: float) -> bool:
    """Prints what the server said; returns whether it was right."""
    try:
        print(f"{address}{path} {check(address, path, key, deadline)}", flush=True)
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"{address}{path}: {error}: look at the server's log", file=sys.stderr)
        return False
    return True


def main() -> int:
    """Asks for each path; returns the exit status."""
    address, key = os.environ["LLMKUBE_TEST_ADDRESS"], os.environ.get("LLMKUBE_TEST_KEY", "")
    deadline = time.monotonic() + float(os.environ["LLMKUBE_TEST_SECONDS"])
    paths = os.environ["LLMKUBE_TEST_PATHS"].split() or [""]
    return 0 if all(tell(address, path, key, deadline) for path in paths) else 1


if __name__ == "__main__":
    sys.exit(main())
