"""The client's operations, and the example of its README, at a whole node."""

import asyncio
import contextlib
import io
import re
from pathlib import Path

import caller_client
import pytest
from caller_client import AsyncCaller, Caller, ProblemError

from gateway.openapi import operations
from tests.gateway.test_api_document import BODY, node

__all__ = ["node"]

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("migrated_books"),
]

README = Path(caller_client.__file__).parents[1] / "README.md"


def key_of(node):
    return node.headers("/v1/account")["Authorization"].removeprefix("Bearer ")


async def test_every_operation_is_a_method_of_both():
    names = {each.name for _, each in operations()}
    assert names - vars(Caller).keys() == set()
    assert names - vars(AsyncCaller).keys() == set()


@pytest.mark.thorough
async def test_the_example_of_the_readme_runs(node):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    example = example.replace("https://calls.example.com", node.url).replace("ck_…", key_of(node))
    said = io.StringIO()

    def run():
        with contextlib.redirect_stdout(said):
            exec(compile(example, str(README), "exec"), {})

    await asyncio.to_thread(run)
    lines = said.getvalue().splitlines()
    assert lines[0] == "alice $10.00"
    assert any("grant" in line for line in lines)
    assert lines[-1].startswith("call_not_found ")


async def test_what_is_made_is_found_listed_and_deleted(node):
    async with AsyncCaller(node.url, key_of(node)) as caller:
        made = await caller.make_button(**BODY)
        try:
            again = await caller.make_button(**BODY, idempotency_key="mine")
            assert again.id != made.id
            shown = await caller.show_button(button_id=made.id)
            assert (shown.title, shown.day_cap.text) == (BODY["title"], "$5.00")
            listed = {each.id for each in (await caller.list_buttons()).buttons}
            assert {made.id, again.id} <= listed
        finally:
            await caller.delete_button(button_id=made.id)
            await caller.delete_button(button_id=again.id)
        with pytest.raises(ProblemError) as refused:
            await caller.show_button(button_id=made.id)
        assert (refused.value.status, refused.value.code) == (404, "button_not_found")
        lines = [line async for line in caller.iter_ledger()]
        assert lines == (await caller.list_ledger(limit=200)).lines


async def test_each_of_two_shapes_of_an_answer_is_told_apart(node):
    def run():
        with Caller(node.url, key_of(node)) as caller:
            quoted = caller.quote_call(destination=BODY["destination"])
            refused = caller.quote_call(destination="+112")
            token = caller.issue_call_token(destination=BODY["destination"])
        return quoted, refused, token

    quoted, refused, token = await asyncio.to_thread(run)
    assert quoted.destination == BODY["destination"]
    assert refused.refusal.code.startswith("number_")
    assert (token.token[:3], token.destination) == ("ct_", BODY["destination"])
