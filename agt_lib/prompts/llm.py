"""A ranker that asks a language model: the paper's GPT-4, or any OpenAI-compatible endpoint.

N clips, C labels.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from agt_lib.corpora.corpus import Corpus
from agt_lib.corpora.folds import divisions
from agt_lib.prompts import budget, reply, wording
from agt_lib.prompts.budget import BudgetError, Estimate, Spending, count_tokens
from agt_lib.prompts.cache import AnswerCache
from agt_lib.prompts.chat import Chat, RequestError, ServiceError
from agt_lib.prompts.divisions import others
from agt_lib.prompts.endpoint import Endpoint, base_url
from agt_lib.prompts.ranking import Rankings
from agt_lib.workspace import paths
from agt_lib.workspace.kept import digest
from agt_lib.workspace.progress import bar as progress_bar
from agt_lib.workspace.shards import ABSENT

MODEL_VARIABLE = "OPENAI_MODEL"
DEFAULT_MODEL = "gpt-4"  # section 2.1 of the paper
PATIENCE = 10
"""Texts in a row without an answer after which the endpoint counts as out of order."""

Examples = tuple[tuple[str, str], ...]
"""Texts with their labels."""


class RankingError(RuntimeError):
    """Ranking stopped before its end; what was answered is kept."""


class _Unranked(Exception):
    def __init__(self, stage: str, reason: str):
        super().__init__(reason)
        self.stage, self.reason = stage, reason


class _Prompt(NamedTuple):
    text: str
    examples: Examples


@dataclass(frozen=True)
class LLMRanker:
    """Ranks labels by asking a language model, one chat a transcript.

    Endpoint and key come from the environment (OPENAI_BASE_URL, OPENAI_API_KEY) and stand in no
    field. `model`: empty for OPENAI_MODEL of the environment, else GPT-4. `language` of the prompt:
    zh or en. `shots`: labelled examples of each label in the prompt, drawn by `seed` from training
    folds only; 0 as in the paper's figure 2b, as far as it is known. `tries`: answers asked for
    until one is a ranking, each time with what was wrong with the last. `budget`: US dollars that
    one call of `rank` may spend (None: no limit), at `prices` per million tokens in and out (known
    for GPT-4). `workers`: chats at once. `timeout`, `attempts` and `backoff`: see `chat.Chat`.

    Answers are kept in `cache` (a file under `data/derived/` by default), so that nothing is paid
    for twice, by whatever process; refusals and answers that are no ranking are kept as well.
    Raises ValueError for a budget without known prices.
    """

    model: str = ""
    language: str = "zh"
    shots: int = 0
    seed: int = 0
    tries: int = 3
    budget: float | None = None
    prices: tuple[float, float] | None = None
    workers: int = 8
    timeout: float = 60.0
    attempts: int = 6
    backoff: float = 1.0
    cache: Path | None = None

    def __post_init__(self) -> None:
        wording.check_language(self.language)
        model = self.model or os.environ.get(MODEL_VARIABLE, "").strip() or DEFAULT_MODEL
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "prices", self.prices or budget.PRICES.get(model))
        if self.budget is not None and self.prices is None:
            raise ValueError(
                f"a budget of ${self.budget:g} needs the prices of {model}: give prices=(IN, OUT) "
                "in dollars per million tokens, (0, 0) for a model of your own"
            )
        for name, least in (("shots", 0), ("tries", 1), ("workers", 1), ("attempts", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {least} or more; got {getattr(self, name)}")

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What decides the rankings beside the corpus, JSON-able."""
        return {
            "ranker": "llm",
            "version": wording.VERSION,
            "endpoint": base_url(),
            "model": self.model,
            "language": self.language,
            "shots": self.shots,
            "seed": self.seed if self.shots else None,
            "tries": self.tries,
        }

    def estimate(
        self,
        corpus: Corpus,
        folds: pd.Series | None = None,
        *,
        splits: Sequence[str] | None = None,
    ) -> Estimate:
        """What `rank` with the same arguments would send and cost; asks nobody."""
        answered = AnswerCache.read(self._cache_path)
        prompts = set(self._prompts(corpus, folds, splits).values())
        chats = [self._messages(prompt, corpus.labels) for prompt in prompts]
        new = [chat for chat in chats if self._key(chat) not in answered]
        tokens_in = sum(map(count_tokens, new))
        tokens_out = budget.EXPECTED_ANSWER_TOKENS * len(new)
        dollars = Spending(self.prices, None).cost(tokens_in, tokens_out) if self.prices else None
        return Estimate(len(new), len(chats) - len(new), tokens_in, tokens_out, dollars)

    def rank(
        self,
        corpus: Corpus,
        folds: pd.Series | None = None,
        *,
        splits: Sequence[str] | None = None,
        progress: bool = True,
    ) -> Rankings:
        """Rank the clips of `splits` (all by default), after saying what that may cost.

        Equal texts are asked for once. With `shots`, `folds` numbers the folds of the labelled
        clips (-1: never held out), and a clip's examples are never of its own fold. A clip whose
        ranking failed for good is in the failures: stage "answer" (no usable one in all tries),
        "refused" (by the model), "request" (by the endpoint) or "service" (no answer; asked again
        at the next call). Raises RankingError where the endpoint is out of order or the budget is
        used up: what was answered is kept, the same call goes on from there.
        """
        prompts = self._prompts(corpus, folds, splits)
        clips = corpus.clips if splits is None else corpus.split(*splits)
        endpoint = Endpoint.from_environment()
        print(f"{self.model}: {self.estimate(corpus, folds, splits=splits)}", file=sys.stderr)
        names = defaultdict(list)
        for name, prompt in prompts.items():
            names[prompt].append(name)
        found: dict[str, tuple[str, ...] | None] = dict.fromkeys(clips.index)
        failures = [
            (name, ABSENT, "the clip has no words") for name in clips.index if name not in prompts
        ]
        outcomes = self._ask_all(list(names), corpus.labels, endpoint, progress)
        for prompt, outcome in outcomes.items():
            for name in names[prompt]:
                if isinstance(outcome, _Unranked):
                    failures.append((name, outcome.stage, outcome.reason))
                else:
                    found[name] = outcome
        failures.sort(key=lambda row: clips.index.get_loc(row[0]))
        made_by = self.fingerprint | {"labels": list(corpus.labels)}
        if self.shots:
            made_by = made_by | {"examples": _examples_digest(corpus, folds)}
        return Rankings.build(found, corpus.labels, made_by, failures)

    def _ask_all(
        self, prompts: Sequence[_Prompt], labels: Sequence[str], endpoint: Endpoint, progress: bool
    ) -> dict[_Prompt, tuple[str, ...] | _Unranked]:
        words = wording.words(labels, self.language)
        spending = Spending(self.prices, self.budget)
        chat = Chat(
            endpoint, self.model, reply.schema(words), spending,
            timeout=self.timeout, attempts=self.attempts, backoff=self.backoff,
        )  # fmt: skip
        outcomes: dict[_Prompt, tuple[str, ...] | _Unranked] = {}
        in_a_row, stopped = 0, ""
        shown = progress_bar(len(prompts), f"rankings by {self.model}", "text", shown=progress)
        pool = ThreadPoolExecutor(self.workers)
        with AnswerCache(self._cache_path) as cache, closing(chat), shown:
            try:
                futures = {
                    pool.submit(self._converse, prompt, labels, chat, cache): prompt
                    for prompt in prompts
                }
                for future in as_completed(futures):
                    outcome = future.result()
                    outcomes[futures[future]] = outcome
                    shown.update()
                    lost = isinstance(outcome, _Unranked) and outcome.stage in _LOST
                    in_a_row = in_a_row + 1 if lost else 0
                    if in_a_row == PATIENCE:
                        stopped = f"no answer to {PATIENCE} texts in a row; {outcome.reason}"
                        break
            except (ServiceError, BudgetError) as error:
                stopped = str(error)
            finally:
                chat.stop.set()
                pool.shutdown(cancel_futures=True)
        if stopped:
            whole = [f for f in futures if not f.cancelled() and f.exception() is None]
            ranked = sum(not isinstance(future.result(), _Unranked) for future in whole)
            raise RankingError(
                f"{stopped}\n{ranked} of {len(prompts)} different texts are ranked and kept "
                f"(${spending.dollars:.4f} in this run). Mend this (or raise the budget) and run "
                "the same again: it goes on from there and pays for nothing twice."
            )
        return outcomes

    def _converse(
        self, prompt: _Prompt, labels: Sequence[str], chat: Chat, cache: AnswerCache
    ) -> tuple[str, ...] | _Unranked:
        """The ranking of one text, or why there is none.

        Raises ServiceError where it would be the same for every text, and BudgetError.
        """
        words = wording.words(labels, self.language)
        messages, problem = self._messages(prompt, labels), ""
        for _ in range(self.tries):
            key = self._key(messages)
            answer = cache.get(key)
            if answer is None:
                try:
                    answer = chat.ask(messages)
                except RequestError as error:
                    return _Unranked("request", str(error))
                except ServiceError as error:
                    if error.fatal:
                        raise
                    return _Unranked("service", str(error))
                cache.add(key, self.model, answer)
            if answer.problem:
                return _Unranked("refused", answer.problem)
            try:
                return reply.read_ranking(answer.content, words)
            except reply.AnswerError as error:
                problem = str(error)
            messages = messages + wording.repair(answer.content, problem, labels, self.language)
        return _Unranked("answer", f"no ranking in {self.tries} answers; the last: {problem}")

    def _prompts(
        self, corpus: Corpus, folds: pd.Series | None, splits: Sequence[str] | None
    ) -> dict[str, _Prompt]:
        """Each clip's prompt, for those of `splits` that have words."""
        texts = (corpus.clips if splits is None else corpus.split(*splits))["text"].dropna()
        if not self.shots:
            return {name: _Prompt(wording.clean(text), ()) for name, text in texts.items()}
        if folds is None:
            raise ValueError("shots need folds: examples come from training folds only")
        parts = divisions(corpus, folds)
        rest = others(corpus, folds, None if splits is None else tuple(splits))
        examples = dict.fromkeys(rest, self._examples(corpus, folds.index))
        for part in parts:
            examples |= dict.fromkeys(part.held_out, self._examples(corpus, part.training))
        return {name: _Prompt(wording.clean(text), examples[name]) for name, text in texts.items()}

    def _examples(self, corpus: Corpus, seen: pd.Index) -> Examples:
        """`shots` clips with words of each label among `seen`, fewer where there are fewer."""
        clips = corpus.clips.loc[seen]
        clips = clips[clips["text"].notna()]
        generator = np.random.default_rng(self.seed)
        chosen = []
        for label in wording.words(corpus.labels, self.language):
            there = clips.index[clips["emotion"] == label]
            drawn = generator.permutation(len(there))[: self.shots]
            chosen += [(clips.at[there[i], "text"], label) for i in drawn]
        return tuple(chosen[i] for i in generator.permutation(len(chosen)))

    def _messages(self, prompt: _Prompt, labels: Sequence[str]) -> list[dict[str, str]]:
        return wording.messages(prompt.text, labels, self.language, prompt.examples)

    def _key(self, messages: list[dict[str, str]]) -> str:
        return AnswerCache.key(base_url(), self.model, messages)

    @property
    def _cache_path(self) -> Path:
        return self.cache or paths.derived() / "llm" / "answers.jsonl"


_LOST = ("service", "request")


def _examples_digest(corpus: Corpus, folds: pd.Series) -> str:
    labelled = corpus.clips.loc[folds.index, ["emotion", "text"]].astype(object)
    labelled = labelled.where(labelled.notna(), None).assign(fold=folds.astype(int))
    return digest(labelled.reset_index().values.tolist())
