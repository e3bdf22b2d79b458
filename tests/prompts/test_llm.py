"""The ranker of a language model, against a server on loopback that behaves in every bad way."""

import gzip
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest

from agt_lib.prompts import LLMRanker, RankingError, endpoint, llm
from agt_lib.workspace import paths
from agt_lib.workspace.shards import Shards

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
        self._http.handle_error = lambda *_: None  # a client that was killed has left
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


ANGER_FIRST = ("angry", *(label for label in LABELS if label != "angry"))


@pytest.fixture
def ranker(monkeypatch):
    """Make a ranker of the options given, with module constants for `workers` and the like."""

    def make(workers=8, timeout=5.0, retries=1, **options):
        monkeypatch.setattr(llm, "WORKERS", workers)
        monkeypatch.setattr(endpoint, "TIMEOUT", timeout)
        monkeypatch.setattr(endpoint, "RETRIES", retries)
        return LLMRanker(**({"language": "en"} | options))

    return make


def ranked(ranker, corpus):
    return ranker.rank(corpus)


def answers():
    return Shards(paths.derived() / "answers")


def order(rankings, name):
    """The labels of a clip in order, or None."""
    row = rankings.table.loc[name]
    return None if row.isna().any() else tuple(row)


def reasons(rankings):
    return rankings.failures.set_index("name")[["stage", "reason"]].apply(tuple, axis=1).to_dict()


class TestGoodAnswers:
    def test_each_clip_gets_its_ranking_in_the_corpus_order(self, server, said, ranker):
        first = {"grr": "anger", "sob": "sadness", "wow": "surprise"}
        server.script = lambda asked, n: (200, completion(ranking(first[asked])), {})
        rankings = ranked(ranker(), said("wow", "grr", "sob"))
        assert rankings.table["rank1"].tolist() == ["surprise", "angry", "sad"]
        assert order(rankings, "clip1") == ANGER_FIRST
        assert rankings.failures.empty

    def test_it_asks_the_papers_model_without_chance(self, server, said, ranker):
        ranked(ranker(), said("so"))
        (body,) = server.requests
        assert body["model"] == "gpt-4"
        assert body["temperature"] == 0
        assert body["max_tokens"] == 200
        assert server.authorizations == [f"Bearer {KEY}"]

    def test_the_model_may_come_from_the_environment(self, server, said, ranker, monkeypatch):
        monkeypatch.setenv("OPENAI_MODEL", "qwen")
        ranked(ranker(), said("so"))
        assert server.requests[0]["model"] == "qwen"

    def test_equal_texts_are_asked_for_once_and_clips_without_words_never(
        self, server, said, ranker
    ):
        rankings = ranked(ranker(), said("yes", None, "yes", "no", "yes"))
        assert sorted(map(text_of, server.requests)) == ["no", "yes"]
        assert rankings.ranked.tolist() == [True, False, True, True, True]
        assert reasons(rankings) == {"clip1": ("absent", "the clip has no words")}

    def test_requests_run_side_by_side_but_no_more_than_workers(self, server, said, ranker):
        def slowly(asked, n):
            time.sleep(0.05)
            return 200, completion(ranking()), {}

        server.script = slowly
        ranked(ranker(workers=3), said(*map(str, range(12))))
        assert 2 <= server.most <= 3

    def test_chinese_prompts(self, server, said, ranker):
        words = ["担忧", "高兴", "中性", "愤怒", "惊讶", "悲伤"]
        server.script = lambda asked, n: (200, completion(ranking("愤怒", words)), {})
        rankings = ranked(ranker(language="zh"), said("滚出去！"))
        assert order(rankings, "clip0") == ANGER_FIRST

    def test_strange_transcripts_are_asked_for_without_what_is_strange(self, server, said, ranker):
        rankings = ranked(ranker(), said("a\x00\x1bb", "x" * 10_000))
        assert rankings.ranked.all()
        asked = sorted(map(text_of, server.requests), key=len)
        assert asked[0] == "a b"
        assert len(asked[1]) <= 2002

    def test_other_label_sets(self, server, said, ranker):
        server.script = lambda *_: (200, completion('{"ranking": ["stirred", "calm"]}'), {})
        corpus = replace(said("so"), labels=("calm", "stirred"))
        rankings = ranked(ranker(), corpus)
        assert order(rankings, "clip0") == ("stirred", "calm")
        assert rankings.made_by["labels"] == ["calm", "stirred"]


