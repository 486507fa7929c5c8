"""The model servers of the test images serve generated models through the API that clients use."""

import importlib.util
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from models.gguf import write_gguf

IMAGES = Path(__file__).parents[1] / "images"
LLAMA_SERVER = IMAGES / "model-server" / "llama_server.py"


def script(path: Path) -> ModuleType:
    """A script of an image as a module."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    write_gguf(path)
    return path


@pytest.fixture
def llama_server(model: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of a server with the flags the chart sets and one it may set; it must end at once when told to."""
    command = [sys.executable, str(LLAMA_SERVER), "--model", str(model), "--alias", "tiny", "--host", "127.0.0.1"]
    command += ["--port", "0", "-c", "512", "--threads", "1", "-ngl", "99"]
    log = tmp_path / "log"
    with log.open("w") as err, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().removeprefix("listening on ").strip()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == signal.SIGTERM
        finally:
            process.kill()  # Popen's own end waits without limit: a server that hangs must fail the test, not hold it
    assert log.read_text().startswith("warning: ignored arguments: -ngl 99\n")


def ask(url: str, question: dict[str, Any] | None = None) -> Any:
    body = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())


def test_a_generated_model_answers_in_words_through_llama_cpps_server(llama_server: str) -> None:
    assert ask(f"{llama_server}/health") == {"status": "ok"}
    assert ask(f"{llama_server}/v1/models")["data"][0]["id"] == "tiny"
    question = {"messages": [{"role": "user", "content": "What is a pod?"}], "max_tokens": 8, "temperature": 0}
    answers = [ask(f"{llama_server}/v1/chat/completions", question) for _ in range(2)]
    texts = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert answers[0]["usage"]["completion_tokens"] == 8
    assert texts[0].replace(" ", "").isalpha()
    assert texts[0] == texts[1]


@pytest.mark.parametrize("content", [None, b"<html>not a model</html>"])
def test_a_server_without_a_model_ends_with_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    command = [sys.executable, str(LLAMA_SERVER), "--model", str(path), "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert (f"model {str(path)!r} is not readable" if content is None else "failed to load model") in result.stderr


def test_a_signal_ends_llama_cpps_server_even_while_it_loads() -> None:
    """Loading holds the interpreter lock, so a handler in Python would wait for it."""
    code = "import ctypes, llama_server; llama_server.die_at_once_when_told(); print('loading', flush=True); "
    command = [sys.executable, "-c", code + "ctypes.PyDLL(None).pause()"]
    with subprocess.Popen(command, cwd=LLAMA_SERVER.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.terminate()
        assert process.wait(timeout=60) == signal.SIGTERM


def test_vllms_arguments_become_those_of_mlx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = script(IMAGES / "mlx-server" / "mlx_server.py")
    (tmp_path / "config.json").write_text("{}")
    given = ["serve", str(tmp_path), "--port", "8000", "--served-model-name", "tiny", "--max-model-len", "512"]
    options = server.parse(given)
    assert options.served_model_name == "tiny"
    expected = ["mlx_lm.server", "--model", str(tmp_path), "--host", "0.0.0.0", "--port", "8000"]
    assert server.mlx_command(options) == expected
    assert capsys.readouterr().err == "warning: ignored arguments: --max-model-len 512\n"


def test_a_folder_without_a_model_is_refused_before_mlx_starts(tmp_path: Path) -> None:
    server = script(IMAGES / "mlx-server" / "mlx_server.py")
    with pytest.raises(SystemExit, match=r"is no folder with a config\.json"):
        server.parse(["serve", str(tmp_path)])
