"""What a language model's answers cost: estimated before, counted while they come."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ANSWER_TOKENS = 200
"""The longest answer that is asked for; a ranking of six labels takes about 40 tokens."""
EXPECTED_ANSWER_TOKENS = 40

PRICES = {"gpt-4": (30.0, 60.0)}
"""US dollars for a million tokens in and out, as listed when this was written; the ranker's
`prices` replace them."""


class BudgetError(RuntimeError):
    """The next request could cost more than the budget leaves."""


def count_tokens(messages: Sequence[Mapping[str, str]]) -> int:
    """About how many tokens a chat has: a quarter of one for an ASCII character, 1.3 for others.

    An estimate that needs no model's tokenizer; what is paid is what the endpoint counts.
    """
    text = "".join(message["content"] for message in messages)
    ascii_characters = sum(character.isascii() for character in text)
    return round(ascii_characters / 4 + 1.3 * (len(text) - ascii_characters)) + 8


@dataclass(frozen=True)
class Estimate:
    """What ranking will take: chats to ask for, those already paid, tokens and dollars.

    `dollars` is None where the model's prices are not known.
    """

    chats: int
    cached: int
    tokens_in: int
    tokens_out: int
    dollars: float | None

    def __str__(self) -> str:
        cost = "at prices not known here" if self.dollars is None else f"about ${self.dollars:.2f}"
        return (
            f"{self.chats} prompts to send ({self.cached} answered before): about "
            f"{self.tokens_in} tokens in and {self.tokens_out} out, {cost}"
        )


@dataclass
class Spending:
    """Dollars spent, never above `budget`; for all threads.

    Without `prices` (dollars per million tokens in, out) nothing is counted. `budget` None: no
    limit.
    """

    prices: tuple[float, float] | None
    budget: float | None
    dollars: float = 0.0
    _under_way: list[float] = field(default_factory=list, repr=False)
    _change: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def cost(self, tokens_in: float, tokens_out: float) -> float:
        """Dollars for so many tokens; 0 where prices are not known."""
        price_in, price_out = self.prices or (0.0, 0.0)
        return (tokens_in * price_in + tokens_out * price_out) / 1e6

    def reserve(self, messages: Sequence[Mapping[str, str]]) -> float:
        """Set aside the most that a request with `messages` can cost; returns these dollars.

        Each one is settled later. Where the budget does not hold them, it waits until what is
        under way has turned out cheaper; raises BudgetError where nothing is.
        """
        most = self.cost(count_tokens(messages), ANSWER_TOKENS)
        with self._change:
            while not self._holds(most):
                if not self._under_way:
                    raise BudgetError(
                        f"${self.dollars:.4f} of the budget of ${self.budget:g} are spent, and the "
                        f"next request may cost ${most:.4f}"
                    )
                self._change.wait()
            self._under_way.append(most)
        return most

    def settle(self, reserved: float, cost: float | None = None) -> None:
        """Book `cost` for what was reserved; None: all of it."""
        with self._change:
            self.dollars += reserved if cost is None else cost
            self._under_way.remove(reserved)
            self._change.notify_all()

    def _holds(self, most: float) -> bool:
        promised = self.dollars + sum(self._under_way) + most
        return self.budget is None or promised <= self.budget
