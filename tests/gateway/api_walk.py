"""Walks at random through the API by its links, and holds every answer against what lives.

Links, drawn requests and the checks of answers are Schemathesis'. Which step is next is chosen here
and by the seed alone, and the first fault ends it with all steps: Hypothesis' state machine wants a
node that forgets, since it runs the same choices again, and seldom makes what links start from.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import hypothesis
from schemathesis import GenerationMode
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation.stateful.state_machine import StepOutput, Transition
from schemathesis.specs.openapi.checks import use_after_free
from schemathesis.specs.openapi.stateful import collect_transitions

from tests.gateway.api_lives import Fault, Lives, Seen

LIFE_STEPS: Final = 40
"""Of one account."""
LINKED_IN: Final = 0.75
"""Of the steps: with what an answer gave."""
DRAWN_IN: Final = 0.2
"""Of the requests: drawn from the document, right or wrong; the others are right."""
AGAIN_IN: Final = 0.4
"""Of the idempotency keys: one of two, so that they come again."""
CASES_AT_ONCE: Final = 4
KEPT: Final = {"show_call": [use_after_free]}
"""What DELETE ends and does not take away: of a call the record stays."""
BEGIN_CALL: Final = "begin_call"
"""A step that no operation is: a browser calls."""
OFTEN: Final = (*(3 * ["make_button", "add_webhook"]), *(2 * [BEGIN_CALL]), "search_accounts")
"""Steps that much leads from."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is asked next."""

    name: str
    path: Mapping[str, str] = field(default_factory=dict)
    source: StepOutput | None = None
    """The answer whose link is followed."""
    transition: Transition | None = None