def test_the_labels_of_the_corpus_have_no_part_in_it(server, labelled, ranker):
    corpus, folds = labelled(n=5)
    first = ranker().rank(corpus, folds)
    asked = len(server.requests)
    clips = corpus.clips.assign(emotion=corpus.clips["emotion"].shift())
    second = ranker().rank(replace(corpus, clips=clips), folds)
    assert first.table.equals(second.table)
    assert len(server.requests) == asked


FIVE = json.dumps({"ranking": WORDS[:5]})
TWICE = json.dumps({"ranking": [*WORDS[:5], WORDS[0]]})


class TestAnswersThatAreNoRankings:
    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ('{"ranking": ["anger"', "no JSON object"),
            (FIVE, "missing: sadness"),
            (TWICE, "more than once: worry"),
            (None, "no JSON object"),
            (ranking("\ud800"), "unknown: ?"),
        ],
        ids=["malformed", "five", "twice", "null", "half a character"],
    )
    def test_are_repaired_on_request(self, server, said, ranker, content, problem):
        server.script = lambda asked, n: (200, completion(content if n == 0 else ranking()), {})
        rankings = ranked(ranker(), said("so"))
        assert order(rankings, "clip0") == ANGER_FIRST
        first, second = server.requests
        assert second["messages"][:2] == first["messages"]
        assert second["messages"][2] == {"role": "assistant", "content": content or ""}
        assert problem in second["messages"][3]["content"]

    def test_are_given_up_after_so_many_tries_and_listed(self, server, said, ranker):
        bad = {"bad": FIVE}
        server.script = lambda asked, n: (200, completion(bad.get(asked, ranking())), {})
        rankings = ranked(ranker(), said("good", "bad"))
        assert server.seen["bad"] == 3
        assert order(rankings, "clip0") == ANGER_FIRST
        assert order(rankings, "clip1") is None
        assert reasons(rankings) == {
            "clip1": ("answer", "no ranking in 3 answers; the last: missing: sadness")
        }

    def test_are_not_paid_for_again(self, server, said, ranker):
        server.script = lambda asked, n: (200, completion(FIVE), {})
        first, second = (ranked(ranker(), said("bad")) for _ in range(2))
        assert len(server.requests) == 3
        assert reasons(first) == reasons(second)

    @pytest.mark.parametrize(
        "answer",
        [
            completion(None, refusal="I can't help with that."),
            completion("", finish_reason="content_filter"),
            completion('{"ranking": [', finish_reason="length"),
            completion(ranking() + " " * 1_000_000),
        ],
        ids=["refusal", "filter", "cut", "a megabyte"],
    )
    def test_refusals_and_answers_without_end_are_listed_and_not_repaired(
        self, server, said, ranker, answer
    ):
        server.script = lambda asked, n: (
            200,
            answer if asked == "x" else completion(ranking()),
            {},
        )
        rankings = ranked(ranker(), said("x", "y"))
        assert server.seen["x"] == 1
        assert rankings.ranked.tolist() == [False, True]
        assert reasons(rankings)["clip0"][0] == "refused"

    def test_of_a_megabyte_little_is_kept(self, server, said, ranker):
        server.script = lambda asked, n: (200, completion("x" * 1_000_000), {})
        ranked(ranker(), said("x"))
        (kept,) = answers().folder.glob("*.safetensors")
        assert kept.stat().st_size < 1000


def hang(handler):
    time.sleep(1.0)


def drop(handler):
    body = json.dumps(completion(ranking())).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.close_connection = True


def drip(handler, status=200):
    handler.send_response(status)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def drip_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(100):
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.05)


def drip_interim(handler):
    for _ in range(100):
        handler.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        handler.wfile.flush()
        time.sleep(0.05)


def drop_error(handler):
    handler.send_response(500)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.wfile.flush()
    handler.close_connection = True


def drip_error(handler):
    drip(handler, status=500)


