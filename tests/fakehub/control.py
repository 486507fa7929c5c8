"""Steering a hub that runs as a process: the paths below `/_fakehub/`."""

import json
from dataclasses import asdict

from fakehub.exchange import Request, Response
from fakehub.faults import Fault, FaultTable
from fakehub.record import RequestLog


class Control:
    """Answers `requests` (GET, DELETE), `faults` (GET, POST, DELETE) and `release` (POST) below `/_fakehub/`."""

    def __init__(self, faults: FaultTable, requests: RequestLog) -> None:
        self._faults = faults
        self._requests = requests

    def __call__(self, request: Request) -> Response:
        """Answer one request; 400 with the reason when it asks for something impossible."""
        match request.method, request.path.removeprefix("/_fakehub/"):
            case "GET", "requests":
                return Response.json(self._summary())
            case "DELETE", "requests":
                self._requests.clear()
            case "GET", "faults":
                return Response.json(self._faults.describe())
            case "POST", "faults":
                return self._add(request.body)
            case "DELETE", "faults":
                self._faults.clear()
            case "POST", "release":
                self._faults.release()
            case _:
                return Response.json({"error": f"no {request.method} {request.path}"}, 404)
        return Response(204)

    def _summary(self) -> dict[str, object]:
        return {
            "requests": [asdict(record) for record in self._requests],
            "bytes": {listener: self._requests.bytes_sent(listener) for listener in ("hub", "cdn")},
        }

    def _add(self, body: bytes) -> Response:
        try:
            fault = self._faults.add(Fault.from_json(json.loads(body)))
        except (TypeError, ValueError) as error:
            return Response.json({"error": str(error)}, 400)
        return Response.json(fault.to_json(), 201)
