"""An endpoint on loopback that fails in nine ways; what it was asked it forgets with the trial."""

import json
import os
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAYS = (
    "timeout", "limit", "error", "cut", "json", "drip", "closed", "huge", "redirect",
)  # fmt: skip
"""The first word of a text says how its first request fails; a huge body is sent each time."""
ADDRESS = "TORTURE_SERVER"
WORDS = ("worry", "happiness", "neutral", "anger", "surprise", "sadness")


def of_trial(trial: str) -> str:
    """The URL of a trial: its requests are counted by themselves."""
    return f"{os.environ[ADDRESS]}/{trial}/v1"


def serve() -> None:
    """Start the server in a process of its own; its URL stands in the environment."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads, server.handle_error = True, lambda *_: None  # killed clients have left
    os.environ[ADDRESS] = f"http://127.0.0.1:{server.server_port}"
    parent = os.getpid()
    if os.fork():
        server.socket.close()
        return
    server.timeout = 1.0
    while os.getppid() == parent:
        server.handle_request()
    os._exit(0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = Counter()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][1]["content"]
        text = next(line for line in question.splitlines() if line.startswith("Words: "))
        repaired = len(body["messages"]) > 2
        self.asked[self.path, text] += 1
        way = next(way for way in (*WAYS, "good") if way in text)
        first = self.asked[self.path, text] == 1
        order = [WORDS[(i + len(text)) % 6] for i in range(6)]
        content = json.dumps({"ranking": order})
        if way == "json" and not repaired:
            content = '{"ranking": [oh'
        message = {"role": "assistant", "content": content}
        answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        sent, status, headers = json.dumps(answer).encode(), 200, {}
        if way == "huge":
            sent = b" " * 200_000 + sent
        elif first and way == "timeout":
            time.sleep(0.8)
        elif first and way == "limit":
            status, headers = 429, {"Retry-After": "0.1"}
        elif first and way == "error":
            status = 500
        elif first and way == "redirect":
            status, headers = 307, {"Location": "http://127.0.0.1:9/"}
        try:
            if first and way == "closed":
                self.connection.close()
                return
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(sent))}).items():
                self.send_header(name, value)
            self.end_headers()
            if first and way == "cut":
                self.wfile.write(sent[: len(sent) // 2])
                self.connection.close()
            elif first and way == "drip":
                for byte in sent[:10]:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.1)
            else:
                self.wfile.write(sent)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