class TestTroubleThatPasses:
    @pytest.mark.parametrize(
        "trouble",
        [
            (500, error("boom"), {}),
            (503, b"<html>busy</html>", {}),
            (200, b"<html>proxy</html>", {}),
            (200, {"choices": []}, {}),
            (200, hang, {}),
            (200, drip, {}),
            (200, drop, {}),
            (200, drip_headers, {}),
            (200, drip_interim, {}),
            (429, error("slow down"), {}),
            (500, drop_error, {}),
            (500, drip_error, {}),
            (500, b"no gzip", {"Content-Encoding": "gzip"}),
            (200, gzip.compress(b'{"choices": []}'), {"Content-Encoding": "gzip"}),
        ],
        ids=[
            "500", "503", "no JSON", "no choices", "time-out", "drip", "dropped",
            "dripping headers", "interim answers without end", "429",
            "dropped 500", "dripping 500", "damaged 500",
            "packed though plain was asked for",
        ],
    )  # fmt: skip
    def test_is_tried_again(self, server, said, ranker, trouble):
        server.script = lambda asked, n: trouble if n == 0 else (200, completion(ranking()), {})
        rankings = ranked(ranker(timeout=0.4), said("so"))
        assert order(rankings, "clip0") == ANGER_FIRST
        assert len(server.requests) == 2
        assert server.times[1] - server.times[0] < 3.0

    def test_of_an_error_without_end_the_start_is_read(self, server, said, ranker):
        sent = []

        def endless(handler):
            handler.send_response(500)
            handler.send_header("Content-Length", str(2**30))
            handler.end_headers()
            for _ in range(1024):
                handler.wfile.write(b"x" * 2**20)
                sent.append(1)

        server.script = lambda asked, n: (500, endless, {})
        rankings = ranked(ranker(retries=0, timeout=30.0), said("so"))
        assert reasons(rankings)["clip0"][0] == "service"
        assert len(sent) < 100  # megabytes; what the sockets hold at most

    def test_retry_after_in_seconds_is_honoured(self, server, said, ranker):
        busy = (429, error("slow down"), {"Retry-After": "1"})
        server.script = lambda asked, n: busy if n == 0 else (200, completion(ranking()), {})
        assert ranked(ranker(), said("so")).ranked.all()
        first, second = server.times
        assert 1.0 <= second - first < 10.0

    def test_retry_after_as_a_date_is_honoured(self, server, said, ranker):
        busy = (503, error("busy"), {"Retry-After": formatdate(time.time() + 2.9, usegmt=True)})
        server.script = lambda asked, n: busy if n == 0 else (200, completion(ranking()), {})
        assert ranked(ranker(), said("so")).ranked.all()
        assert 1.0 <= server.times[1] - server.times[0] < 10.0

    @pytest.mark.parametrize(
        "pause",
        [
            "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "caf\xe9", "-5", "inf", "\xb2",
            "Mon, 01 Jan 2024 25:61:61 GMT",
        ],
    )  # fmt: skip
    def test_a_pause_that_is_none_is_not_looked_at(self, server, said, ranker, pause):
        busy = (503, error("busy"), {"Retry-After": pause})
        server.script = lambda asked, n: busy if n == 0 else (200, completion(ranking()), {})
        assert ranked(ranker(), said("so")).ranked.all()

    def test_a_pause_of_hours_is_not_waited_for(self, server, said, ranker):
        busy = (429, error("come back tomorrow"), {"Retry-After": "7200"})
        server.script = lambda asked, n: busy
        rankings = ranked(ranker(), said("so"))
        assert reasons(rankings)["clip0"][0] == "service"
        assert len(server.requests) == 1

    def test_what_does_not_pass_is_listed_and_asked_again_at_the_next_call(
        self, server, said, ranker
    ):
        down = {"b"}
        server.script = lambda asked, n: (
            (500, error("boom"), {}) if asked in down else (200, completion(ranking()), {})
        )
        rankings = ranked(ranker(), said("a", "b"))
        assert server.seen["b"] == 2
        stage, reason = reasons(rankings)["clip1"]
        assert stage == "service"
        assert "boom" in reason
        down.clear()
        assert ranked(ranker(), said("a", "b")).ranked.all()
        assert server.seen["a"] == 1

    def test_a_dead_endpoint_ends_the_run_soon(self, server, said, ranker):
        server.script = lambda asked, n: (500, error("boom"), {})
        with pytest.raises(RankingError, match="no answer to 10 texts in a row.*boom"):
            ranked(ranker(retries=0, workers=2), said(*map(str, range(100))))
        assert len(server.requests) < 20


class TestOptionsThatTheEndpointLacks:
    def test_newer_models_have_other_names(self, server, said, ranker):
        def script(asked, n):
            body = server.requests[-1]
            for option in ("max_tokens", "temperature"):
                if option in body:
                    return 400, error(f"Unsupported parameter: '{option}'", param=option), {}
            return 200, completion(ranking()), {}

        server.script = script
        assert ranked(ranker(workers=1), said("a", "b")).ranked.all()
        assert server.requests[-1]["max_completion_tokens"] == 200

    def test_a_request_that_is_refused_for_its_text_is_listed(self, server, said, ranker):
        policy = (400, error("content policy", code="content_policy"), {})
        server.script = lambda asked, n: (
            policy if asked == "x" else (200, completion(ranking()), {})
        )
        rankings = ranked(ranker(), said("x", "y"))
        stage, reason = reasons(rankings)["clip0"]
        assert stage == "request"
        assert "content policy" in reason
        assert server.seen["x"] == 1


