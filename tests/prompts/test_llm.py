"""The ranker of a language model, against a server on loopback that behaves in every bad way."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agt_lib.prompts import LLMRanker, RankingError
from agt_lib.prompts.cache import AnswerCache
from agt_lib.workspace import paths

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
def ranker(tmp_path):
    """Make a ranker that waits for nothing."""

    def make(**options):
        fast = {"language": "en", "backoff": 0.01, "timeout": 5.0, "cache": tmp_path / "a.jsonl"}
        return LLMRanker(**(fast | options))

    return make


def quietly(ranker, corpus, folds=None):
    return ranker.rank(corpus, folds, progress=False)


def reasons(rankings):
    return rankings.failures.set_index("name")[["stage", "reason"]].apply(tuple, axis=1).to_dict()


class TestGoodAnswers:
    def test_each_clip_gets_its_ranking_in_the_corpus_order(self, server, said, ranker):
        first = {"grr": "anger", "sob": "sadness", "wow": "surprise"}
        server.script = lambda asked, n: (200, completion(ranking(first[asked])), {})
        rankings = quietly(ranker(), said("wow", "grr", "sob"))
        assert rankings.table["rank1"].tolist() == ["surprise", "angry", "sad"]
        assert rankings.of("clip1") == ANGER_FIRST
        assert rankings.failures.empty

    def test_it_asks_the_papers_model_by_schema_and_without_chance(self, server, said, ranker):
        quietly(ranker(), said("so"))
        (body,) = server.requests
        assert body["model"] == "gpt-4"
        assert body["temperature"] == 0
        schema = body["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["ranking"]["items"]["enum"] == WORDS
        assert server.authorizations == [f"Bearer {KEY}"]

    def test_the_model_may_come_from_the_environment(self, server, said, ranker, monkeypatch):
        monkeypatch.setenv("OPENAI_MODEL", "qwen")
        quietly(ranker(), said("so"))
        assert server.requests[0]["model"] == "qwen"

    def test_equal_texts_are_asked_for_once_and_clips_without_words_never(
        self, server, said, ranker
    ):
        rankings = quietly(ranker(), said("yes", None, "yes", "no", "yes"))
        assert sorted(map(text_of, server.requests)) == ["no", "yes"]
        assert rankings.ranked.tolist() == [True, False, True, True, True]
        assert reasons(rankings) == {"clip1": ("absent", "the clip has no words")}

    def test_requests_run_side_by_side_but_no_more_than_workers(self, server, said, ranker):
        def slowly(asked, n):
            time.sleep(0.05)
            return 200, completion(ranking()), {}

        server.script = slowly
        quietly(ranker(workers=3), said(*map(str, range(12))))
        assert 2 <= server.most <= 3

    def test_chinese_prompts(self, server, said, ranker):
        words = ["担忧", "高兴", "中性", "愤怒", "惊讶", "悲伤"]
        server.script = lambda asked, n: (200, completion(ranking("愤怒", words)), {})
        rankings = quietly(ranker(language="zh"), said("滚出去！"))
        assert rankings.of("clip0") == ANGER_FIRST

    def test_strange_transcripts_are_asked_for_without_what_is_strange(self, server, said, ranker):
        rankings = quietly(ranker(), said("a\x00\x1bb", "x" * 10_000))
        assert rankings.ranked.all()
        asked = sorted(map(text_of, server.requests), key=len)
        assert asked[0] == "a b"
        assert len(asked[1]) <= 2002

    def test_other_label_sets(self, server, said, ranker):
        server.script = lambda *_: (200, completion('{"ranking": ["stirred", "calm"]}'), {})
        corpus = replace(said("so"), labels=("calm", "stirred"))
        rankings = quietly(ranker(), corpus)
        assert rankings.of("clip0") == ("stirred", "calm")
        assert rankings.made_by["labels"] == ["calm", "stirred"]


class TestFewShot:
    def test_examples_are_never_of_the_own_fold(self, server, labelled, ranker):
        corpus, folds = labelled(n=10)
        quietly(ranker(shots=2), corpus, folds)
        fold_of_text = dict(zip(corpus.clips.loc[folds.index, "text"], folds, strict=True))
        assert len(server.requests) == len(corpus.clips)
        for body in server.requests:
            question = body["messages"][1]["content"]
            lines = question.split("Examples (words: emotion):\n")[1].split("\nWords: ")[0]
            examples = [json.loads(line.rpartition(": ")[0]) for line in lines.splitlines()]
            assert len(examples) == 12
            own = fold_of_text.get(text_of(body))
            assert own not in {fold_of_text[example] for example in examples}
            assert text_of(body) not in examples

    def test_they_need_folds(self, server, said, ranker):
        with pytest.raises(ValueError, match="training folds only"):
            quietly(ranker(shots=1), said("so"))

    def test_zero_shot_knows_nothing_of_the_labels(self, server, labelled, ranker):
        corpus, folds = labelled(n=5)
        made_by = quietly(ranker(), corpus, folds).made_by
        assert not any("Examples" in body["messages"][1]["content"] for body in server.requests)
        assert "examples" not in made_by


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
        rankings = quietly(ranker(), said("so"))
        assert rankings.of("clip0") == ANGER_FIRST
        first, second = server.requests
        assert second["messages"][:2] == first["messages"]
        assert second["messages"][2] == {"role": "assistant", "content": content or ""}
        assert problem in second["messages"][3]["content"]

    def test_are_given_up_after_so_many_tries_and_listed(self, server, said, ranker):
        bad = {"bad": FIVE}
        server.script = lambda asked, n: (200, completion(bad.get(asked, ranking())), {})
        rankings = quietly(ranker(tries=3), said("good", "bad"))
        assert server.seen["bad"] == 3
        assert rankings.of("clip0") == ANGER_FIRST
        assert rankings.of("clip1") is None
        assert reasons(rankings) == {
            "clip1": ("answer", "no ranking in 3 answers; the last: missing: sadness")
        }

    def test_are_not_paid_for_again(self, server, said, ranker):
        server.script = lambda asked, n: (200, completion(FIVE), {})
        first, second = (quietly(ranker(), said("bad")) for _ in range(2))
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
        rankings = quietly(ranker(), said("x", "y"))
        assert server.seen["x"] == 1
        assert rankings.ranked.tolist() == [False, True]
        assert reasons(rankings)["clip0"][0] == "refused"

    def test_of_a_megabyte_little_is_kept(self, server, said, ranker, tmp_path):
        server.script = lambda asked, n: (200, completion("x" * 1_000_000), {})
        quietly(ranker(), said("x"))
        assert (tmp_path / "a.jsonl").stat().st_size < 1000


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
            (429, error("slow down"), {}),
            (500, drop_error, {}),
            (500, drip_error, {}),
            (500, b"no gzip", {"Content-Encoding": "gzip"}),
        ],
        ids=[
            "500", "503", "no JSON", "no choices", "time-out", "drip", "dropped", "429",
            "dropped 500", "dripping 500", "damaged 500",
        ],
    )  # fmt: skip
    def test_is_tried_again(self, server, said, ranker, trouble):
        server.script = lambda asked, n: trouble if n == 0 else (200, completion(ranking()), {})
        rankings = quietly(ranker(timeout=0.4), said("so"))
        assert rankings.of("clip0") == ANGER_FIRST
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
        rankings = quietly(ranker(attempts=1, timeout=30.0), said("so"))
        assert reasons(rankings)["clip0"][0] == "service"
        assert len(sent) < 100  # megabytes; what the sockets hold at most

    def test_retry_after_in_seconds_is_honoured(self, server, said, ranker):
        busy = (429, error("slow down"), {"Retry-After": "1"})
        server.script = lambda asked, n: busy if n == 0 else (200, completion(ranking()), {})
        assert quietly(ranker(), said("so")).ranked.all()
        first, second = server.times
        assert 1.0 <= second - first < 10.0

    def test_retry_after_as_a_date_is_honoured(self, server, said, ranker):
        # A date that has passed: no pause, where the doubling alone would take minutes.
        busy = (503, error("busy"), {"Retry-After": formatdate(time.time() - 5, usegmt=True)})
        server.script = lambda asked, n: busy if n < 3 else (200, completion(ranking()), {})
        assert quietly(ranker(backoff=1000.0), said("so")).ranked.all()
        assert server.times[-1] - server.times[0] < 10.0

    def test_a_pause_of_hours_is_not_waited_for(self, server, said, ranker):
        busy = (429, error("come back tomorrow"), {"Retry-After": "7200"})
        server.script = lambda asked, n: busy
        rankings = quietly(ranker(), said("so"))
        assert reasons(rankings)["clip0"][0] == "service"
        assert len(server.requests) == 1

    def test_what_does_not_pass_is_listed_and_asked_again_at_the_next_call(
        self, server, said, ranker
    ):
        down = {"b"}
        server.script = lambda asked, n: (
            (500, error("boom"), {}) if asked in down else (200, completion(ranking()), {})
        )
        rankings = quietly(ranker(attempts=2), said("a", "b"))
        assert server.seen["b"] == 2
        stage, reason = reasons(rankings)["clip1"]
        assert stage == "service"
        assert "boom" in reason
        down.clear()
        assert quietly(ranker(), said("a", "b")).ranked.all()
        assert server.seen["a"] == 1

    def test_a_dead_endpoint_ends_the_run_soon(self, server, said, ranker):
        server.script = lambda asked, n: (500, error("boom"), {})
        with pytest.raises(RankingError, match="no answer to 10 texts in a row.*boom"):
            quietly(ranker(attempts=1, workers=2), said(*map(str, range(100))))
        assert len(server.requests) < 20


class TestOptionsThatTheEndpointLacks:
    def test_gpt_4_without_schema_is_asked_without(self, server, said, ranker):
        message = "'response_format' of type 'json_schema' is not supported with this model."
        refusal = (400, error(message, param="response_format"), {})
        asked_with = []

        def script(asked, n):
            body = server.requests[-1]
            asked_with.append("response_format" in body)
            return refusal if "response_format" in body else (200, completion(ranking()), {})

        server.script = script
        assert quietly(ranker(workers=1), said("a", "b", "c")).ranked.all()
        assert asked_with == [True, False, False, False]

    def test_newer_models_have_other_names(self, server, said, ranker):
        def script(asked, n):
            body = server.requests[-1]
            for option in ("max_tokens", "temperature"):
                if option in body:
                    return 400, error(f"Unsupported parameter: '{option}'", param=option), {}
            return 200, completion(ranking()), {}

        server.script = script
        assert quietly(ranker(workers=1), said("a", "b")).ranked.all()
        assert server.requests[-1]["max_completion_tokens"] == 200

    def test_a_request_that_is_refused_for_its_text_is_listed(self, server, said, ranker):
        policy = (400, error("content policy", code="content_policy"), {})
        server.script = lambda asked, n: (
            policy if asked == "x" else (200, completion(ranking()), {})
        )
        rankings = quietly(ranker(), said("x", "y"))
        stage, reason = reasons(rankings)["clip0"]
        assert stage == "request"
        assert "content policy" in reason
        assert server.seen["x"] == 1


class TestTroubleThatDoesNotPass:
    @pytest.mark.parametrize(
        ("status", "body", "advice"),
        [
            (401, error("Incorrect API key provided"), "check OPENAI_API_KEY"),
            (403, error("no"), "check OPENAI_API_KEY"),
            (404, error("The model `gpt-4` does not exist"), "check OPENAI_BASE_URL"),
            (429, error("pay", code="insufficient_quota"), "quota is used up"),
            (402, error("pay"), "does not take such requests"),
            (302, {}, "does not take such requests"),
        ],
    )
    def test_ends_the_run_at_once_and_says_what_to_check(
        self, server, said, ranker, status, body, advice
    ):
        elsewhere = {"Location": f"{server.url}/elsewhere"} if status == 302 else {}
        server.script = lambda asked, n: (status, body, elsewhere)
        with pytest.raises(RankingError, match=rf"(?is){advice}.*0 of 50"):
            quietly(ranker(workers=1), said(*map(str, range(50))))
        assert len(server.requests) <= 2

    def test_what_was_answered_is_kept(self, server, said, ranker):
        good = {"a", "b"}
        server.script = lambda asked, n: (
            (200, completion(ranking()), {}) if asked in good else (401, error("no"), {})
        )
        with pytest.raises(RankingError, match="2 of 4 different texts are ranked and kept"):
            quietly(ranker(workers=1), said("a", "b", "c", "d"))
        good |= {"c", "d"}
        assert quietly(ranker(), said("a", "b", "c", "d")).ranked.all()
        assert server.seen["a"] == server.seen["b"] == 1


class TestMoney:
    # 100 tokens in and 40 out, as the server counts them: 7 dollars at these prices.
    prices = (0.03e6, 0.1e6)

    def test_the_estimate_counts_what_is_not_answered_yet_and_asks_nobody(
        self, server, said, ranker
    ):
        estimate = ranker().estimate(said("a", "b", "b", None))
        assert (estimate.chats, estimate.cached) == (2, 0)
        assert estimate.tokens_in > 100
        assert estimate.dollars == pytest.approx(
            (30 * estimate.tokens_in + 60 * estimate.tokens_out) / 1e6
        )
        assert not server.requests
        quietly(ranker(), said("a"))
        estimate = ranker().estimate(said("a", "b"))
        assert (estimate.chats, estimate.cached) == (1, 1)

    def test_it_is_said_before_the_first_request(self, server, said, ranker, capsys):
        server.script = lambda *_: (401, error("no"), {})
        with pytest.raises(RankingError):
            quietly(ranker(), said("a"))
        assert "gpt-4: 1 prompts to send (0 answered before): about" in capsys.readouterr().err

    def test_unknown_prices_are_said_and_a_budget_then_refused(self, server, said, ranker):
        assert "prices not known" in str(ranker(model="mine").estimate(said("a")))
        with pytest.raises(ValueError, match="budget of \\$5 needs the prices of mine"):
            ranker(model="mine", budget=5.0)
        assert ranker(model="mine", budget=5.0, prices=(0.0, 0.0)).prices == (0.0, 0.0)

    def test_the_budget_stops_the_run_with_what_is_done_kept(self, server, said, ranker):
        texts = [f"text {i}" for i in range(20)]
        limited = ranker(budget=60.0, prices=self.prices, workers=4)
        with pytest.raises(RankingError, match=r"(?s)of the budget of \$60 are spent.*kept"):
            quietly(limited, said(*texts))
        done = len(server.requests)
        assert done <= 60 / 7
        assert done >= (60 - 2 * 23) / 7  # a request may cost $23 at most
        assert len(AnswerCache.read(limited.cache)) == done
        assert quietly(ranker(), said(*texts)).ranked.all()
        assert len(server.requests) == 20

    def test_time_outs_count_as_paid(self, server, said, ranker):
        server.script = lambda *_: (200, hang, {})
        limited = ranker(budget=40.0, prices=self.prices, timeout=0.1, workers=1, attempts=9)
        with pytest.raises(RankingError, match="budget"):
            quietly(limited, said("a"))
        assert len(server.requests) <= 2


def test_a_killed_run_pays_for_nothing_twice(server, said, ranker, tmp_path):
    texts = [f"text {i}" for i in range(30)]

    def slowly(asked, n):
        time.sleep(0.05)
        return 200, completion(ranking()), {}

    server.script = slowly
    code = (
        "import sys, pandas as pd\n"
        "from agt_lib.corpora.corpus import build\n"
        "from agt_lib.prompts import LLMRanker\n"
        "texts = [f'text {i}' for i in range(30)]\n"
        "table = pd.DataFrame({'name': texts, 'text': texts, 'split': 'test'})\n"
        "corpus = build('said', table, source='the test', check_files=False)\n"
        "LLMRanker(language='en', workers=2, cache=__import__('pathlib').Path(sys.argv[1]))"
        ".rank(corpus)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "a.jsonl"], env=environment,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while len(server.requests) < 10 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 10 <= len(server.requests) < 30
    under_way = 2
    assert quietly(ranker(), said(*texts)).ranked.all()
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
        ],
        ids=["401", "400", "500", "answer", "refusal", "no JSON"],
    )
    def test_stays_out_of_everything(
        self, server, said, ranker, answer, caplog, capfd, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("OPENAI_LOG", "debug")
        caplog.set_level(logging.DEBUG)
        server.script = lambda asked, n: answer
        asked = ranker(attempts=2, workers=1)
        shown = [repr(asked), str(asked.fingerprint)]
        try:
            rankings = quietly(asked, said(*map(str, range(11))))
            shown.append(rankings.failures.to_csv() + repr(rankings))
        except RankingError as failure:
            failure.__traceback__ = failure.__traceback__.tb_next  # this test's frame has it
            shown += traceback.TracebackException.from_exception(
                failure, capture_locals=True
            ).format()
        shown += [caplog.text, *capfd.readouterr()]
        shown += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
        assert server.authorizations[0] == f"Bearer {KEY}"
        everything = "".join(shown)
        found = everything.find(KEY)
        assert found < 0, everything[found - 300 : found + 100].replace(KEY, "THE KEY")

    @pytest.mark.parametrize(
        "url",
        [
            f"http://me:{KEY}@127.0.0.1/v1",
            f"http://127.0.0.1/v1?key={KEY}",
            f"http://127.0.0.1/v1#{KEY}",
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
            quietly(ranker(), said("a"))
        found = traceback.TracebackException.from_exception(failure.value)
        assert KEY not in "".join(found.format()) + caplog.text

    @pytest.mark.parametrize("key", ["", "  ", f"{KEY}\nsecond line", f"{KEY}é"])
    def test_that_is_none_is_refused_without_showing_it(self, said, ranker, monkeypatch, key):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(ValueError, match="OPENAI_API_KEY") as failure:
            quietly(ranker(), said("a"))
        assert KEY not in "".join(traceback.format_exception(failure.value))

    def test_may_have_the_line_break_of_a_file_behind_it(self, server, said, ranker, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\r\n")
        assert quietly(ranker(), said("a")).ranked.all()
        assert server.authorizations == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    "options", [{"shots": -1}, {"tries": 0}, {"workers": 0}, {"attempts": 0}, {"language": "fr"}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LLMRanker(**options)
