"""`python -m fakehub`: the hub as a process of its own."""

import argparse
import json
import signal
from pathlib import Path

from fakehub.hub import FakeHub


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} must be HOST:PORT")
    return host, int(port)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="fakehub", description="Serve a directory of models as the Hugging Face hub does."
    )
    parser.add_argument("--root", type=Path, required=True, help="directory with ORG/REPO/REVISION/ and files/")
    parser.add_argument("--listen", type=_address, required=True, help="HOST:PORT of the hub, port 0 for any free one")
    parser.add_argument("--cdn-listen", type=_address, required=True, help="HOST:PORT of the CDN, another one")
    parser.add_argument("--public-url", help="URL under which clients reach the hub, if another one")
    parser.add_argument("--cdn-url", help="URL under which clients reach the CDN, if another one")
    parser.add_argument(
        "--request-log", type=Path, required=True, help="file to which requests are appended as JSON lines"
    )
    parser.add_argument("--signature-seconds", type=float, default=3600, help="how long addresses of the CDN hold")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or SIGINT; one JSON line on standard output tells the URLs."""
    arguments = _arguments()
    stop = {signal.SIGTERM, signal.SIGINT}
    # Blocked before any thread starts, so that only the wait below receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with FakeHub(
        arguments.root,
        listen=arguments.listen,
        cdn_listen=arguments.cdn_listen,
        public_url=arguments.public_url,
        cdn_url=arguments.cdn_url,
        request_log=arguments.request_log,
        signature_seconds=arguments.signature_seconds,
    ) as hub:
        print(json.dumps({"endpoint": hub.endpoint, "cdn": hub.cdn_url}), flush=True)
        signal.sigwait(stop)


if __name__ == "__main__":
    main()
