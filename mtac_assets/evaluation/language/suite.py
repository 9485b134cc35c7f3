"""The suite: tasks that code can score. A task is a list of prompts, each with a function that says whether an answer is right.

Two are built in: arithmetic by exact match, and Python that parses. A recipe names those it wants (`evaluation.suite`), and its own as
`module:function` of its folder: a function without arguments that returns a `SuiteTask`.
"""

from __future__ import annotations

import ast
import random
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mtac_assets.data.features_view import load_function
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.spec.errors import Finding
from mtac_assets.training.text_model import TextModel

SEED = 20_130_101
ITEMS = 40
SHOWN = 3


class Tokens(Protocol):
    """From text to tokens and back: `data.mix.tokenizer.TextTokenizer` is one."""

    def encode(self, texts: Sequence[str]) -> Iterator[np.ndarray]: ...

    def decode(self, tokens: Iterable[int]) -> str: ...


@dataclass(frozen=True)
class Item:
    """`right` gets the text that the model wrote after `prompt`."""

    prompt: str
    right: Callable[[str], bool]


@dataclass(frozen=True)
class SuiteTask:
    """`tokens`: how many the model may write."""

    title: str
    tokens: int
    items: tuple[Item, ...]


def arithmetic() -> SuiteTask:
    """Sums and differences of two numbers below a hundred, as `12 + 34 =`: the first number after it must be the result."""
    draw = random.Random(SEED)

    def item(a: int, b: int, symbol: str) -> Item:
        result = a + b if symbol == "+" else a - b
        return Item(f"{a} {symbol} {b} =", lambda answer: _first_number(answer) == result)

    items = [item(draw.randrange(100), draw.randrange(100), draw.choice("+-")) for _ in range(ITEMS)]
    return SuiteTask("Arithmetic, exact match", 8, tuple(items))


def _first_number(answer: str) -> int | None:
    found = re.match(r"\s*(-?\d+)", answer)
    return int(found[1]) if found else None


def python_parses() -> SuiteTask:
    """A function's head; what follows, up to its last whole line, must be Python together with it."""
    draw = random.Random(SEED)
    names, arguments = (
        ("read", "close", "find", "update", "parse", "encode"),
        ("self", "self, name", "path", "value, other"),
    )
    items = []
    for _ in range(ITEMS):
        head = f"def {draw.choice(names)}({draw.choice(arguments)}):\n"
        items.append(Item(head, lambda answer, head=head: parses(head + answer)))
    return SuiteTask("Python that parses", 48, tuple(items))


def parses(text: str) -> bool:
    """Whether the whole lines of `text` are Python; a head alone is not."""
    whole = text[: text.rfind("\n") + 1]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings: the model's, not ours
            return bool(ast.parse(whole).body)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False


TASKS: Mapping[str, Callable[[], SuiteTask]] = {"arithmetic": arithmetic, "python_parses": python_parses}
"""The built-in ones; `spec.language.TASKS` has their names."""


def tasks_of(names: Sequence[str], folder: Path) -> dict[str, SuiteTask]:
    """The tasks that a recipe in `folder` names. Raises FeatureError where there is no such function, EvaluationError where it
    gives no task with prompts."""
    found: dict[str, SuiteTask] = {}
    for name in names:
        task = TASKS[name]() if name in TASKS else load_function(folder, name, "evaluation.suite")()
        if not isinstance(task, SuiteTask) or not task.items:
            gave = f"{type(task).__name__}" if not isinstance(task, SuiteTask) else "a task without prompts"
            expected = "an evaluation.language.suite.SuiteTask with one prompt or more"
            raise EvaluationError(Finding(f"{name} gave {gave}", "evaluation.suite", expected, "return one"))
        found[name] = task
    return found


def run_suite(model: TextModel, tokenizer: Tokens, tasks: Mapping[str, SuiteTask]) -> dict[str, dict[str, Any]]:
    """By task: the share of right answers with a 95 % interval (Wilson, 1927), and the first few answers."""
    found: dict[str, dict[str, Any]] = {}
    for name, task in tasks.items():
        answers = [_answer(model, tokenizer, item.prompt, task.tokens) for item in task.items]
        right = [item.right(answer) for item, answer in zip(task.items, answers, strict=True)]
        low, high = wilson(sum(right), len(right))
        shown = list(zip(task.items, answers, right, strict=True))[:SHOWN]
        found[name] = {
            "title": task.title,
            "items": len(right),
            "value": sum(right) / len(right),
            "low": low,
            "high": high,
            "examples": [{"prompt": item.prompt, "answer": answer, "right": good} for item, answer, good in shown],
        }
    return found


def _answer(model: TextModel, tokenizer: Tokens, prompt: str, count: int) -> str:
    (tokens,) = tokenizer.encode([prompt])
    return tokenizer.decode(model.greedy([model.schema.end_of_text, *map(int, tokens)], count))


def wilson(right: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The score interval of a share: it stays within 0 and 1, also for none and all."""
    share, weight = right / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    reach = z * (share * (1 - share) / count + weight / (4 * count)) ** 0.5 / (1 + weight)
    return max(0.0, middle - reach), min(1.0, middle + reach)
