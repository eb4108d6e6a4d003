"""Asking a language model everything a task wants to know: priced before, stored as it comes, never asked twice.

An answer is in the store before anything is done with it. Killed at any moment, a run loses the requests in flight; the next one asks
those and what was not reached, and nothing that is there. An answer without the form that was asked for is stored as waiting, and asked for
once more with what was wrong with it; if that fails too it is kept as it is, marked, and becomes no record.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from loreweave.data.dataset import Dataset
from loreweave.errors import ConfigError
from loreweave.knowledge.store import KnowledgeStore, Stored
from loreweave.knowledge.tasks.answers import AnswerError
from loreweave.knowledge.tasks.base import KnowledgeTask, Subject
from loreweave.language.base import Answer, LanguageModel, LanguageModelError, Request
from loreweave.progress import track

FIRST_CHUNK, CHUNK = 64, 1024
"""Questions looked up in the store and claimed at a time: few at first, so that the first is sent at once, then twice as many each time."""

Price = Callable[[int, int], float | None]
"""Tokens in, tokens out → USD; None where the price is not known."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request about one subject, its hash, and the key of its answer in the store. Put again in other words, it keeps both."""

    key: str
    hash: str
    subject: Subject
    request: Request


@dataclass(slots=True)
class Plan:
    """What a run would ask, and what it would cost at most.

    Attributes:
        subjects: whom or what the task asks about.
        answered, failed, excluded: of those, already in the store.
        reused: of those, asked before in the very same words about other interactions: the answer is copied and nobody is asked.
        too_long: prompts past the model's context, which are never sent.
        to_ask: requests that a run would send.
        left_out: history items that did not fit into the prompts to send.
        cut: characters of the catalogue's texts that did not.
        passed_over: who is not asked about, and why: reason → how many.
        tokens_in: estimate for the prompts to send.
        tokens_out: at most.
        price: USD at most for one answer to each; None where it is not known. What is asked again for its form comes on top.
    """

    subjects: int = 0
    answered: int = 0
    failed: int = 0
    excluded: int = 0
    reused: int = 0
    too_long: int = 0
    to_ask: int = 0
    left_out: int = 0
    cut: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    tokens_in: int = 0
    tokens_out: int = 0
    price: float | None = 0.0


@dataclass(slots=True)
class Outcome:
    """What a run did.

    Attributes:
        asked: requests sent; `answered`, `failed` and `excluded` add up to it when it was not stopped.
        repaired: of the answered, those whose first answer lacked the form that was asked for.
        reused: answers to the very same words, given about other interactions, that were copied; nobody was asked.
        too_long: prompts past the model's context, not sent.
        held: questions that another process is asking.
        spent: USD, None where the price is not known.
        out_of_budget: the budget was reached before the end.
    """

    asked: int = 0
    answered: int = 0
    repaired: int = 0
    failed: int = 0
    excluded: int = 0
    reused: int = 0
    too_long: int = 0
    held: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    spent: float | None = 0.0
    out_of_budget: bool = False

    def __str__(self) -> str:
        money = "price unknown" if self.spent is None else f"{self.spent:.4f} USD"
        return f"{money}, {self.failed} failed, {self.excluded} excluded"


def questions(task: KnowledgeTask[Any], dataset: Dataset, model: LanguageModel) -> Iterator[Question]:
    """What a task asks about the users and items of a dataset.

    The key is a hash of task, template version, date, subject and request, so that any change to what is asked makes a new question.
    """
    as_of = dataset.fingerprint
    for subject in task.subjects(dataset):
        request = task.request(subject)
        hashed = request.hash(model.model)
        parts = [task.name, task.version, as_of, subject.user or "", subject.item or "", hashed]
        yield Question(hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest(), hashed, subject, request)