class Walk:
    """One walk. The same seed takes the same steps, but for the ids that the node makes."""

    def __init__(
        self, schema: Any, world: Any, excluded: Callable[[Any], list[Any]], seed: int
    ) -> None:
        """Prepare a walk in a world that begins lives; some answers are spared some checks."""
        found = [each.ok() for each in schema.get_all_operations()]
        self.operations = {_name(each): each for each in found}
        self.world, self.excluded, self.seed = world, excluded, seed
        self.random = Random(seed)
        self.links = {
            label: each.outgoing for label, each in collect_transitions(found).operations.items()
        }
        self.config = schema.config.output
        roots = [name for name, each in self.operations.items() if "{" not in each.path]
        self.roots = [*roots, *OFTEN]
        self.answers: Counter[tuple[str, int]] = Counter()
        self._drawn: dict[tuple[str, GenerationMode], list[Any]] = {}

    def take(self, steps: int) -> Counter[tuple[str, int]]:
        """Take steps; return how often each operation answered with each status.

        Raises Fault with all steps of the account whose last one is wrong.
        """
        lives = 0
        while self.answers.total() < steps:
            lives += 1
            life = self.world.new_life()
            scenario = Scenario(self, life)
            try:
                with contextlib.closing(life):
                    while len(scenario.told) < LIFE_STEPS and self.answers.total() < steps:
                        scenario.take_step()
            # Schemathesis' groups are no Exceptions.
            except (Exception, BaseExceptionGroup) as fault:
                told = "\n".join(f"{n:>3}. {line}" for n, line in enumerate(scenario.told, 1))
                where = f"seed {self.seed}, life {lives}"
                raise Fault(f"{where}:\n{told}\n{_words(fault)}") from fault
        return self.answers

    def drawn(self, name: str) -> Any:
        """Return a case of an operation as the document allows it, or as it does not."""
        operation = self.operations[name]
        # Nothing is wrong with an id: it is only unknown.
        places = {each.location for each in operation.iter_parameters()} - {ParameterLocation.PATH}
        modes = list(GenerationMode) if places or operation.body else [GenerationMode.POSITIVE]
        mode = self.random.choice(modes)
        cases = self._drawn.setdefault((name, mode), [])
        if not cases:
            cases += self._draw(name, mode)
        return cases.pop()

    def _draw(self, name: str, mode: GenerationMode) -> list[Any]:
        """Return some cases, the least of all first."""
        cases: list[Any] = []

        @hypothesis.seed(self.random.getrandbits(32))
        @hypothesis.settings(
            max_examples=CASES_AT_ONCE,
            deadline=None,
            database=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(self.operations[name].as_strategy(generation_mode=mode))
        def draw(case: Any) -> None:
            cases.append(case)

        draw()
        for case in cases if mode is GenerationMode.POSITIVE else ():
            case.body = with_whole_numbers(case.body)
        return cases


class Scenario:
    """The life of one account."""

    def __init__(self, walk: Walk, life: Any) -> None:
        self._walk, self._life, self._random = walk, life, walk.random
        self._lives: Lives = life.lives
        self._recorder = ScenarioRecorder(label="walk", config=walk.config)
        self._outputs: list[StepOutput] = []
        """Answers that links lead from, the last last."""
        self.told: list[str] = []

    def take_step(self) -> None:
        """Choose, ask and judge. Raises Fault, or Schemathesis' failures."""
        step = self._choose()
        if step.name == BEGIN_CALL:
            if not self._lives.there["call_id"] and (call_id := self._life.begin_call()):
                self.told.append(f"a browser begins call {call_id}")
                self._lives.began_call(call_id)
            return
        case = self._right_case(step)
        is_right = case is not None
        if case is None:
            case = self._walk.drawn(step.name)
            case.path_parameters = {**(case.path_parameters or {}), **step.path}
        self._ask(step, case, is_right=is_right)

    def _choose(self) -> Step:
        dice = self._random.random()
        if dice < LINKED_IN and (links := [*self._followed()]):
            return self._random.choice(links)
        if dice < 0.95:
            return Step(self._random.choice(self._walk.roots))
        return Step(self._random.choice([*self._walk.operations]))

    def _followed(self) -> Iterator[Step]:
        """Yield the steps that one of the answers leads to."""
        if not self._outputs:
            return
        links = [self._walk.links[each.case.operation.label] for each in self._outputs]
        # Any link as likely as any other, wherever it leads from.
        (source,) = self._random.choices(self._outputs, [len(each) for each in links])
        for link in self._walk.links[source.case.operation.label]:
            transition = link.extract(source)
            given = transition.parameters["path_parameters"]
            values = {
                name: str(each.value.ok())
                for name, each in given.items()
                if isinstance(each.value, Ok) and isinstance(each.value.ok(), str | int)
            }
            if values.keys() == given.keys():
                yield Step(_name(link.target), values, source, transition)

    def _right_case(self, step: Step) -> Any:
        """Return a case that the rules of the gateway allow; None where one is to be drawn."""
        operation = self._walk.operations[step.name]
        body = self._life.right_body(step.name, self._random)
        is_whole = "{" not in operation.path or bool(step.path)
        has_body = bool(operation.body)
        if self._random.random() < DRAWN_IN or not is_whole or (has_body and body is None):
            return None
        options = {"body": body, "media_type": "application/json"} if has_body else {}
        headers = {}
        if "Idempotency-Key" in {each.name for each in operation.iter_parameters()}:
            is_again = self._random.random() < AGAIN_IN
            key = self._random.choice("ab") if is_again else f"once-{len(self.told)}"
            headers["Idempotency-Key"] = key
        query = self._life.right_query(step.name)
        return operation.Case(
            path_parameters={**step.path}, query=query, headers=headers, **options
        )

    def _ask(self, step: Step, case: Any, *, is_right: bool) -> None:
        headers = self._life.headers(case.operation.path)
        response = case.call(base_url=self._walk.world.url, headers=headers)
        is_json = "json" in response.headers.get("content-type", [""])[0]
        answer = response.json() if is_json and response.content else None
        self.told.append(_line(case, response.status_code, answer))
        self._walk.answers[step.name, response.status_code] += 1
        self._recorder.record_case(
            case=case,
            parent_id=None if step.source is None else step.source.case.id,
            transition=step.transition,
            is_transition_applied=step.source is not None,
        )
        self._recorder.record_response(case_id=case.id, response=response)
        spared = self._walk.excluded(response) + KEPT.get(step.name, [])
        case.validate_response(response, excluded_checks=spared, recorder=self._recorder)
        self._lives.saw(
            Seen(
                name=step.name,
                status=response.status_code,
                is_right=is_right,
                path={name: str(value) for name, value in (case.path_parameters or {}).items()},
                query=case.query or {},
                body=case.body if isinstance(case.body, dict) else None,
                once=(case.headers or {}).get("Idempotency-Key", ""),
                answer=answer,
            )
        )
        if response.status_code < 300 and self._walk.links.get(case.operation.label):
            self._outputs.append(StepOutput(response, case))


def with_whole_numbers(value: Any) -> Any:
    """Return JSON as programs write it: to JSON Schema 1.0 is an integer too."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [with_whole_numbers(each) for each in value]
        case dict():
            return {name: with_whole_numbers(each) for name, each in value.items()}
    return value


def _name(operation: Any) -> str:
    return str(operation.definition.raw["operationId"])


def _line(case: Any, status: int, answer: Any) -> str:
    once = (case.headers or {}).get("Idempotency-Key", "")
    said = [
        f"{_name(case.operation)} {case.method.upper()} {case.formatted_path}",
        f"query {case.query}" if case.query else "",
        f"key {once!r}" if once else "",
        "" if isinstance(case.body, NotSet) else json.dumps(case.body, default=repr),
        f"→ {status}",
        str(answer.get("code") or answer.get("id") or "") if isinstance(answer, dict) else "",
    ]
    return " ".join(part for part in said if part)


def _words(fault: BaseException) -> str:
    several = getattr(fault, "exceptions", (fault,))
    return "\n".join(f"{type(each).__name__}: {each}" for each in several)
