"""`PUT /v1/calls/{call_id}/feedback`: own calls only, once, and not if the holder objects."""

from billing.call_feedback import Feedback, Flaw
from gateway.http.bearer import key_hash
from gateway.own_calls.feedback_api import CallFeedbackApi
from gateway.scopes import Scope
from tests.gateway.http.test_bearer import Account, Accounts, authenticator

PATH = "/v1/calls/c1/feedback"


class Store:
    """`FeedbackStore` in memory, with one call of alice."""

    def __init__(self):
        self.kept = None

    async def give(self, account_id, call_id, feedback):
        if (account_id, call_id) != ("alice", "c1"):
            return None
        self.kept = self.kept or feedback
        return self.kept


def ask(client_of, **account):
    accounts, store = Accounts(), Store()
    accounts.by_hash[key_hash("ck_a")] = Account(**account)
    client = client_of(CallFeedbackApi(authenticator(accounts), store).routes())

    async def put(path=PATH, **body):
        return await client.put(path, json=body, headers={"authorization": "Bearer ck_a"})

    return put, store


async def test_what_is_said_is_kept_and_said_back(client_of):
    put, store = ask(client_of)
    reply = await put(stars=2, flaws=["echo"])
    assert (reply.status_code, reply.json()) == (200, {"kept": {"stars": 2, "flaws": ["echo"]}})
    assert store.kept == Feedback(stars=2, flaws=(Flaw.ECHO,))
    assert (await put(stars=5)).json() == {"kept": {"stars": 2, "flaws": ["echo"]}}


async def test_of_whoever_objects_nothing_is_kept(client_of):
    put, store = ask(client_of, keeps_quality=False)
    reply = await put(stars=2)
    assert (reply.status_code, reply.json(), store.kept) == (200, {"kept": None}, None)


async def test_another_call_and_another_word_are_refused(client_of):
    put, store = ask(client_of)
    assert (await put("/v1/calls/c2/feedback", stars=5)).json()["code"] == "call_not_found"
    assert (await put(stars=5, text="hello")).json()["code"] == "bad_request"
    assert store.kept is None


async def test_a_key_that_places_no_calls_says_nothing_of_them(client_of):
    put, store = ask(client_of, scopes=frozenset({Scope.RECORDS}))
    assert ((await put(stars=5)).status_code, store.kept) == (403, None)
