"""What is told of the life behind the API: right answers pass, and each wrong one is a fault."""

from dataclasses import replace

import pytest

from tests.gateway.api_lives import Fault, Lives, Seen

NUMBER = "+15005551000"
BODY = {"label": "shop", "title": "Sales", "destination": NUMBER}
KEY = {"key": "pk_live_1", "ends_at": None}
BUTTON = BODY | {"id": "b1", "day_cap": None, "month_cap": None, "paused_at": None, "keys": [KEY]}
WEBHOOK = {"id": "w1", "url": "https://example.com", "label": "", "types": [], "disabled_at": None}
OF_BUTTON = {"button_id": "b1"}
OF_WEBHOOK = {"webhook_id": "w1"}
MAKE = Seen(name="make_button", status=201, body=BODY, once="k", answer=BUTTON)
ADD = Seen(name="add_webhook", status=201, body={"url": WEBHOOK["url"]}, once="k", answer=WEBHOOK)
SHOW = Seen(name="show_button", status=200, path=OF_BUTTON, answer=BUTTON)
DELETE = Seen(name="delete_button", status=204, path=OF_BUTTON)
REMOVE = Seen(name="delete_webhook", status=204, path=OF_WEBHOOK)
TEST = Seen(name="test_webhook", status=202, path=OF_WEBHOOK, answer={"id": "d1"})
REPLAY = Seen(
    name="replay_webhook_delivery", status=202, path=OF_WEBHOOK | {"delivery_id": "d1"}, answer={}
)
DISABLE = Seen(
    name="change_webhook", status=200, path=OF_WEBHOOK, answer=WEBHOOK | {"disabled_at": "now"}
)
FREEZE = Seen(name="freeze", status=204, path={"account_id": "alice"})
ALLOW = Seen(name="allow", status=204, path={"account_id": "alice"}, body={"rule": "new-card"})
SILENCE = Seen(name="silence_alarm", status=204, body={"name": "n"})
ASK = Seen(
    name="add_data_request", status=204, path={"account_id": "alice"}, body={"right": "access"}
)
END = Seen(name="end_call", status=202, path={"call_id": "c1"}, answer={"id": "c1"})
TAKE_BACK = Seen(
    name="take_back_destination", status=200, body={"number": NUMBER}, answer={"paused_buttons": []}
)

PAUSING = replace(TAKE_BACK, answer={"paused_buttons": [{"id": "b1"}]})


def refused(name, status, code, path=None, **more):
    return Seen(name=name, status=status, path=path or {}, answer={"code": code}, **more)


DISABLED = refused("test_webhook", 409, "webhook_disabled", OF_WEBHOOK)
CLOSE = Seen(name="close_data_request", status=204, path={"number": "1"})


def listed(name, **answer):
    return Seen(name=name, status=200, answer=answer)


def requests(*found):
    answer = {"requests": [*found], "next": None}
    query = {"account": "alice"}
    return Seen(name="list_data_requests", status=200, query=query, answer=answer)


def request(number, done_at=None):
    return {"number": number, "account_id": "alice", "right": "access", "done_at": done_at}


def live(*ids):
    return listed("list_live_calls", calls=[{"id": each} for each in ids])


def state(**told):
    answer = {"lifted": {}, "frozen": False} | told
    path = {"account_id": "alice"}
    return Seen(name="show_any_account", status=200, path=path, answer=answer)


@pytest.fixture
def lives():
    found = Lives("alice", NUMBER)
    found.began_call("c1")
    return found


@pytest.mark.parametrize(
    "told",
    [
        [MAKE, SHOW, MAKE, listed("list_buttons", buttons=[BUTTON]), DELETE, DELETE],
        [MAKE, DELETE, refused("show_button", 404, "button_not_found", OF_BUTTON, is_right=True)],
        [MAKE, refused("make_button", 422, "idempotency_key_reused", is_right=True, once="k")],
        [ADD, TEST, REPLAY, DISABLE, replace(DISABLED, is_right=True)],
        [FREEZE, refused("issue_call_token", 403, "account_frozen", is_right=True), live()],
        [ALLOW, state(lifted={"new-card": "2030-01-01T00:00:00Z"})],
        [SILENCE, listed("list_alarms", silenced=[{"name": "n"}, {"name": "another's"}])],
        [
            ASK,
            requests(request(1)),
            Seen(name="close_data_request", status=204, path={"number": "1"}),
        ],
        [live("c1"), END, live("c1"), live(), refused("end_call", 409, "call_ended", END.path)],
        [MAKE, PAUSING, PAUSING, SHOW],
        [TAKE_BACK, refused("make_button", 422, "destination_unproven", is_right=True)],
        [refused("show_button", 404, "button_not_found", {"button_id": "nothing"})],
    ],
)
def test_what_can_be_is_no_fault(lives, told):
    for each in told:
        lives.saw(each)


@pytest.mark.parametrize(
    ("before", "wrong", "words"),
    [
        ([MAKE, DELETE], SHOW, "its button_id was deleted"),
        ([], SHOW, "its button_id was never made"),
        ([MAKE], refused("show_button", 404, "", OF_BUTTON), "is there, by button_id"),
        ([MAKE, DELETE], MAKE, "made again what was deleted"),
        ([MAKE], replace(MAKE, answer=BUTTON | {"id": "b2"}), "had made b1"),
        ([MAKE], replace(MAKE, body=BODY | {"label": "x"}), "another body"),
        ([MAKE], replace(SHOW, answer=BUTTON | {"title": "x"}), "title is 'x'"),
        ([MAKE, DELETE], listed("list_buttons", buttons=[BUTTON]), "it lists"),
        ([MAKE], listed("list_buttons", buttons=[]), "it lists"),
        ([MAKE, DELETE], replace(SHOW, path={"key": "pk_live_1"}), "its key was deleted"),
        ([MAKE], refused("pause_button", 400, "x", OF_BUTTON, is_right=True), "was right"),
        ([MAKE], refused("pause_button", 500, "x", OF_BUTTON), "answered 500"),
        ([MAKE, DELETE], refused("pause_button", 409, "x", OF_BUTTON, is_right=True), "deleted"),
        ([TAKE_BACK], MAKE, "is not proven"),
        ([ADD, TEST, REMOVE], REPLAY, "was deleted"),
        ([ADD, DISABLE], TEST, "is disabled"),
        ([ADD], replace(DISABLED, is_right=True), "it was right"),
        ([FREEZE], Seen(name="issue_call_token", status=201, answer={}), "is frozen"),
        ([FREEZE], state(), "frozen was True"),
        ([ALLOW], state(), "due are"),
        ([SILENCE], listed("list_alarms", silenced=[]), "due are"),
        ([ASK], requests(), "due are"),
        ([ASK, requests(request(1)), CLOSE], requests(request(1)), "answered is open"),
        ([], live(), "live are"),
        ([], live("c1", "c2"), "live are"),
        ([], refused("end_call", 409, "call_ended", END.path, is_right=True), "it was right"),
        ([], refused("show_call", 404, "call_not_found", END.path), "is there, by call_id"),
    ],
)
def test_what_cannot_be_is_a_fault(lives, before, wrong, words):
    for each in before:
        lives.saw(each)
    with pytest.raises(Fault, match=words):
        lives.saw(wrong)