class TestTroubleThatDoesNotPass:
    @pytest.mark.parametrize(
        ("status", "body", "advice"),
        [
            (401, error("Incorrect API key provided"), "check OPENAI_API_KEY, the URL"),
            (403, error("no"), "check OPENAI_API_KEY, the URL"),
            (404, error("The model `gpt-4` does not exist"), "the URL .it ends in /v1"),
            (429, error("pay", code="insufficient_quota"), "and the quota"),
            (402, error("pay"), "check"),
            (302, {}, "check"),
        ],
    )
    def test_ends_the_run_at_once_and_says_what_to_check(
        self, server, said, ranker, status, body, advice
    ):
        elsewhere = {"Location": f"{server.url}/elsewhere"} if status == 302 else {}
        server.script = lambda asked, n: (status, body, elsewhere)
        with pytest.raises(RankingError, match=rf"(?is){advice}.*0 of 50"):
            ranked(ranker(workers=1), said(*map(str, range(50))))
        assert len(server.requests) <= 2

    def test_what_was_answered_is_kept(self, server, said, ranker):
        good = {"a", "b"}
        server.script = lambda asked, n: (
            (200, completion(ranking()), {}) if asked in good else (401, error("no"), {})
        )
        with pytest.raises(RankingError, match="2 of 4 different texts are ranked and kept"):
            ranked(ranker(workers=1), said("a", "b", "c", "d"))
        good |= {"c", "d"}
        assert ranked(ranker(), said("a", "b", "c", "d")).ranked.all()
        assert server.seen["a"] == server.seen["b"] == 1


class TestMoney:
    # 100 tokens in and 40 out, as the server counts them: 7 dollars at these prices.
    prices = (0.03e6, 0.1e6)

    def test_the_estimate_counts_what_is_not_answered_yet_and_asks_nobody(
        self, server, said, ranker
    ):
        estimate = ranker().estimate(said("a", "b", "b", None))
        assert (estimate["prompts"], estimate["answered"]) == (2, 0)
        assert estimate["tokens_in"] > 100
        assert estimate["dollars"] == pytest.approx(
            (30 * estimate["tokens_in"] + 60 * estimate["tokens_out"]) / 1e6
        )
        assert not server.requests
        ranked(ranker(), said("a"))
        estimate = ranker().estimate(said("a", "b"))
        assert (estimate["prompts"], estimate["answered"]) == (1, 1)

    def test_it_is_said_before_the_first_request(self, server, said, ranker, capsys):
        server.script = lambda *_: (401, error("no"), {})
        with pytest.raises(RankingError):
            ranked(ranker(), said("a"))
        assert "gpt-4: prompts 1, answered 0, tokens_in" in capsys.readouterr().err

    def test_unknown_prices_are_said_and_a_budget_then_refused(self, server, said, ranker):
        assert math.isnan(ranker(model="mine").estimate(said("a"))["dollars"])
        with pytest.raises(ValueError, match=r"\$5 needs the prices of mine.*budget=None"):
            ranker(model="mine", budget=5.0)
        assert ranker(model="mine", budget=5.0, prices=(0.0, 0.0)).prices == (0.0, 0.0)

    def test_the_budget_stops_the_run_with_what_is_done_kept(self, server, said, ranker):
        texts = [f"text {i}" for i in range(20)]
        limited = ranker(budget=60.0, prices=self.prices, workers=4)
        with pytest.raises(RankingError, match=r"(?s)of the budget of \$60 are spent.*kept"):
            ranked(limited, said(*texts))
        done = len(server.requests)
        assert done <= 60 / 7
        assert done >= (60 - 2 * 23) / 7  # a request may cost $23 at most
        assert len(answers().keys()) == done
        assert ranked(ranker(), said(*texts)).ranked.all()
        assert len(server.requests) == 20

    def test_time_outs_count_as_paid(self, server, said, ranker):
        server.script = lambda *_: (200, hang, {})
        limited = ranker(budget=40.0, prices=self.prices, timeout=0.1, workers=1, retries=8)
        with pytest.raises(RankingError, match="budget"):
            ranked(limited, said("a"))
        assert len(server.requests) <= 2


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_pays_for_nothing_twice(server, said, ranker):
    texts = [f"text {i}" for i in range(30)]

    def slowly(asked, n):
        time.sleep(0.05)
        return 200, completion(ranking()), {}

    server.script = slowly
    code = (
        "import pandas as pd\n"
        "from agt_lib.corpora.corpus import build\n"
        "from agt_lib.prompts import LLMRanker, llm\n"
        "texts = [f'text {i}' for i in range(30)]\n"
        "table = pd.DataFrame({'name': texts, 'text': texts, 'split': 'test'})\n"
        "corpus = build('said', table, source='the test', check_files=False)\n"
        "llm.WORKERS = 2\n"
        "LLMRanker(language='en').rank(corpus)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL
    )
    while len(server.requests) < 10 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 10 <= len(server.requests) < 30
    under_way = 2
    assert ranked(ranker(), said(*texts)).ranked.all()
    assert len(server.requests) <= 30 + under_way
    assert max(server.seen.values()) <= 2