def plan(task: KnowledgeTask[Any], dataset: Dataset, model: LanguageModel, store: KnowledgeStore | None, price: Price) -> Plan:
    """Count and price what `run` would ask. Asks nothing.

    Args:
        store: where answers are; None: there is none yet.
    """
    found = Plan(passed_over=task.passed_over(dataset))
    for chunk in _chunks(questions(task, dataset, model)):
        known = {} if store is None else store.statuses([question.key for question in chunk])
        same = (
            {} if store is None else _answered_before(task, dataset.fingerprint, store, [each for each in chunk if each.key not in known])
        )
        for question in chunk:
            found.subjects += 1
            status = known.get(question.key)
            if status == "done":
                found.answered += 1
            elif status == "failed":
                found.failed += 1
            elif status == "excluded":
                found.excluded += 1
            elif question.key in same:
                found.reused += 1
            elif not _fits(question.request, model):
                found.too_long += 1
            else:
                found.to_ask += 1
                found.left_out += question.subject.left_out
                found.cut += question.subject.cut
                found.tokens_in += _tokens_in(question.request, model)
                found.tokens_out += question.request.max_tokens
    found.price = price(found.tokens_in, found.tokens_out)
    return found


def run(
    task: KnowledgeTask[Any],
    dataset: Dataset,
    model: LanguageModel,
    store: KnowledgeStore,
    price: Price,
    *,
    budget: float | None = None,
    total: int | None = None,
) -> Outcome:
    """Ask what the store has no answer to. What failed or was excluded before is left alone (`KnowledgeStore.requeue` asks it again).

    Args:
        dataset: what may be seen; its fingerprint is the date of every record.
        budget: USD. No request is sent that could pass it, were all answers as long as they may be.
        total: requests to expect, for the progress bar.

    Raises:
        ConfigError: a budget that is no number or that nothing can be held against, or no prompt that fits the model's context.
        LanguageModelError: no key, no such model, no server, no quota, or no answer at all. What was answered is kept.
        SavedError: the store cannot be written.
    """
    if budget is not None and not math.isfinite(budget):
        raise ConfigError(f"a budget is a number of USD, got {budget}")
    if budget is not None and price(1, 1) is None:
        raise ConfigError(f"a budget needs a price, and none is known for {model.model!r}; give one with --prices, or leave --budget out")
    asking = _Run(task, dataset.fingerprint, model, store, price, budget)
    try:
        asking.ask(asking.new(questions(task, dataset, model)), total)
        again, asking.repairs = asking.repairs, []
        asking.ask(asking.repaired(again), len(again) or None, last=True)
    except LanguageModelError as error:
        kept = asking.outcome.answered
        raise LanguageModelError(f"{error} ({kept} answers of this run are kept; the same command goes on from there)") from None
    finally:
        store.release(asking.claimed, asking.owner)
    outcome = asking.outcome
    if outcome.out_of_budget and outcome.asked == 0:
        raise ConfigError(f"the budget of {budget} USD does not pay for a single request; raise it")
    if outcome.too_long and not (outcome.asked or outcome.reused or asking.known):
        raise ConfigError(
            f"none of {outcome.too_long} prompts fits the context of {model.model!r} ({model.context} tokens, answer included); "
            f"shorten them: {task.name}.max_prompt_tokens"
        )
    return outcome


def judged(task: KnowledgeTask[Any], answer: Answer) -> tuple[str, str | None, tuple[str, ...], Any]:
    """What becomes of an answer in the store: status, its reason, problems of form, and the typed answer where it has the form."""
    if answer.finish == "failed":
        return "failed", answer.reason, (), None
    if answer.finish == "refusal":
        return "excluded", answer.reason or "refused", ("refusal",), None
    try:
        return "done", None, (), task.parse(answer.text)
    except AnswerError as error:
        cut = " (the answer was cut at its token limit)" if answer.finish == "length" else ""
        return "excluded", f"{error}{cut}", ("form",), None


