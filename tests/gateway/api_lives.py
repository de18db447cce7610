"""What lives behind the API for one account, and so what its operations may answer.

Is told every request with its answer, and raises `Fault` for one that cannot be: of what was
deleted, of what was lost, of a list that is not what was made. Pure: asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.buttons.ports import BUTTONS_MAX
from gateway.webhooks.ports import ENDPOINTS_MAX

MAKES: Final = {
    "make_button": "button_id",
    "add_webhook": "webhook_id",
    "test_webhook": "delivery_id",
    "start_top_up": "payment_id",
    "charge_saved_card": "payment_id",
}
"""Operation -> the path parameter by which others ask for what it makes."""
DELETES: Final = {
    "delete_button": "button_id",
    "delete_webhook": "webhook_id",
    "close_data_request": "number",
}
LISTS: Final = {
    "list_buttons": ("button_id", "buttons"),
    "list_webhooks": ("webhook_id", "webhooks"),
}
"""Those that show all at once."""
STAYS: Final = {
    "button_id": ("label", "title", "destination", "day_cap", "month_cap", "paused_at", "keys"),
    "webhook_id": ("url", "label", "types", "disabled_at"),
    "payment_id": ("kind", "amount"),
}
"""Fields that are as the last answer had them until something is done."""
READS: Final = ("show_", "list_", "replay_", "test_")
"""How the names of operations begin that leave their object as it is."""
OF_ENABLED: Final = {"test_webhook", "replay_webhook_delivery", "replay_webhook_failures"}
IDEMPOTENT: Final = {"delete_button"}
"""Done with what is not there, too."""
OF_RUNNING: Final = {"supervise_call", "supervise_any_call", "end_any_call", "give_feedback"}
"""Do not find a call that is over, or that is not in the book yet."""
OF_ANYBODY: Final = {"number", "key", "end_any_call", "supervise_any_call"}
"""What operators do with things of others."""
WISHED: Final = ("label", "title", "url", "amount")
"""Fields by which two bodies differ, whatever else they leave out."""


class Fault(AssertionError):
    """An answer that cannot be, after what went before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request and its answer."""

    name: str
    """Of the operation."""
    status: int
    is_right: bool = False
    """Whether it was made by the rules, so that only what lives can refuse it."""
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    once: str = ""
    """The idempotency key."""
    answer: Any = None
    """Decoded; None for none."""

    @property
    def is_done(self) -> bool:
        return self.status < 300

    def holds(self, is_so: bool, words: str) -> None:
        """Raise Fault unless something is so."""
        if not is_so:
            raise Fault(f"{self.name} answered {self.status}: {words}")


class Lives:
    """The things of one account: those that there are, and those that there were."""

    def __init__(self, account_id: str, number: str) -> None:
        """Begin with an account that has proven a number, and nothing else."""
        self.account_id = account_id
        kinds = {*MAKES.values(), *DELETES.values(), "call_id", "key"}
        self.there: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in kinds}
        """Path parameter -> id -> what is known of it."""
        self.gone: set[str] = set()
        """Ids of what was deleted."""
        self._wishes: dict[tuple[Any, ...], tuple[Any, str]] = {}
        self._proven = {number}
        self._lifted: set[str] = set()
        self._rights: set[str] = set()
        self.silenced: dict[str, bool] = {}
        self._is_frozen = False

    def began_call(self, call_id: str) -> None:
        """Take note of a call that a browser began."""
        self.there["call_id"][call_id] = {"is_live": True}

    def saw(self, seen: Seen) -> None:
        """Take note of an answer. Raises Fault for one that cannot be."""
        self._judge_path(seen)
        if not seen.is_done:
            self._judge_refusal(seen)
            return
        if seen.once:
            self._judge_wish(seen)
        self._judge_fields(seen)
        if (kind := MAKES.get(seen.name)) is not None:
            self._make(seen, kind)
        if (kind := DELETES.get(seen.name)) is not None:
            self._delete(kind, seen.path[kind])
        if seen.name in LISTS:
            self._judge_list(seen, *LISTS[seen.name])
        # Each takes note of what it did, or says what it must show.
        if (note := getattr(self, f"_{seen.name}", None)) is not None:
            note(seen)

    def _judge_path(self, seen: Seen) -> None:
        """Judge whether it was done with what is there, and with nothing else."""
        kinds = [kind for kind in seen.path if kind in self.there]
        for kind in kinds:
            value = seen.path[kind]
            if seen.is_done and seen.name not in IDEMPOTENT:
                seen.holds(value not in self.gone, f"its {kind} was deleted")
                is_known = value in self.there[kind] or OF_ANYBODY & {kind, seen.name}
                seen.holds(bool(is_known), f"its {kind} was never made")
        # It is found again once its record is written.
        if not self.there["call_id"].get(seen.path.get("call_id", ""), {"is_live": True})[
            "is_live"
        ]:
            return
        are_there = kinds and all(seen.path[kind] in self.there[kind] for kind in kinds)
        if are_there and len(kinds) == len(seen.path) and seen.name not in OF_RUNNING:
            seen.holds(seen.status != 404, f"what is asked for is there, by {', '.join(kinds)}")

    def _judge_refusal(self, seen: Seen) -> None:
        """Judge why what was asked by the rules was refused."""
        code = (seen.answer or {}).get("code", "")
        seen.holds(seen.status < 500, code)
        if not seen.is_right or seen.status == 404:
            return
        for kind in seen.path:
            seen.holds(seen.path[kind] not in self.gone, f"{code}, and its {kind} was deleted")
        webhook = self.there["webhook_id"].get(seen.path.get("webhook_id", ""), {})
        call = self.there["call_id"].get(seen.path.get("call_id", ""), {})
        is_due = {
            "webhook_disabled": webhook.get("disabled_at") is not None,
            "call_ended": not call.get("is_live", True),
            "destination_unproven": not self._proven,
            "idempotency_key_reused": self._wish_of(seen) in self._wishes,
            "account_frozen": self._is_frozen,
            "buttons_too_many": len(self.there["button_id"]) >= BUTTONS_MAX,
            "webhooks_too_many": len(self.there["webhook_id"]) >= ENDPOINTS_MAX,
            "button_keys_too_many": seen.name == "turn_button_key",
        }
        seen.holds(is_due.get(code, False), f"{code}, and it was right")

    @staticmethod
    def _wish_of(seen: Seen) -> tuple[Any, ...]:
        return (seen.name, *sorted(seen.path.items()), seen.once)

    def _judge_wish(self, seen: Seen) -> None:
        wish = self._wish_of(seen)
        said = [(seen.body or {}).get(name) or "" for name in WISHED]
        asked, made = self._wishes.setdefault(wish, (said, seen.answer["id"]))
        seen.holds(said == asked, f"its idempotency key had come with another body: {asked}")
        seen.holds(made == seen.answer["id"], f"its idempotency key had made {made}")

    def _judge_fields(self, seen: Seen) -> None:
        """Judge what an operation with an object says of it, and keep that."""
        for kind, names in STAYS.items():
            value = seen.path.get(kind)
            if value is None or not isinstance(seen.answer, dict) or seen.answer.get("id") != value:
                continue
            told = {name: seen.answer[name] for name in names}
            if seen.name.startswith(READS):
                self._judge_same(seen, kind, seen.answer)
            for each in self.there[kind][value].get("keys", ()):
                self.there["key"].pop(each["key"], None)
            self.there[kind][value].update(told)
            self._note_keys(kind, told)
        for kind in MAKES.values():
            known = self.there[kind].get(seen.path.get(kind, ""), {})
            is_off = kind == "webhook_id" and known.get("disabled_at") is not None
            seen.holds(not (is_off and seen.name in OF_ENABLED), "its endpoint is disabled")

    def _judge_same(self, seen: Seen, kind: str, shown: Mapping[str, Any]) -> None:
        known = self.there[kind][shown["id"]]
        for name in STAYS[kind]:
            was = known.get(name, shown[name])
            seen.holds(shown[name] == was, f"{name} is {shown[name]!r}, and was {was!r}")

    def _judge_list(self, seen: Seen, kind: str, listed: str) -> None:
        shown = seen.answer[listed]
        ids = {each["id"] for each in shown}
        seen.holds(ids == self.there[kind].keys(), f"it lists {ids}, not {[*self.there[kind]]}")
        for each in shown:
            self._judge_same(seen, kind, each)

    def _make(self, seen: Seen, kind: str) -> None:
        value = seen.answer["id"]
        seen.holds(value not in self.gone, "it has made again what was deleted")
        told = {name: seen.answer[name] for name in STAYS.get(kind, ())}
        if value not in self.there[kind] and (number := told.get("destination")):
            seen.holds(number in self._proven, f"{number} is not proven")
        self.there[kind].setdefault(value, {}).update({**told, **seen.path})
        self._note_keys(kind, told)

    def _delete(self, kind: str, value: str) -> None:
        deleted = self.there[kind].pop(value, None)
        if deleted is None:
            return
        self.gone.add(value)
        self._rights.discard(deleted.get("right", ""))
        for each in deleted.get("keys", ()):
            self._delete("key", each["key"])
        for other in [*self.there["delivery_id"]]:
            if self.there["delivery_id"][other].get(kind) == value:
                self._delete("delivery_id", other)

    def _note_keys(self, kind: str, told: Mapping[str, Any]) -> None:
        """Take note of the keys that go on; one that was replaced may end at any time."""
        if kind == "button_id":
            going = [each["key"] for each in told["keys"] if each["ends_at"] is None]
            self.there["key"].update({key: {} for key in going})

    def _resume_button(self, seen: Seen) -> None:
        number = self.there["button_id"][seen.path["button_id"]]["destination"]
        seen.holds(number in {"", *self._proven}, f"{number} is not proven")

    def _take_back_destination(self, seen: Seen) -> None:
        self._proven.discard(seen.body["number"])
        for each in seen.answer["paused_buttons"]:
            self.there["button_id"][each["id"]].pop("paused_at", None)

    def _list_destinations(self, seen: Seen) -> None:
        self._judge_set(
            seen, {each["number"] for each in seen.answer["destinations"]}, self._proven
        )

    def _issue_call_token(self, seen: Seen) -> None:
        seen.holds(not self._is_frozen, "its account is frozen")

    def _end_call(self, seen: Seen) -> None:
        self.there["call_id"][seen.path["call_id"]]["is_live"] = False

    def _end_any_call(self, seen: Seen) -> None:
        self._end_calls([seen.path["call_id"]])

    def _end_calls(self, call_ids: Iterable[str]) -> None:
        for each in call_ids:
            if each in self.there["call_id"]:
                self.there["call_id"][each]["is_live"] = False

    def _list_live_calls(self, seen: Seen) -> None:
        shown = {each["id"] for each in seen.answer["calls"]}
        known = self.there["call_id"]
        live = {call_id for call_id, told in known.items() if told["is_live"]}
        seen.holds(live <= shown <= known.keys(), f"it lists {shown}, and live are {live}")

    def _freeze(self, seen: Seen) -> None:
        if seen.path["account_id"] == self.account_id:
            self._is_frozen = True
            self._end_calls(self.there["call_id"])

    def _unfreeze(self, seen: Seen) -> None:
        self._is_frozen = self._is_frozen and seen.path["account_id"] != self.account_id

    def _allow(self, seen: Seen) -> None:
        if seen.path["account_id"] == self.account_id:
            self._lifted.add(seen.body["rule"])

    def _disallow(self, seen: Seen) -> None:
        if seen.path["account_id"] == self.account_id:
            self._lifted.discard(seen.body["rule"])

    def _show_any_account(self, seen: Seen) -> None:
        if seen.path["account_id"] == self.account_id:
            self._judge_set(seen, seen.answer["lifted"].keys(), self._lifted)
            seen.holds(seen.answer["frozen"] is self._is_frozen, f"frozen was {self._is_frozen}")

    def _add_data_request(self, seen: Seen) -> None:
        if seen.path["account_id"] == self.account_id:
            self._rights.add(seen.body["right"])

    def _list_data_requests(self, seen: Seen) -> None:
        shown = seen.answer["requests"]
        mine = [each for each in shown if each["account_id"] == self.account_id]
        still = {str(each["number"]): each for each in mine if each["done_at"] is None}
        self.there["number"].update({n: {"right": each["right"]} for n, each in still.items()})
        seen.holds(not still.keys() & self.gone, "one that was answered is open")
        is_all = seen.query.get("account") == self.account_id and "before" not in seen.query
        if is_all and seen.answer["next"] is None:
            self._judge_set(seen, {each["right"] for each in still.values()}, self._rights)

    def _silence_alarm(self, seen: Seen) -> None:
        self.silenced[seen.body["name"]] = True

    def _unsilence_alarm(self, seen: Seen) -> None:
        self.silenced[seen.body["name"]] = False

    def _list_alarms(self, seen: Seen) -> None:
        shown = {each["name"] for each in seen.answer["silenced"]} & self.silenced.keys()
        self._judge_set(seen, shown, {name for name, is_so in self.silenced.items() if is_so})

    @staticmethod
    def _judge_set(seen: Seen, shown: Iterable[str], due: Iterable[str]) -> None:
        seen.holds({*shown} == {*due}, f"it shows {sorted(shown)}, due are {sorted(due)}")