class TestTheKey:
    """It appears in no log, cache, notebook, traceback or repr, whatever the endpoint says."""

    @pytest.mark.parametrize(
        "answer",
        [
            (401, error(f"Incorrect API key provided: {KEY}"), {}),
            (400, error(f"bad request with {KEY}"), {}),
            (500, error(f"Bearer {KEY} crashed us"), {}),
            (200, completion(f"your key is {KEY}"), {}),
            (200, completion(None, refusal=f"not with {KEY}"), {}),
            (200, f"<html>{KEY}".encode(), {}),
            (400, error(f"{quote(KEY, safe='')} {b64encode(f'me:{KEY}'.encode()).decode()}"), {}),
        ],
        ids=["401", "400", "500", "answer", "refusal", "no JSON", "encoded"],
    )
    def test_stays_out_of_everything(
        self, server, said, ranker, answer, caplog, capfd, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("OPENAI_LOG", "debug")
        caplog.set_level(logging.DEBUG)
        server.script = lambda asked, n: answer
        asked = ranker(workers=1)
        shown = [repr(asked), str(asked.fingerprint)]
        try:
            rankings = ranked(asked, said(*map(str, range(11))))
            shown.append(rankings.failures.to_csv() + repr(rankings))
        except RankingError as failure:
            failure.__traceback__ = failure.__traceback__.tb_next  # this test's frame has it
            shown += traceback.TracebackException.from_exception(
                failure, capture_locals=True
            ).format()
        shown += [caplog.text, *capfd.readouterr()]
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        shown += [path.read_bytes().decode(errors="replace") for path in files]
        shown += [bytes(answer).decode() for answer in answers().read(answers().keys()).values()]
        assert server.authorizations[0] == f"Bearer {KEY}"
        everything = "".join(shown)
        inside = b64encode(f"me:{KEY}".encode()).decode()[4:-4]
        for form in (KEY, quote(KEY, safe=""), inside):
            found = everything.find(form)
            assert found < 0, everything[found - 300 : found + 100].replace(form, "THE KEY")

    @pytest.mark.parametrize(
        "form",
        [
            KEY.upper(), KEY[::-1], KEY.encode().hex(), KEY.encode().hex(" "), " ".join(KEY),
            "".join(f"%{ord(c):02X}" for c in KEY), "".join(f"%25{ord(c):02x}" for c in KEY),
            "".join(f"\\u{ord(c):04x}" for c in KEY), "".join(f"\\x{ord(c):02x}" for c in KEY),
            "".join(f"&#{ord(c)};" for c in KEY), "".join(f"&#x{ord(c):x};" for c in KEY),
            KEY.replace("-", "&#45;"), urlsafe_b64encode(f"??>{KEY}".encode()).decode(),
            "\n".join(b64encode(f"a{KEY}".encode()).decode()),
        ],
    )  # fmt: skip
    def test_is_found_in_whatever_writing_it_is_echoed(self, server, said, ranker, form):
        server.script = lambda asked, n: (400, error(f"<<{form}>>"), {})
        reason = reasons(ranked(ranker(), said("so")))["clip0"][1]
        assert "***" in reason
        left = "".join(reason.partition("<<")[2].partition(">>")[0].split())
        assert len(left) <= len("***") + 8  # base64's edges, which other bytes share

    def test_a_text_made_to_be_slow_to_search_is_searched(self):
        assert endpoint._forms(KEY).sub("***", "\\" * 65_536 + "s" * 65_536 + KEY).endswith("***")

    def test_in_the_path_of_its_own_url_is_refused(self, said, ranker, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1/{KEY}/v1")
        with pytest.raises(ValueError, match="OPENAI_BASE_URL") as failure:
            ranked(ranker(), said("a"))
        assert KEY not in str(failure.value)

    @pytest.mark.parametrize(
        "url",
        [
            f"http://me:{KEY}@127.0.0.1/v1",
            f"http://127.0.0.1/v1?key={KEY}",
            f"http://127.0.0.1/v1#{KEY}",
            f"http://127.0.0.1/v1;key={KEY}",
            f"http://127.0.0.1/v1/\x1b[2J{KEY}",
            f"{KEY}",
            f"http://[{KEY}/v1",
        ],
    )
    def test_in_a_base_url_is_refused_without_showing_it(
        self, said, ranker, monkeypatch, caplog, url
    ):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("OPENAI_API_KEY", "other")
        with pytest.raises(ValueError, match="OPENAI_BASE_URL") as failure:
            ranked(ranker(), said("a"))
        found = traceback.TracebackException.from_exception(failure.value)
        assert KEY not in "".join(found.format()) + caplog.text

    @pytest.mark.parametrize("key", ["", "  ", f"{KEY}\nsecond line", f"{KEY}é"])
    def test_that_is_none_is_refused_without_showing_it(self, said, ranker, monkeypatch, key):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(ValueError, match="OPENAI_API_KEY") as failure:
            ranked(ranker(), said("a"))
        assert KEY not in "".join(traceback.format_exception(failure.value))

    def test_that_is_short_spoils_no_answer(self, server, said, ranker, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "e")
        assert ranked(ranker(), said("a")).ranked.all()

    def test_may_have_the_line_break_of_a_file_behind_it(self, server, said, ranker, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\r\n")
        assert ranked(ranker(), said("a")).ranked.all()
        assert server.authorizations == [f"Bearer {KEY}"]


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="language is one of zh, en; got 'fr'"):
        LLMRanker(language="fr")


def test_answers_of_another_endpoint_or_model_are_asked_for_anew(server, said, ranker, monkeypatch):
    ranked(ranker(), said("so"))
    ranked(ranker(model="another"), said("so"))
    monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("127.0.0.1", "localhost"))
    ranked(ranker(), said("so"))
    assert len(server.requests) == len(answers().keys()) == 3


@pytest.mark.parametrize("byte", [7, -1])  # of the file's header, of the answer
def test_a_flipped_byte_loses_one_paid_answer_alone(server, said, ranker, byte):
    ranked(ranker(), said(*map(str, range(9))))
    file = sorted(answers().folder.glob("*.safetensors"))[4]
    content = bytearray(file.read_bytes())
    content[byte] ^= 1
    file.write_bytes(content)
    for _ in range(2):
        assert ranked(ranker(), said(*map(str, range(9)))).ranked.all()
        assert len(server.requests) == 9 + 1


class TestSpending:
    request = "x" * 400  # 100 tokens and the frame's 8

    def test_a_million_tokens_cost_the_price(self):
        assert llm._Spending((30.0, 60.0), None).cost(1e6, 5e5) == 60.0

    def test_what_could_go_beyond_the_budget_is_not_begun(self):
        spending = llm._Spending((1000.0, 1000.0), budget=0.7)  # 308 tokens at most: $.308
        for _ in range(2):
            spending.reserve(self.request)((200, 0))
        with pytest.raises(
            RankingError, match=r"\$0.4000 of the budget of \$0.7 .*the next one \$0.308"
        ):
            spending.reserve(self.request)
        assert spending.dollars == pytest.approx(0.4)

    def test_what_is_under_way_is_counted(self):
        spending = llm._Spending((1000.0, 1000.0), budget=0.7)
        settle, _ = [spending.reserve(self.request) for _ in range(2)]
        with pytest.raises(RankingError, match=r"under way may cost \$0.6160"):
            spending.reserve(self.request)
        settle((50, 0))
        spending.reserve(self.request)

    def test_without_an_account_of_tokens_all_that_was_reserved_is_spent(self):
        spending = llm._Spending((1000.0, 1000.0), budget=None)
        spending.reserve(self.request)(None)
        assert spending.dollars == pytest.approx(0.308)

    def test_chinese_characters_count_more_than_letters(self):
        assert llm.count_tokens("天" * 400) > 4 * llm.count_tokens(self.request)