class _Run:
    """One pass of a task over its questions: what is in flight, and what came of it."""

    def __init__(
        self, task: KnowledgeTask[Any], as_of: str, model: LanguageModel, store: KnowledgeStore, price: Price, budget: float | None
    ) -> None:
        self.task, self.as_of, self.model, self.store, self.price, self.budget = task, as_of, model, store, price, budget
        self.owner = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.claimed: set[str] = set()
        self.outcome = Outcome(spent=price(0, 0))
        self.repairs: list[tuple[Question, str]] = []
        self.in_flight: dict[int, Question] = {}
        self.waiting: Question | None = None
        """What the budget does not pay for beside all that is in flight."""
        self.known = 0
        """Questions that the store had an answer to, of whatever kind."""
        self.at_most: dict[int, float] = {}

    def new(self, asked: Iterator[Question]) -> Iterator[Question]:
        """Those that nobody has answered and no other process is asking."""
        for chunk in _chunks(asked):
            known = self.store.statuses([question.key for question in chunk])
            unknown = [question for question in chunk if question.key not in known]
            self.known += len(known)
            same = _answered_before(self.task, self.as_of, self.store, unknown)
            self.store.put(list(same.values()))
            self.outcome.reused += len(same)
            unknown = [question for question in unknown if question.key not in same]
            spoilt = self.store.spoilt([question.key for question in unknown])  # a run ended between a first answer and its repair
            self.repairs += [(question, spoilt[question.key] or "") for question in unknown if question.key in spoilt]
            self.outcome.asked += len(spoilt)
            unknown = [question for question in unknown if question.key not in spoilt]
            fitting = [question for question in unknown if _fits(question.request, self.model)]
            self.outcome.too_long += len(unknown) - len(fitting)
            mine = self.store.claim([question.key for question in fitting], self.owner, self.model.longest)
            self.claimed |= mine
            self.outcome.held += len(fitting) - len(mine)
            yield from (question for question in fitting if question.key in mine)

    def repaired(self, spoilt: Iterable[tuple[Question, str]]) -> Iterator[Question]:
        """The questions put again, with what was wrong with the first answer. One that no longer fits stays as it was answered."""
        for question, fault in spoilt:
            told = f"{question.request.prompt}\n\nYour last answer could not be used: {fault}. Answer again, in exactly the form asked for."
            again = replace(question, request=replace(question.request, prompt=told))
            if not _fits(again.request, self.model):
                self.outcome.too_long += 1
            elif self.store.claim([question.key], self.owner, self.model.longest):
                self.claimed.add(question.key)
                yield again

    def ask(self, asked: Iterator[Question], total: int | None, *, last: bool = False) -> None:
        """Put every question; store every answer as it comes. Where it is not the `last` time, spoilt answers wait in `repairs`.

        What is in flight is held against the budget as if all answers were as long as they may be. They are shorter: once they are in, what
        is left of the budget goes into further questions, as long as it pays for one, some answer came, and answers do not come together.
        """
        answers = track(self._answers(asked, last), "asking again" if last else "asking", total, status=lambda: str(self.outcome))
        for question, answer in answers:
            self._take(question, answer, last=last)

    def _answers(self, asked: Iterator[Question], last: bool) -> Iterator[tuple[Question, Answer]]:
        while True:
            silent = True
            for position, answer in self.model.generate(self._sent(asked, last)):
                silent = silent and answer.finish == "failed"
                self.at_most.pop(position, None)
                yield self.in_flight.pop(position), answer
            if self.in_flight:
                raise LanguageModelError(f"{self.model.model} left {len(self.in_flight)} requests without an answer")
            if self.waiting is None:
                return
            if silent or self.model.together or not self._affordable(self._most(self.waiting)):
                self.waiting, self.outcome.out_of_budget = None, True
                return

    def _most(self, question: Question) -> float:
        """USD that a question costs at most."""
        return self.price(_tokens_in(question.request, self.model), question.request.max_tokens) or 0.0

    def _affordable(self, most: float) -> bool:
        """Whether the budget pays for so much beside all that is in flight."""
        return self.budget is None or (self.outcome.spent or 0.0) + sum(self.at_most.values()) + most <= self.budget

    def _sent(self, asked: Iterator[Question], last: bool) -> Iterator[Request]:
        before, self.waiting = self.waiting, None
        for position, question in enumerate(asked if before is None else chain([before], asked)):
            if self.budget is not None:
                most = self._most(question)
                if not self._affordable(most):
                    self.waiting = question
                    return
                self.at_most[position] = most
            self.in_flight[position] = question
            self.outcome.asked += not last
            yield question.request

    def _take(self, question: Question, answer: Answer, *, last: bool) -> None:
        outcome = self.outcome
        if answer.attempts and answer.finish != "failed" and not answer.tokens_in + answer.tokens_out:
            # The server does not count, so the estimate is charged: an unknown cost is not nothing.
            spoken = self.model.count_tokens(answer.text)
            answer = replace(answer, tokens_in=_tokens_in(question.request, self.model), tokens_out=spoken)
        cost = self.price(answer.tokens_in, answer.tokens_out)
        outcome.tokens_in, outcome.tokens_out = outcome.tokens_in + answer.tokens_in, outcome.tokens_out + answer.tokens_out
        outcome.spent = None if cost is None or outcome.spent is None else outcome.spent + cost
        status, reason, checks, parsed = judged(self.task, answer)
        if parsed is not None:
            checks = tuple(self.task.problems(question.subject, parsed))
        if status == "excluded" and answer.finish != "refusal" and not last:
            status = "queued"
            self.repairs.append((question, reason or ""))
        self.store.put([self._row(question, answer, status, reason, checks)])
        self.claimed.discard(question.key)
        outcome.answered += status == "done"
        outcome.repaired += last and status == "done"
        outcome.failed += status == "failed"
        outcome.excluded += status == "excluded"

    def _row(self, question: Question, answer: Answer, status: str, reason: str | None, checks: tuple[str, ...]) -> Stored:
        request, subject = question.request, question.subject
        return Stored(
            hash=question.key,
            task=self.task.name,
            version=self.task.version,
            model=self.model.model,
            parameters=json.dumps({"max_tokens": request.max_tokens, "temperature": request.temperature}, sort_keys=True),
            user=subject.user,
            item=subject.item,
            as_of=self.as_of,
            shown=subject.shown,
            text=answer.text,
            status=status,
            finish=answer.finish,
            reason=reason,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            price=self.price(answer.tokens_in, answer.tokens_out),
            seconds=answer.seconds,
            attempts=answer.attempts,
            checks=checks,
            served_by=answer.model,
            request=question.hash,
        )


