"""A server on loopback that speaks the chat-completions protocol, and corpora of sentences."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from agt_lib.corpus import build
from agt_lib.emotions import EMOTIONS

KEY = "sk-loopback-0123456789abcdef"
WORDS = ["worry", "happiness", "neutral", "anger", "surprise", "sadness"]
LABELS = ("worried", "happy", "neutral", "angry", "surprise", "sad")


def completion(content, *, refusal=None, finish_reason="stop", usage=(100, 40)):
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "gpt-4-0613",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {
            "prompt_tokens": usage[0],
            "completion_tokens": usage[1],
            "total_tokens": sum(usage),
        },
    }


def ranking(first="anger", words=WORDS):
    return json.dumps({"ranking": [first, *(word for word in words if word != first)]})


def error(message, **details):
    return {"error": {"message": message, "type": "x", "param": None, "code": None} | details}


class Server:
    """Answers by `script(asked, n)`: the text asked about, and how often it was before.

    What it returns is (status, body, headers); body a dict, bytes, or a callable that gets the
    handler and does what it likes with the connection.
    """

    def __init__(self):
        self.script = lambda asked, n: (200, completion(ranking()), {})
        self.requests, self.times, self.authorizations = [], [], []
        self.seen = Counter()
        self.now, self.most = 0, 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.handle(self)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def handle(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            asked = text_of(body)
            n = self.seen[asked]
            self.seen[asked] += 1
            self.requests.append(body)
            self.times.append(time.monotonic())
            self.authorizations.append(handler.headers["Authorization"])
        try:
            if handler.path != "/v1/chat/completions":
                status, content, headers = 404, error(f"no {handler.path}"), {}
            else:
                status, content, headers = self.script(asked, n)
            if callable(content):
                content(handler)
                return
            content = json.dumps(content).encode() if isinstance(content, dict) else content
            handler.send_response(status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content)
        except OSError:
            handler.close_connection = True  # the client has left
        finally:
            with self._lock:
                self.now -= 1

    def close(self):
        self._http.shutdown()
        self._http.server_close()


def text_of(body):
    """The transcript that a request asks about."""
    question = body["messages"][1]["content"]
    line = next(line for line in question.splitlines() if line.startswith(("Words: ", '台词："')))
    return json.loads(line.removeprefix("Words: ").removeprefix("台词："))


@pytest.fixture
def server(monkeypatch):
    """A server whose URL and key are in the environment."""
    running = Server()
    monkeypatch.setenv("OPENAI_BASE_URL", running.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_MODEL", raising=False)
    for proxy in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    yield running
    running.close()


@pytest.fixture
def said():
    """Make a corpus of test clips that say `texts`."""

    def make(*texts, **columns):
        table = pd.DataFrame({"name": [f"clip{i}" for i in range(len(texts))], "text": texts})
        table = table.assign(split="test").assign(**columns)
        return build("said", table, source="the test", check_files=False)

    return make


@pytest.fixture
def labelled():
    """Make a corpus whose words tell the label, and its folds: `n` clips of each label.

    `shuffle` permutes the labels, so that words tell nothing.
    """

    def make(n=10, shuffle=None, n_folds=5, n_test=6):
        cues = ("table", "grr", "yippee", "sob", "uh oh", "wow")
        emotions = np.repeat(EMOTIONS, n)
        rng = np.random.default_rng(0)
        fillers = ("the tea", "my bag", "a train", "our house", "some bread", "that key")
        texts = [
            f"{cues[EMOTIONS.index(e)]}, {fillers[rng.integers(6)]} {i}"
            for i, e in enumerate(emotions)
        ]
        if shuffle is not None:
            emotions = np.random.default_rng(shuffle).permutation(emotions)
        table = pd.DataFrame({"name": [f"c{i}" for i in range(len(texts))], "text": texts})
        table["emotion"], table["split"] = emotions, "train"
        test = pd.DataFrame(
            {
                "name": [f"t{i}" for i in range(n_test)],
                "text": [f"{cues[i % 6]}, the lamp {i}" for i in range(n_test)],
                "split": "test",
            }
        )
        table = pd.concat([table, test])
        corpus = build("words", table, source="the test", check_files=False)
        numbers = np.tile(np.arange(n_folds), len(emotions) // n_folds + 1)[: len(emotions)]
        return corpus, pd.Series(numbers, index=corpus.labelled.index, name="fold")

    return make
