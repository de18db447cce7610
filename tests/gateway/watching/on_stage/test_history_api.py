"""The history of calls, for operators."""

from gateway.http.admin_routes import AdminRoutes
from gateway.http.bearer import key_hash
from gateway.scopes import Scope
from gateway.watching.history import Minute
from gateway.watching.history_api import HistoryApi
from tests.gateway.http.test_bearer import NOW, Account, Accounts, authenticator

NOTHING = dict.fromkeys(("asr_percent", "acd_s", "pdd_ms", "rtt_p95_ms", "mos", "talk_percent"))
MINUTE = Minute(at=NOW, calls=2, begun=1, spend_micros_per_minute={"USD": 5}, **NOTHING)


async def test_the_minutes_are_shown_to_keys_of_scope_admin(client_of):
    async def read():
        return [MINUTE]

    accounts = Accounts()
    for scope in (Scope.ADMIN, Scope.RECORDS):
        accounts.by_hash[key_hash(f"ck_{scope}")] = Account(scopes=frozenset({scope}))
    client = client_of(HistoryApi(AdminRoutes(authenticator(accounts), ()), read).routes())

    async def ask(scope):
        headers = {"authorization": f"Bearer ck_{scope}"}
        return await client.get("/v1/admin/live-history", headers=headers)

    assert (await ask(Scope.RECORDS)).status_code == 403
    (minute,) = (await ask(Scope.ADMIN)).json()["minutes"]
    assert (minute["at"], minute["calls"], minute["mos"]) == ("2026-11-24T12:00:00Z", 2, None)