def _answered_before(task: KnowledgeTask[Any], as_of: str, store: KnowledgeStore, asked: Sequence[Question]) -> dict[str, Stored]:
    """By key, the rows for questions that were answered before in the very same words about the same subject, under another date (what is
    said of an item rests on no interactions). What they cost was paid then."""
    rows = store.answers_to([question.hash for question in asked])
    given = {(row.request, row.user, row.item): row for row in rows if (row.task, row.version) == (task.name, task.version)}
    free = {"tokens_in": 0, "tokens_out": 0, "price": 0.0, "seconds": 0.0, "attempts": 0}
    found = {}
    for question in asked:
        row = given.get((question.hash, question.subject.user, question.subject.item))
        if row is not None:
            found[question.key] = replace(row, hash=question.key, as_of=as_of, shown=question.subject.shown, **free)  # type: ignore[arg-type]
    return found


def _chunks(asked: Iterator[Question]) -> Iterator[list[Question]]:
    size = FIRST_CHUNK
    while chunk := list(islice(asked, size)):
        yield chunk
        size = min(2 * size, CHUNK)


def _tokens_in(request: Request, model: LanguageModel) -> int:
    schema = "" if request.schema is None else json.dumps(request.schema)
    return model.count_tokens(request.system + request.prompt + schema)


def _fits(request: Request, model: LanguageModel) -> bool:
    return model.context is None or _tokens_in(request, model) + request.max_tokens <= model.context
