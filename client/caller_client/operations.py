"""Asks for every operation of the API, by a method each.

Written by `python -m docs.generate` from the document of the API.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from datetime import datetime
from typing import Any, Literal, cast
from uuid import uuid4

import msgspec

from caller_client import shapes
from caller_client.exchange import Wish
from caller_client.transport import AsyncTransport, Transport


class Caller(Transport):
    """The operations of a gateway."""

    def quote_call(self, *, destination: str) -> shapes.QuoteReply | shapes.QuoteRefusal:
        """Return what a call would cost and how long it could last, or why it may not be placed.

        People ask while they type, so a refusal is an ordinary answer.
        """
        return cast(
            "shapes.QuoteReply | shapes.QuoteRefusal",
            self.ask(
                Wish(
                    "POST",
                    "/v1/quotes",
                    (
                        shapes.QuoteReply,
                        shapes.QuoteRefusal,
                    ),
                    body=shapes.QuoteRequest(destination=destination),
                )
            ),
        )

    def issue_call_token(
        self,
        *,
        destination: str | msgspec.UnsetType | None = msgspec.UNSET,
        codec: str | msgspec.UnsetType = msgspec.UNSET,
        origin: str | msgspec.UnsetType = msgspec.UNSET,
        button: str | msgspec.UnsetType = msgspec.UNSET,
        visitor: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.TokenReply | shapes.VisitorTokenReply:
        """Quote a call and return the token that allows it, once."""
        return cast(
            "shapes.TokenReply | shapes.VisitorTokenReply",
            self.ask(
                Wish(
                    "POST",
                    "/v1/call-tokens",
                    (
                        shapes.TokenReply,
                        shapes.VisitorTokenReply,
                    ),
                    body=shapes.TokenRequest(
                        destination=destination,
                        codec=codec,
                        origin=origin,
                        button=button,
                        visitor=visitor,
                    ),
                    status=201,
                )
            ),
        )

    def issue_check_token(
        self, *, origin: str | msgspec.UnsetType = msgspec.UNSET
    ) -> shapes.CheckTokenReply:
        """Return the token that allows one check of the line, which is free of charge."""
        return cast(
            "shapes.CheckTokenReply",
            self.ask(
                Wish(
                    "POST",
                    "/v1/check-tokens",
                    (shapes.CheckTokenReply,),
                    body=shapes.CheckTokenRequest(origin=origin),
                    status=201,
                )
            ),
        )

    def list_live_calls(self) -> shapes.LiveCallList:
        """Return the account's live calls, newest first.

        Calls of a node that does not answer are missing.
        """
        return cast(
            "shapes.LiveCallList", self.ask(Wish("GET", "/v1/live-calls", (shapes.LiveCallList,)))
        )

    def list_calls(self, *, limit: int | None = None, before: str | None = None) -> shapes.CallPage:
        """Return a page of the account's calls, newest first.

        Those that began within the last second come on top of the first page, beyond its limit,
        whether they are live or over.
        """
        return cast(
            "shapes.CallPage",
            self.ask(
                Wish(
                    "GET", "/v1/calls", (shapes.CallPage,), query={"limit": limit, "before": before}
                )
            ),
        )

    def iter_calls(self) -> Iterator[shapes.CallView]:
        """Yield what `list_calls` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET", "/v1/calls", (shapes.CallPage,), query={"limit": 200, "before": before}
            ),
            "calls",
        )

    def show_call(self, *, call_id: str) -> shapes.CallView:
        """Return one call, live or ended.

        `live`, `settling` (over, its record is being written) or `ended`. While it is settling,
        its cost is null.
        """
        return cast(
            "shapes.CallView",
            self.ask(
                Wish("GET", "/v1/calls/{call_id}", (shapes.CallView,), parts={"call_id": call_id})
            ),
        )

    def end_call(self, *, call_id: str) -> shapes.CallView:
        """End a live call; 202 because the carrier has yet to confirm it."""
        return cast(
            "shapes.CallView",
            self.ask(
                Wish(
                    "DELETE",
                    "/v1/calls/{call_id}",
                    (shapes.CallView,),
                    parts={"call_id": call_id},
                    status=202,
                )
            ),
        )

    def show_account(self) -> shapes.AccountView:
        """Return the account's balance: what is held for calls is spent only once used."""
        return cast(
            "shapes.AccountView", self.ask(Wish("GET", "/v1/account", (shapes.AccountView,)))
        )

    def show_phonebook(self) -> shapes.Phonebook:
        """Return the operator's suggestions for the dial field."""
        return cast("shapes.Phonebook", self.ask(Wish("GET", "/v1/phonebook", (shapes.Phonebook,))))

    def give_feedback(
        self,
        *,
        call_id: str,
        stars: int,
        flaws: list[shapes.Flaw] | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.KeptFeedback:
        """Store a call's first feedback, and return what is stored; repeating it is harmless.

        The first feedback stays, and is in the call as `feedback`. It is accepted from one
        second after the call began.
        """
        return cast(
            "shapes.KeptFeedback",
            self.ask(
                Wish(
                    "PUT",
                    "/v1/calls/{call_id}/feedback",
                    (shapes.KeptFeedback,),
                    body=shapes.Feedback(stars=stars, flaws=flaws),
                    parts={"call_id": call_id},
                )
            ),
        )

    def watch_live_calls(
        self, *, call: str | None = None
    ) -> Generator[shapes.FeedSnapshot | shapes.FeedDelta, None, None]:
        """Stream the calls of the requesting account.

        Server-Sent Events (WHATWG HTML, 9.2), which do not end.
        """
        return self.watch(
            Wish(
                "GET",
                "/v1/live-feed",
                query={"call": call},
                events={
                    "snapshot": shapes.FeedSnapshot,
                    "delta": shapes.FeedDelta,
                    "end": shapes.FeedEnd,
                },
            )
        )

    def supervise_call(
        self, *, call_id: str, reason: str | msgspec.UnsetType = msgspec.UNSET
    ) -> shapes.GrantView:
        """Return the token that lets a supervisor into a live call of the account, once.

        It is valid for a minute. The supervisor listens at first; docs/api.md has the messages.
        """
        return cast(
            "shapes.GrantView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/live-calls/{call_id}/supervision",
                    (shapes.GrantView,),
                    body=shapes.GrantRequest(reason=reason),
                    parts={"call_id": call_id},
                    status=201,
                )
            ),
        )

    def find_rate(self, *, destination: str) -> shapes.RateView:
        """Return the rate of the number in the body.

        Prices of calls of one, three and ten minutes, and how long the balance lasts.
        """
        return cast(
            "shapes.RateView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/rates",
                    (shapes.RateView,),
                    body=shapes.RateRequest(destination=destination),
                )
            ),
        )

    def show_rate(self, *, prefix: str) -> shapes.RateView:
        """Return the rate of numbers that begin with `prefix` and match no longer prefix."""
        return cast(
            "shapes.RateView",
            self.ask(Wish("GET", "/v1/rates", (shapes.RateView,), query={"prefix": prefix})),
        )

    def list_ledger(
        self, *, limit: int | None = None, before: str | None = None
    ) -> shapes.LedgerPage:
        """Return a page of the account's lines, newest first.

        Top-ups, charges, refunds with their reasons, and the balance after each.
        """
        return cast(
            "shapes.LedgerPage",
            self.ask(
                Wish(
                    "GET",
                    "/v1/ledger",
                    (shapes.LedgerPage,),
                    query={"limit": limit, "before": before},
                )
            ),
        )

    def iter_ledger(self) -> Iterator[shapes.LedgerLineView]:
        """Yield what `list_ledger` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET", "/v1/ledger", (shapes.LedgerPage,), query={"limit": 200, "before": before}
            ),
            "lines",
        )

    def show_key(self) -> shapes.KeyView:
        """Return whose key this is and what it may do."""
        return cast("shapes.KeyView", self.ask(Wish("GET", "/v1/key", (shapes.KeyView,))))

    def show_top_up_offer(self) -> shapes.TopUpOffer:
        """Return the offered amounts, and the settings for automatic top-ups."""
        return cast("shapes.TopUpOffer", self.ask(Wish("GET", "/v1/top-ups", (shapes.TopUpOffer,))))

    def start_top_up(
        self,
        *,
        amount: str,
        idempotency_key: str = "",
        save_card: bool | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.PaymentView:
        """Begin a payment; the person makes it on the payment service's own page.

        Without an idempotency key the same amount within 30 seconds is the same payment.
        """
        return cast(
            "shapes.PaymentView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/top-ups",
                    (shapes.PaymentView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.TopUpRequest(amount=amount, save_card=save_card),
                    status=201,
                )
            ),
        )

    def charge_saved_card(self, *, amount: str, idempotency_key: str = "") -> shapes.PaymentView:
        """Charge the saved card at once; each tap has an idempotency key of its own.

        The payment is paid, failed with the card's code as `failure`, or not settled yet:
        repeating the key asks again, and pays only once. It counts against the daily limit of
        automatic top-ups.
        """
        return cast(
            "shapes.PaymentView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/saved-card-charges",
                    (shapes.PaymentView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.SavedCardRequest(amount=amount),
                    status=201,
                )
            ),
        )

    def show_top_up(self, *, payment_id: str) -> shapes.PaymentView:
        """Return a payment; a pending one is looked up at the payment service.

        Its state is `created`, `open`, `processing` (the bank takes its time), `paid`,
        `failed`, `expired`, `disputed` or `lost`. It does not wait for a webhook.
        """
        return cast(
            "shapes.PaymentView",
            self.ask(
                Wish(
                    "GET",
                    "/v1/top-ups/{payment_id}",
                    (shapes.PaymentView,),
                    parts={"payment_id": payment_id},
                )
            ),
        )

    def list_payments(
        self, *, limit: int | None = None, before: str | None = None
    ) -> shapes.PaymentPage:
        """Return a page of the account's payments, newest first.

        With receipts, and what was refunded.
        """
        return cast(
            "shapes.PaymentPage",
            self.ask(
                Wish(
                    "GET",
                    "/v1/payments",
                    (shapes.PaymentPage,),
                    query={"limit": limit, "before": before},
                )
            ),
        )

    def iter_payments(self) -> Iterator[shapes.PaymentView]:
        """Yield what `list_payments` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET", "/v1/payments", (shapes.PaymentPage,), query={"limit": 200, "before": before}
            ),
            "payments",
        )

    def set_auto_top_up(
        self,
        *,
        enabled: bool,
        threshold: str | msgspec.UnsetType = msgspec.UNSET,
        amount: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.AutoTopUpView:
        """Switch automatic top-ups on or off.

        The saved card is charged when the credit falls below the threshold, during a call too;
        the operator limits how much a day. A frozen account can switch them off, but not on; a
        lock switches them off.
        """
        return cast(
            "shapes.AutoTopUpView",
            self.ask(
                Wish(
                    "PUT",
                    "/v1/auto-top-up",
                    (shapes.AutoTopUpView,),
                    body=shapes.AutoTopUpRequest(
                        enabled=enabled, threshold=threshold, amount=amount
                    ),
                )
            ),
        )

    def list_buttons(self) -> shapes.ButtonList:
        """Return all buttons of the account, the newest first: there are few.

        `usage` has a line for each UTC day of the last 31 with calls.
        """
        return cast("shapes.ButtonList", self.ask(Wish("GET", "/v1/buttons", (shapes.ButtonList,))))

    def make_button(
        self,
        *,
        label: str,
        title: str,
        idempotency_key: str = "",
        destination: str | msgspec.UnsetType = msgspec.UNSET,
        origins: list[str] | msgspec.UnsetType = msgspec.UNSET,
        hours: shapes.Hours | msgspec.UnsetType = msgspec.UNSET,
        seconds_max: int | msgspec.UnsetType = msgspec.UNSET,
        calls_at_once: int | msgspec.UnsetType = msgspec.UNSET,
        amounts: shapes.Amounts | msgspec.UnsetType = msgspec.UNSET,
        day_cap: str | msgspec.UnsetType | None = msgspec.UNSET,
        month_cap: str | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> shapes.OneButtonView:
        """Create a button; repeating the idempotency key creates none, and returns the first.

        Label and title are required; if neither cap is given, it may spend 5 a day and 50 a
        month. `destination` is a proven number, or left out: then your back end names each
        call's. An account has 20 at most. A button that was deleted since is not created again.
        """
        return cast(
            "shapes.OneButtonView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/buttons",
                    (shapes.OneButtonView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.ButtonBody(
                        label=label,
                        title=title,
                        destination=destination,
                        origins=origins,
                        hours=hours,
                        seconds_max=seconds_max,
                        calls_at_once=calls_at_once,
                        amounts=amounts,
                        day_cap=day_cap,
                        month_cap=month_cap,
                    ),
                    status=201,
                )
            ),
        )

    def show_button(self, *, button_id: str) -> shapes.OneButtonView:
        """Return one button.

        With its live calls on all nodes, and how many visitors did not get through on this UTC
        day.
        """
        return cast(
            "shapes.OneButtonView",
            self.ask(
                Wish(
                    "GET",
                    "/v1/buttons/{button_id}",
                    (shapes.OneButtonView,),
                    parts={"button_id": button_id},
                )
            ),
        )

    def change_button(
        self,
        *,
        button_id: str,
        label: str,
        title: str,
        destination: str | msgspec.UnsetType = msgspec.UNSET,
        origins: list[str] | msgspec.UnsetType = msgspec.UNSET,
        hours: shapes.Hours | msgspec.UnsetType = msgspec.UNSET,
        seconds_max: int | msgspec.UnsetType = msgspec.UNSET,
        calls_at_once: int | msgspec.UnsetType = msgspec.UNSET,
        amounts: shapes.Amounts | msgspec.UnsetType = msgspec.UNSET,
        day_cap: str | msgspec.UnsetType | None = msgspec.UNSET,
        month_cap: str | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> shapes.OneButtonView:
        """Replace the name and rules of a button: whatever the body omits is as in a new one."""
        return cast(
            "shapes.OneButtonView",
            self.ask(
                Wish(
                    "PUT",
                    "/v1/buttons/{button_id}",
                    (shapes.OneButtonView,),
                    body=shapes.ButtonBody(
                        label=label,
                        title=title,
                        destination=destination,
                        origins=origins,
                        hours=hours,
                        seconds_max=seconds_max,
                        calls_at_once=calls_at_once,
                        amounts=amounts,
                        day_cap=day_cap,
                        month_cap=month_cap,
                    ),
                    parts={"button_id": button_id},
                )
            ),
        )

    def delete_button(self, *, button_id: str) -> None:
        """Delete a button for good and end its calls; does nothing if it is gone already."""
        self.ask(
            Wish("DELETE", "/v1/buttons/{button_id}", parts={"button_id": button_id}, status=204)
        )

    def pause_button(self, *, button_id: str) -> shapes.OneButtonView:
        """Pause a button.

        Running calls are not ended.
        """
        return cast(
            "shapes.OneButtonView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/buttons/{button_id}/pause",
                    (shapes.OneButtonView,),
                    parts={"button_id": button_id},
                )
            ),
        )

    def resume_button(self, *, button_id: str) -> shapes.OneButtonView:
        """Let a button take calls again."""
        return cast(
            "shapes.OneButtonView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/buttons/{button_id}/resume",
                    (shapes.OneButtonView,),
                    parts={"button_id": button_id},
                )
            ),
        )

    def end_button_calls(self, *, button_id: str) -> shapes.OneButtonView:
        """End the running calls of a button; 202, because their nodes have yet to end them.

        They end within two seconds, on all nodes, and their visitors see that the button was
        closed.
        """
        return cast(
            "shapes.OneButtonView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/buttons/{button_id}/end-calls",
                    (shapes.OneButtonView,),
                    parts={"button_id": button_id},
                    status=202,
                )
            ),
        )

    def turn_button_key(
        self,
        *,
        button_id: str,
        idempotency_key: str = "",
        overlap_days: int | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.OneButtonView:
        """Replace the live key of a button; repeating the idempotency key replaces nothing more.

        The previous key stays valid for 0, 1, 7 or 30 days.
        """
        return cast(
            "shapes.OneButtonView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/buttons/{button_id}/turn",
                    (shapes.OneButtonView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.TurnBody(overlap_days=overlap_days),
                    parts={"button_id": button_id},
                )
            ),
        )

    def list_destinations(self) -> shapes.DestinationList:
        """Return the numbers that the account has proven, the newest first."""
        return cast(
            "shapes.DestinationList",
            self.ask(Wish("GET", "/v1/destinations", (shapes.DestinationList,))),
        )

    def take_back_destination(self, *, number: str) -> shapes.PausedButtons:
        """Withdraw a proven number; its buttons are paused, and their calls end.

        They take no calls until it is proven again.
        """
        return cast(
            "shapes.PausedButtons",
            self.ask(
                Wish(
                    "POST",
                    "/v1/destinations/take-back",
                    (shapes.PausedButtons,),
                    body=shapes.NumberBody(number=number),
                )
            ),
        )

    def show_button_state(self, *, key: str) -> shapes.ButtonState:
        """Return whether the button takes calls, and what a page shows of it."""
        return cast(
            "shapes.ButtonState",
            self.ask(Wish("GET", "/v1/embed/{key}", (shapes.ButtonState,), parts={"key": key})),
        )

    def give_challenge(self, *, key: str) -> shapes.ChallengeReply:
        """Return a challenge that is valid for this key and this visitor's network.

        It is in ALTCHA's form (SHA-256), and valid for two minutes.
        """
        return cast(
            "shapes.ChallengeReply",
            self.ask(
                Wish(
                    "POST",
                    "/v1/embed/{key}/challenges",
                    (shapes.ChallengeReply,),
                    body=shapes.ChallengeRequest(),
                    parts={"key": key},
                    status=201,
                )
            ),
        )

    def issue_visitor_token(
        self,
        *,
        key: str,
        solution: str | msgspec.UnsetType = msgspec.UNSET,
        token: str | msgspec.UnsetType = msgspec.UNSET,
        human: str | msgspec.UnsetType = msgspec.UNSET,
        host: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.VisitorTokenReply:
        """Return the token of one call, for a solved challenge.

        `solution` is ALTCHA's payload in base64; alternatively `token` is one that your program
        got. `host`, the origin of the page around the frame, must be on the button's list.
        """
        return cast(
            "shapes.VisitorTokenReply",
            self.ask(
                Wish(
                    "POST",
                    "/v1/embed/{key}/call-tokens",
                    (shapes.VisitorTokenReply,),
                    body=shapes.VisitorTokenRequest(
                        solution=solution, token=token, human=human, host=host
                    ),
                    parts={"key": key},
                    status=201,
                )
            ),
        )

    def give_visitor_feedback(
        self,
        *,
        key: str,
        call_id: str,
        stars: int,
        flaws: list[shapes.Flaw] | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.KeptFeedback:
        """Store a visitor's first feedback on their call, and return what is stored.

        Someone who knows a call's id has placed it: it is random, and only people who may read
        the account's calls learn it otherwise.
        """
        return cast(
            "shapes.KeptFeedback",
            self.ask(
                Wish(
                    "PUT",
                    "/v1/embed/{key}/calls/{call_id}/feedback",
                    (shapes.KeptFeedback,),
                    body=shapes.Feedback(stars=stars, flaws=flaws),
                    parts={"key": key, "call_id": call_id},
                )
            ),
        )

    def list_webhooks(self) -> shapes.WebhookList:
        """Return all endpoints of the account, the newest first: there are few."""
        return cast(
            "shapes.WebhookList", self.ask(Wish("GET", "/v1/webhooks", (shapes.WebhookList,)))
        )

    def add_webhook(
        self,
        *,
        url: str,
        idempotency_key: str = "",
        label: str | msgspec.UnsetType = msgspec.UNSET,
        types: list[str] | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.WebhookSecretView:
        """Add an endpoint; the same idempotency key again adds none, and shows the first.

        One that was deleted since is not added again for a day.
        """
        return cast(
            "shapes.WebhookSecretView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks",
                    (shapes.WebhookSecretView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.WebhookBody(url=url, label=label, types=types),
                    status=201,
                )
            ),
        )

    def show_webhook(self, *, webhook_id: str) -> shapes.WebhookView:
        """Return one endpoint."""
        return cast(
            "shapes.WebhookView",
            self.ask(
                Wish(
                    "GET",
                    "/v1/webhooks/{webhook_id}",
                    (shapes.WebhookView,),
                    parts={"webhook_id": webhook_id},
                )
            ),
        )

    def change_webhook(
        self,
        *,
        webhook_id: str,
        url: str | msgspec.UnsetType | None = msgspec.UNSET,
        label: str | msgspec.UnsetType | None = msgspec.UNSET,
        types: list[str] | msgspec.UnsetType | None = msgspec.UNSET,
        disabled: bool | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> shapes.WebhookView:
        """Change an endpoint; one that is enabled again starts without its failures."""
        return cast(
            "shapes.WebhookView",
            self.ask(
                Wish(
                    "PATCH",
                    "/v1/webhooks/{webhook_id}",
                    (shapes.WebhookView,),
                    body=shapes.WebhookChangeBody(
                        url=url, label=label, types=types, disabled=disabled
                    ),
                    parts={"webhook_id": webhook_id},
                )
            ),
        )

    def delete_webhook(self, *, webhook_id: str) -> None:
        """Delete an endpoint with all that waits for it."""
        self.ask(
            Wish(
                "DELETE", "/v1/webhooks/{webhook_id}", parts={"webhook_id": webhook_id}, status=204
            )
        )

    def show_webhook_secret(self, *, webhook_id: str) -> shapes.WebhookSecretView:
        """Return one endpoint with its secret."""
        return cast(
            "shapes.WebhookSecretView",
            self.ask(
                Wish(
                    "GET",
                    "/v1/webhooks/{webhook_id}/secret",
                    (shapes.WebhookSecretView,),
                    parts={"webhook_id": webhook_id},
                )
            ),
        )

    def turn_webhook_secret(
        self, *, webhook_id: str, idempotency_key: str = ""
    ) -> shapes.WebhookSecretView:
        """Replace the secret; the same idempotency key again replaces nothing more."""
        return cast(
            "shapes.WebhookSecretView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks/{webhook_id}/rotate",
                    (shapes.WebhookSecretView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    parts={"webhook_id": webhook_id},
                )
            ),
        )

    def test_webhook(self, *, webhook_id: str) -> shapes.DeliveryView:
        """Queue an event that tells nothing; 202, because it has yet to be sent."""
        return cast(
            "shapes.DeliveryView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks/{webhook_id}/test",
                    (shapes.DeliveryView,),
                    parts={"webhook_id": webhook_id},
                    status=202,
                )
            ),
        )

    def list_webhook_deliveries(
        self, *, webhook_id: str, limit: int | None = None, before: str | None = None
    ) -> shapes.DeliveryPage:
        """Return a page of what an endpoint was to have, newest first, with all attempts."""
        return cast(
            "shapes.DeliveryPage",
            self.ask(
                Wish(
                    "GET",
                    "/v1/webhooks/{webhook_id}/deliveries",
                    (shapes.DeliveryPage,),
                    parts={"webhook_id": webhook_id},
                    query={"limit": limit, "before": before},
                )
            ),
        )

    def iter_webhook_deliveries(self, *, webhook_id: str) -> Iterator[shapes.DeliveryView]:
        """Yield what `list_webhook_deliveries` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET",
                "/v1/webhooks/{webhook_id}/deliveries",
                (shapes.DeliveryPage,),
                parts={"webhook_id": webhook_id},
                query={"limit": 200, "before": before},
            ),
            "deliveries",
        )

    def replay_webhook_delivery(self, *, webhook_id: str, delivery_id: str) -> shapes.DeliveryView:
        """Send a delivery again, as the same message."""
        return cast(
            "shapes.DeliveryView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay",
                    (shapes.DeliveryView,),
                    parts={"webhook_id": webhook_id, "delivery_id": delivery_id},
                    status=202,
                )
            ),
        )

    def replay_webhook_failures(self, *, webhook_id: str, since: datetime) -> shapes.Replayed:
        """Send those again that were given up; at most 1,000 at a time."""
        return cast(
            "shapes.Replayed",
            self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks/{webhook_id}/replay",
                    (shapes.Replayed,),
                    body=shapes.ReplayBody(since=since),
                    parts={"webhook_id": webhook_id},
                    status=202,
                )
            ),
        )

    def list_alarms(self) -> shapes.Alarms:
        """Return the active alarms, and what is silenced."""
        return cast("shapes.Alarms", self.ask(Wish("GET", "/v1/admin/alarms", (shapes.Alarms,))))

    def acknowledge_alarm(self, *, name: str, reason: str) -> None:
        """Note that someone is working on an active alarm.

        It is not sent again.
        """
        self.ask(
            Wish(
                "POST",
                "/v1/admin/alarms/acknowledge",
                body=shapes.AcknowledgeRequest(name=name, reason=reason),
                status=204,
            )
        )

    def silence_alarm(self, *, name: str, minutes: int, reason: str) -> None:
        """Send no notifications of an alarm for a while, whether it is active or not.

        A week at most. It may be one that is not active yet, such as `node_lost:n2` before a
        repair.
        """
        self.ask(
            Wish(
                "POST",
                "/v1/admin/alarms/silence",
                body=shapes.SilenceRequest(name=name, minutes=minutes, reason=reason),
                status=204,
            )
        )

    def unsilence_alarm(self, *, name: str) -> None:
        """Withdraw the order about an alarm."""
        self.ask(
            Wish(
                "POST",
                "/v1/admin/alarms/unsilence",
                body=shapes.UnsilenceRequest(name=name),
                status=204,
            )
        )

    def show_history(self) -> shapes.History:
        """Return figures of all calls for each minute of the last day."""
        return cast(
            "shapes.History", self.ask(Wish("GET", "/v1/admin/live-history", (shapes.History,)))
        )

    def show_fraud(self, *, hours: int | None = None) -> shapes.FraudReport:
        """Return which rules refused calls in the last hours, for whom, and the frozen accounts.

        Refusals are written once a minute; those of rules that are not counted, such as a lack
        of credit, are not included.
        """
        return cast(
            "shapes.FraudReport",
            self.ask(Wish("GET", "/v1/admin/fraud", (shapes.FraudReport,), query={"hours": hours})),
        )

    def show_credit(self, *, hours: int | None = None) -> shapes.CreditReport:
        """Return how long the credit of accounts with live calls lasts, and whose has run out."""
        return cast(
            "shapes.CreditReport",
            self.ask(
                Wish("GET", "/v1/admin/credit", (shapes.CreditReport,), query={"hours": hours})
            ),
        )

    def watch_all_live_calls(
        self, *, call: str | None = None
    ) -> Generator[shapes.FeedSnapshot | shapes.FeedDelta, None, None]:
        """Stream all live calls.

        Server-Sent Events (WHATWG HTML, 9.2), which do not end.
        """
        return self.watch(
            Wish(
                "GET",
                "/v1/admin/live-feed",
                query={"call": call},
                events={
                    "snapshot": shapes.FeedSnapshot,
                    "delta": shapes.FeedDelta,
                    "end": shapes.FeedEnd,
                },
            )
        )

    def supervise_any_call(self, *, call_id: str, reason: str) -> shapes.GrantView:
        """Return the token that lets a supervisor into any live call, once.

        It needs a reason, which the audit log of the call's account keeps with what they do
        there.
        """
        return cast(
            "shapes.GrantView",
            self.ask(
                Wish(
                    "POST",
                    "/v1/admin/live-calls/{call_id}/supervision",
                    (shapes.GrantView,),
                    body=shapes.ActRequest(reason=reason),
                    parts={"call_id": call_id},
                    status=201,
                )
            ),
        )

    def show_supervision(self, *, account_id: str) -> shapes.RuleView:
        """Return what supervisors may do in the calls of an account."""
        return cast(
            "shapes.RuleView",
            self.ask(
                Wish(
                    "GET",
                    "/v1/admin/accounts/{account_id}/supervision",
                    (shapes.RuleView,),
                    parts={"account_id": account_id},
                )
            ),
        )

    def set_supervision(
        self,
        *,
        account_id: str,
        most: Literal["barge", "listen", "off", "take-over", "whisper"],
        reason: str,
        silent_reason: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.RuleView:
        """Set what supervisors may do in the calls of an account that belongs to no person."""
        return cast(
            "shapes.RuleView",
            self.ask(
                Wish(
                    "PUT",
                    "/v1/admin/accounts/{account_id}/supervision",
                    (shapes.RuleView,),
                    body=shapes.RuleRequest(most=most, silent_reason=silent_reason, reason=reason),
                    parts={"account_id": account_id},
                )
            ),
        )

    def search_accounts(
        self,
        *,
        text: str,
        limit: int | msgspec.UnsetType = msgspec.UNSET,
        after: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.FoundPage:
        """Return accounts by a part of their id or address.

        A body, because proxies log addresses.
        """
        return cast(
            "shapes.FoundPage",
            self.ask(
                Wish(
                    "POST",
                    "/v1/admin/search",
                    (shapes.FoundPage,),
                    body=shapes.SearchRequest(text=text, limit=limit, after=after),
                )
            ),
        )

    def show_any_account(self, *, account_id: str) -> shapes.StateView:
        """Return the state of an account.

        Its state and why it is frozen, credit, sessions, second factor (yes or no), last
        sign-in, lifted rules, refused calls by hour.
        """
        return cast(
            "shapes.StateView",
            self.ask(
                Wish(
                    "GET",
                    "/v1/admin/accounts/{account_id}",
                    (shapes.StateView,),
                    parts={"account_id": account_id},
                )
            ),
        )

    def list_log(
        self, *, account_id: str, limit: int | None = None, before: str | None = None
    ) -> shapes.LogPage:
        """Return a page of the acts on an account, the newest first."""
        return cast(
            "shapes.LogPage",
            self.ask(
                Wish(
                    "GET",
                    "/v1/admin/accounts/{account_id}/log",
                    (shapes.LogPage,),
                    parts={"account_id": account_id},
                    query={"limit": limit, "before": before},
                )
            ),
        )

    def iter_log(self, *, account_id: str) -> Iterator[shapes.LogLineView]:
        """Yield what `list_log` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET",
                "/v1/admin/accounts/{account_id}/log",
                (shapes.LogPage,),
                parts={"account_id": account_id},
                query={"limit": 200, "before": before},
            ),
            "lines",
        )

    def credit_account(
        self, *, account_id: str, amount: str, reference: str, reason: str
    ) -> shapes.Booked:
        """Give or take back credit, once per reference."""
        return cast(
            "shapes.Booked",
            self.ask(
                Wish(
                    "POST",
                    "/v1/admin/accounts/{account_id}/credit",
                    (shapes.Booked,),
                    body=shapes.CreditRequest(amount=amount, reference=reference, reason=reason),
                    parts={"account_id": account_id},
                )
            ),
        )

    def allow(
        self, *, account_id: str, rule: shapes.Allowance, until: datetime, reason: str
    ) -> None:
        """Lift a rule of admission until a moment.

        For a year at most.
        """
        self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/allow",
                body=shapes.AllowRequest(rule=rule, until=until, reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    def disallow(self, *, account_id: str, rule: shapes.Allowance, reason: str) -> None:
        """Restore a rule of admission."""
        self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/disallow",
                body=shapes.DisallowRequest(rule=rule, reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    def freeze(self, *, account_id: str, reason: str) -> None:
        """Freeze an account; its live calls end."""
        self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/freeze",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    def unfreeze(self, *, account_id: str, reason: str) -> None:
        """Lift an operator's freeze."""
        self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/unfreeze",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    def lock(self, *, account_id: str, reason: str) -> None:
        """Lock an account: its holder is signed out and mailed a link for another password."""
        self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/lock",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    def unlock(self, *, account_id: str, reason: str) -> None:
        """Unlock an account."""
        self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/unlock",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    def sign_out(self, *, account_id: str, reason: str) -> None:
        """Sign the holder of an account out everywhere."""
        self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/sign-out",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    def reset_second_factor(self, *, account_id: str, reason: str) -> None:
        """Remove the second factor and passkeys of a person who has lost them.

        The password stays.
        """
        self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/reset-second-factor",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    def list_data_requests(
        self,
        *,
        limit: int | None = None,
        before: str | None = None,
        state: Literal["", "all", "open"] | None = None,
        account: str | None = None,
    ) -> shapes.DataRequestPage:
        """Return a page of requests: the newest first, or those that are open, the first due."""
        return cast(
            "shapes.DataRequestPage",
            self.ask(
                Wish(
                    "GET",
                    "/v1/admin/data-requests",
                    (shapes.DataRequestPage,),
                    query={"limit": limit, "before": before, "state": state, "account": account},
                )
            ),
        )

    def iter_data_requests(
        self, *, state: Literal["", "all", "open"] | None = None, account: str | None = None
    ) -> Iterator[shapes.DataRequestView]:
        """Yield what `list_data_requests` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET",
                "/v1/admin/data-requests",
                (shapes.DataRequestPage,),
                query={"limit": 200, "before": before, "state": state, "account": account},
            ),
            "requests",
        )

    def add_data_request(self, *, account_id: str, right: shapes.Right) -> None:
        """Add a request that came by mail or letter; nothing if the same one is already open.

        It is due within a month.
        """
        self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/data-requests",
                body=shapes.DataRequestBody(right=right),
                parts={"account_id": account_id},
                status=204,
            )
        )

    def close_data_request(
        self, *, number: str, note: str | msgspec.UnsetType = msgspec.UNSET
    ) -> None:
        """Note that a request is answered.

        The note is one line of 200 characters at most, and must not name anyone.
        """
        self.ask(
            Wish(
                "POST",
                "/v1/admin/data-requests/{number}/done",
                body=shapes.DoneBody(note=note),
                parts={"number": number},
                status=204,
            )
        )

    def list_nodes(self) -> shapes.Nodes:
        """Return the running nodes.

        With what each reports about itself, such as how many calls it has and how late its loop
        was.
        """
        return cast("shapes.Nodes", self.ask(Wish("GET", "/v1/admin/nodes", (shapes.Nodes,))))

    def drain_node(self, *, node: str) -> None:
        """Drain a node: it takes no new calls.

        It takes none until it is resumed or restarted.
        """
        self.ask(Wish("POST", "/v1/admin/nodes/{node}/drain", parts={"node": node}, status=204))

    def resume_node(self, *, node: str) -> None:
        """Let a node take new calls again."""
        self.ask(Wish("POST", "/v1/admin/nodes/{node}/resume", parts={"node": node}, status=204))

    def set_node_log_level(
        self,
        *,
        node: str,
        level: shapes.LogLevel,
        reason: str,
        minutes: int | msgspec.UnsetType = msgspec.UNSET,
    ) -> None:
        """Change the log level of a node for a while.

        After that, and after a restart, it logs at its configured level. The audit log keeps
        the reason.
        """
        self.ask(
            Wish(
                "POST",
                "/v1/admin/nodes/{node}/log-level",
                body=shapes.LogLevelRequest(level=level, minutes=minutes, reason=reason),
                parts={"node": node},
                status=204,
            )
        )

    def list_all_live_calls(self, *, account: str | None = None) -> shapes.FleetCalls:
        """Return the live calls of all nodes, or of one account.

        The newest first.
        """
        return cast(
            "shapes.FleetCalls",
            self.ask(
                Wish(
                    "GET", "/v1/admin/live-calls", (shapes.FleetCalls,), query={"account": account}
                )
            ),
        )

    def end_any_call(self, *, call_id: str, reason: str) -> None:
        """End a live call, for a reason that is recorded in its account's audit log."""
        self.ask(
            Wish(
                "POST",
                "/v1/admin/live-calls/{call_id}/end",
                body=shapes.ActRequest(reason=reason),
                parts={"call_id": call_id},
                status=202,
            )
        )

    def show_document(self) -> dict[str, Any]:
        """Return this document: OpenAPI 3.1.

        It has an `ETag`.
        """
        return cast("dict[str, Any]", self.ask(Wish("GET", "/v1/openapi.json", (dict[str, Any],))))


class AsyncCaller(AsyncTransport):
    """The operations of a gateway."""

    async def quote_call(self, *, destination: str) -> shapes.QuoteReply | shapes.QuoteRefusal:
        """Return what a call would cost and how long it could last, or why it may not be placed.

        People ask while they type, so a refusal is an ordinary answer.
        """
        return cast(
            "shapes.QuoteReply | shapes.QuoteRefusal",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/quotes",
                    (
                        shapes.QuoteReply,
                        shapes.QuoteRefusal,
                    ),
                    body=shapes.QuoteRequest(destination=destination),
                )
            ),
        )

    async def issue_call_token(
        self,
        *,
        destination: str | msgspec.UnsetType | None = msgspec.UNSET,
        codec: str | msgspec.UnsetType = msgspec.UNSET,
        origin: str | msgspec.UnsetType = msgspec.UNSET,
        button: str | msgspec.UnsetType = msgspec.UNSET,
        visitor: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.TokenReply | shapes.VisitorTokenReply:
        """Quote a call and return the token that allows it, once."""
        return cast(
            "shapes.TokenReply | shapes.VisitorTokenReply",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/call-tokens",
                    (
                        shapes.TokenReply,
                        shapes.VisitorTokenReply,
                    ),
                    body=shapes.TokenRequest(
                        destination=destination,
                        codec=codec,
                        origin=origin,
                        button=button,
                        visitor=visitor,
                    ),
                    status=201,
                )
            ),
        )

    async def issue_check_token(
        self, *, origin: str | msgspec.UnsetType = msgspec.UNSET
    ) -> shapes.CheckTokenReply:
        """Return the token that allows one check of the line, which is free of charge."""
        return cast(
            "shapes.CheckTokenReply",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/check-tokens",
                    (shapes.CheckTokenReply,),
                    body=shapes.CheckTokenRequest(origin=origin),
                    status=201,
                )
            ),
        )

    async def list_live_calls(self) -> shapes.LiveCallList:
        """Return the account's live calls, newest first.

        Calls of a node that does not answer are missing.
        """
        return cast(
            "shapes.LiveCallList",
            await self.ask(Wish("GET", "/v1/live-calls", (shapes.LiveCallList,))),
        )

    async def list_calls(
        self, *, limit: int | None = None, before: str | None = None
    ) -> shapes.CallPage:
        """Return a page of the account's calls, newest first.

        Those that began within the last second come on top of the first page, beyond its limit,
        whether they are live or over.
        """
        return cast(
            "shapes.CallPage",
            await self.ask(
                Wish(
                    "GET", "/v1/calls", (shapes.CallPage,), query={"limit": limit, "before": before}
                )
            ),
        )

    def iter_calls(self) -> AsyncIterator[shapes.CallView]:
        """Yield what `list_calls` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET", "/v1/calls", (shapes.CallPage,), query={"limit": 200, "before": before}
            ),
            "calls",
        )

    async def show_call(self, *, call_id: str) -> shapes.CallView:
        """Return one call, live or ended.

        `live`, `settling` (over, its record is being written) or `ended`. While it is settling,
        its cost is null.
        """
        return cast(
            "shapes.CallView",
            await self.ask(
                Wish("GET", "/v1/calls/{call_id}", (shapes.CallView,), parts={"call_id": call_id})
            ),
        )

    async def end_call(self, *, call_id: str) -> shapes.CallView:
        """End a live call; 202 because the carrier has yet to confirm it."""
        return cast(
            "shapes.CallView",
            await self.ask(
                Wish(
                    "DELETE",
                    "/v1/calls/{call_id}",
                    (shapes.CallView,),
                    parts={"call_id": call_id},
                    status=202,
                )
            ),
        )

    async def show_account(self) -> shapes.AccountView:
        """Return the account's balance: what is held for calls is spent only once used."""
        return cast(
            "shapes.AccountView", await self.ask(Wish("GET", "/v1/account", (shapes.AccountView,)))
        )

    async def show_phonebook(self) -> shapes.Phonebook:
        """Return the operator's suggestions for the dial field."""
        return cast(
            "shapes.Phonebook", await self.ask(Wish("GET", "/v1/phonebook", (shapes.Phonebook,)))
        )

    async def give_feedback(
        self,
        *,
        call_id: str,
        stars: int,
        flaws: list[shapes.Flaw] | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.KeptFeedback:
        """Store a call's first feedback, and return what is stored; repeating it is harmless.

        The first feedback stays, and is in the call as `feedback`. It is accepted from one
        second after the call began.
        """
        return cast(
            "shapes.KeptFeedback",
            await self.ask(
                Wish(
                    "PUT",
                    "/v1/calls/{call_id}/feedback",
                    (shapes.KeptFeedback,),
                    body=shapes.Feedback(stars=stars, flaws=flaws),
                    parts={"call_id": call_id},
                )
            ),
        )

    def watch_live_calls(
        self, *, call: str | None = None
    ) -> AsyncGenerator[shapes.FeedSnapshot | shapes.FeedDelta, None]:
        """Stream the calls of the requesting account.

        Server-Sent Events (WHATWG HTML, 9.2), which do not end.
        """
        return self.watch(
            Wish(
                "GET",
                "/v1/live-feed",
                query={"call": call},
                events={
                    "snapshot": shapes.FeedSnapshot,
                    "delta": shapes.FeedDelta,
                    "end": shapes.FeedEnd,
                },
            )
        )

    async def supervise_call(
        self, *, call_id: str, reason: str | msgspec.UnsetType = msgspec.UNSET
    ) -> shapes.GrantView:
        """Return the token that lets a supervisor into a live call of the account, once.

        It is valid for a minute. The supervisor listens at first; docs/api.md has the messages.
        """
        return cast(
            "shapes.GrantView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/live-calls/{call_id}/supervision",
                    (shapes.GrantView,),
                    body=shapes.GrantRequest(reason=reason),
                    parts={"call_id": call_id},
                    status=201,
                )
            ),
        )

    async def find_rate(self, *, destination: str) -> shapes.RateView:
        """Return the rate of the number in the body.

        Prices of calls of one, three and ten minutes, and how long the balance lasts.
        """
        return cast(
            "shapes.RateView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/rates",
                    (shapes.RateView,),
                    body=shapes.RateRequest(destination=destination),
                )
            ),
        )

    async def show_rate(self, *, prefix: str) -> shapes.RateView:
        """Return the rate of numbers that begin with `prefix` and match no longer prefix."""
        return cast(
            "shapes.RateView",
            await self.ask(Wish("GET", "/v1/rates", (shapes.RateView,), query={"prefix": prefix})),
        )

    async def list_ledger(
        self, *, limit: int | None = None, before: str | None = None
    ) -> shapes.LedgerPage:
        """Return a page of the account's lines, newest first.

        Top-ups, charges, refunds with their reasons, and the balance after each.
        """
        return cast(
            "shapes.LedgerPage",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/ledger",
                    (shapes.LedgerPage,),
                    query={"limit": limit, "before": before},
                )
            ),
        )

    def iter_ledger(self) -> AsyncIterator[shapes.LedgerLineView]:
        """Yield what `list_ledger` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET", "/v1/ledger", (shapes.LedgerPage,), query={"limit": 200, "before": before}
            ),
            "lines",
        )

    async def show_key(self) -> shapes.KeyView:
        """Return whose key this is and what it may do."""
        return cast("shapes.KeyView", await self.ask(Wish("GET", "/v1/key", (shapes.KeyView,))))

    async def show_top_up_offer(self) -> shapes.TopUpOffer:
        """Return the offered amounts, and the settings for automatic top-ups."""
        return cast(
            "shapes.TopUpOffer", await self.ask(Wish("GET", "/v1/top-ups", (shapes.TopUpOffer,)))
        )

    async def start_top_up(
        self,
        *,
        amount: str,
        idempotency_key: str = "",
        save_card: bool | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.PaymentView:
        """Begin a payment; the person makes it on the payment service's own page.

        Without an idempotency key the same amount within 30 seconds is the same payment.
        """
        return cast(
            "shapes.PaymentView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/top-ups",
                    (shapes.PaymentView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.TopUpRequest(amount=amount, save_card=save_card),
                    status=201,
                )
            ),
        )

    async def charge_saved_card(
        self, *, amount: str, idempotency_key: str = ""
    ) -> shapes.PaymentView:
        """Charge the saved card at once; each tap has an idempotency key of its own.

        The payment is paid, failed with the card's code as `failure`, or not settled yet:
        repeating the key asks again, and pays only once. It counts against the daily limit of
        automatic top-ups.
        """
        return cast(
            "shapes.PaymentView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/saved-card-charges",
                    (shapes.PaymentView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.SavedCardRequest(amount=amount),
                    status=201,
                )
            ),
        )

    async def show_top_up(self, *, payment_id: str) -> shapes.PaymentView:
        """Return a payment; a pending one is looked up at the payment service.

        Its state is `created`, `open`, `processing` (the bank takes its time), `paid`,
        `failed`, `expired`, `disputed` or `lost`. It does not wait for a webhook.
        """
        return cast(
            "shapes.PaymentView",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/top-ups/{payment_id}",
                    (shapes.PaymentView,),
                    parts={"payment_id": payment_id},
                )
            ),
        )

    async def list_payments(
        self, *, limit: int | None = None, before: str | None = None
    ) -> shapes.PaymentPage:
        """Return a page of the account's payments, newest first.

        With receipts, and what was refunded.
        """
        return cast(
            "shapes.PaymentPage",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/payments",
                    (shapes.PaymentPage,),
                    query={"limit": limit, "before": before},
                )
            ),
        )

    def iter_payments(self) -> AsyncIterator[shapes.PaymentView]:
        """Yield what `list_payments` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET", "/v1/payments", (shapes.PaymentPage,), query={"limit": 200, "before": before}
            ),
            "payments",
        )

    async def set_auto_top_up(
        self,
        *,
        enabled: bool,
        threshold: str | msgspec.UnsetType = msgspec.UNSET,
        amount: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.AutoTopUpView:
        """Switch automatic top-ups on or off.

        The saved card is charged when the credit falls below the threshold, during a call too;
        the operator limits how much a day. A frozen account can switch them off, but not on; a
        lock switches them off.
        """
        return cast(
            "shapes.AutoTopUpView",
            await self.ask(
                Wish(
                    "PUT",
                    "/v1/auto-top-up",
                    (shapes.AutoTopUpView,),
                    body=shapes.AutoTopUpRequest(
                        enabled=enabled, threshold=threshold, amount=amount
                    ),
                )
            ),
        )

    async def list_buttons(self) -> shapes.ButtonList:
        """Return all buttons of the account, the newest first: there are few.

        `usage` has a line for each UTC day of the last 31 with calls.
        """
        return cast(
            "shapes.ButtonList", await self.ask(Wish("GET", "/v1/buttons", (shapes.ButtonList,)))
        )

    async def make_button(
        self,
        *,
        label: str,
        title: str,
        idempotency_key: str = "",
        destination: str | msgspec.UnsetType = msgspec.UNSET,
        origins: list[str] | msgspec.UnsetType = msgspec.UNSET,
        hours: shapes.Hours | msgspec.UnsetType = msgspec.UNSET,
        seconds_max: int | msgspec.UnsetType = msgspec.UNSET,
        calls_at_once: int | msgspec.UnsetType = msgspec.UNSET,
        amounts: shapes.Amounts | msgspec.UnsetType = msgspec.UNSET,
        day_cap: str | msgspec.UnsetType | None = msgspec.UNSET,
        month_cap: str | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> shapes.OneButtonView:
        """Create a button; repeating the idempotency key creates none, and returns the first.

        Label and title are required; if neither cap is given, it may spend 5 a day and 50 a
        month. `destination` is a proven number, or left out: then your back end names each
        call's. An account has 20 at most. A button that was deleted since is not created again.
        """
        return cast(
            "shapes.OneButtonView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/buttons",
                    (shapes.OneButtonView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.ButtonBody(
                        label=label,
                        title=title,
                        destination=destination,
                        origins=origins,
                        hours=hours,
                        seconds_max=seconds_max,
                        calls_at_once=calls_at_once,
                        amounts=amounts,
                        day_cap=day_cap,
                        month_cap=month_cap,
                    ),
                    status=201,
                )
            ),
        )

    async def show_button(self, *, button_id: str) -> shapes.OneButtonView:
        """Return one button.

        With its live calls on all nodes, and how many visitors did not get through on this UTC
        day.
        """
        return cast(
            "shapes.OneButtonView",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/buttons/{button_id}",
                    (shapes.OneButtonView,),
                    parts={"button_id": button_id},
                )
            ),
        )

    async def change_button(
        self,
        *,
        button_id: str,
        label: str,
        title: str,
        destination: str | msgspec.UnsetType = msgspec.UNSET,
        origins: list[str] | msgspec.UnsetType = msgspec.UNSET,
        hours: shapes.Hours | msgspec.UnsetType = msgspec.UNSET,
        seconds_max: int | msgspec.UnsetType = msgspec.UNSET,
        calls_at_once: int | msgspec.UnsetType = msgspec.UNSET,
        amounts: shapes.Amounts | msgspec.UnsetType = msgspec.UNSET,
        day_cap: str | msgspec.UnsetType | None = msgspec.UNSET,
        month_cap: str | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> shapes.OneButtonView:
        """Replace the name and rules of a button: whatever the body omits is as in a new one."""
        return cast(
            "shapes.OneButtonView",
            await self.ask(
                Wish(
                    "PUT",
                    "/v1/buttons/{button_id}",
                    (shapes.OneButtonView,),
                    body=shapes.ButtonBody(
                        label=label,
                        title=title,
                        destination=destination,
                        origins=origins,
                        hours=hours,
                        seconds_max=seconds_max,
                        calls_at_once=calls_at_once,
                        amounts=amounts,
                        day_cap=day_cap,
                        month_cap=month_cap,
                    ),
                    parts={"button_id": button_id},
                )
            ),
        )

    async def delete_button(self, *, button_id: str) -> None:
        """Delete a button for good and end its calls; does nothing if it is gone already."""
        await self.ask(
            Wish("DELETE", "/v1/buttons/{button_id}", parts={"button_id": button_id}, status=204)
        )

    async def pause_button(self, *, button_id: str) -> shapes.OneButtonView:
        """Pause a button.

        Running calls are not ended.
        """
        return cast(
            "shapes.OneButtonView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/buttons/{button_id}/pause",
                    (shapes.OneButtonView,),
                    parts={"button_id": button_id},
                )
            ),
        )

    async def resume_button(self, *, button_id: str) -> shapes.OneButtonView:
        """Let a button take calls again."""
        return cast(
            "shapes.OneButtonView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/buttons/{button_id}/resume",
                    (shapes.OneButtonView,),
                    parts={"button_id": button_id},
                )
            ),
        )

    async def end_button_calls(self, *, button_id: str) -> shapes.OneButtonView:
        """End the running calls of a button; 202, because their nodes have yet to end them.

        They end within two seconds, on all nodes, and their visitors see that the button was
        closed.
        """
        return cast(
            "shapes.OneButtonView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/buttons/{button_id}/end-calls",
                    (shapes.OneButtonView,),
                    parts={"button_id": button_id},
                    status=202,
                )
            ),
        )

    async def turn_button_key(
        self,
        *,
        button_id: str,
        idempotency_key: str = "",
        overlap_days: int | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.OneButtonView:
        """Replace the live key of a button; repeating the idempotency key replaces nothing more.

        The previous key stays valid for 0, 1, 7 or 30 days.
        """
        return cast(
            "shapes.OneButtonView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/buttons/{button_id}/turn",
                    (shapes.OneButtonView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.TurnBody(overlap_days=overlap_days),
                    parts={"button_id": button_id},
                )
            ),
        )

    async def list_destinations(self) -> shapes.DestinationList:
        """Return the numbers that the account has proven, the newest first."""
        return cast(
            "shapes.DestinationList",
            await self.ask(Wish("GET", "/v1/destinations", (shapes.DestinationList,))),
        )

    async def take_back_destination(self, *, number: str) -> shapes.PausedButtons:
        """Withdraw a proven number; its buttons are paused, and their calls end.

        They take no calls until it is proven again.
        """
        return cast(
            "shapes.PausedButtons",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/destinations/take-back",
                    (shapes.PausedButtons,),
                    body=shapes.NumberBody(number=number),
                )
            ),
        )

    async def show_button_state(self, *, key: str) -> shapes.ButtonState:
        """Return whether the button takes calls, and what a page shows of it."""
        return cast(
            "shapes.ButtonState",
            await self.ask(
                Wish("GET", "/v1/embed/{key}", (shapes.ButtonState,), parts={"key": key})
            ),
        )

    async def give_challenge(self, *, key: str) -> shapes.ChallengeReply:
        """Return a challenge that is valid for this key and this visitor's network.

        It is in ALTCHA's form (SHA-256), and valid for two minutes.
        """
        return cast(
            "shapes.ChallengeReply",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/embed/{key}/challenges",
                    (shapes.ChallengeReply,),
                    body=shapes.ChallengeRequest(),
                    parts={"key": key},
                    status=201,
                )
            ),
        )

    async def issue_visitor_token(
        self,
        *,
        key: str,
        solution: str | msgspec.UnsetType = msgspec.UNSET,
        token: str | msgspec.UnsetType = msgspec.UNSET,
        human: str | msgspec.UnsetType = msgspec.UNSET,
        host: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.VisitorTokenReply:
        """Return the token of one call, for a solved challenge.

        `solution` is ALTCHA's payload in base64; alternatively `token` is one that your program
        got. `host`, the origin of the page around the frame, must be on the button's list.
        """
        return cast(
            "shapes.VisitorTokenReply",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/embed/{key}/call-tokens",
                    (shapes.VisitorTokenReply,),
                    body=shapes.VisitorTokenRequest(
                        solution=solution, token=token, human=human, host=host
                    ),
                    parts={"key": key},
                    status=201,
                )
            ),
        )

    async def give_visitor_feedback(
        self,
        *,
        key: str,
        call_id: str,
        stars: int,
        flaws: list[shapes.Flaw] | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.KeptFeedback:
        """Store a visitor's first feedback on their call, and return what is stored.

        Someone who knows a call's id has placed it: it is random, and only people who may read
        the account's calls learn it otherwise.
        """
        return cast(
            "shapes.KeptFeedback",
            await self.ask(
                Wish(
                    "PUT",
                    "/v1/embed/{key}/calls/{call_id}/feedback",
                    (shapes.KeptFeedback,),
                    body=shapes.Feedback(stars=stars, flaws=flaws),
                    parts={"key": key, "call_id": call_id},
                )
            ),
        )

    async def list_webhooks(self) -> shapes.WebhookList:
        """Return all endpoints of the account, the newest first: there are few."""
        return cast(
            "shapes.WebhookList", await self.ask(Wish("GET", "/v1/webhooks", (shapes.WebhookList,)))
        )

    async def add_webhook(
        self,
        *,
        url: str,
        idempotency_key: str = "",
        label: str | msgspec.UnsetType = msgspec.UNSET,
        types: list[str] | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.WebhookSecretView:
        """Add an endpoint; the same idempotency key again adds none, and shows the first.

        One that was deleted since is not added again for a day.
        """
        return cast(
            "shapes.WebhookSecretView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks",
                    (shapes.WebhookSecretView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    body=shapes.WebhookBody(url=url, label=label, types=types),
                    status=201,
                )
            ),
        )

    async def show_webhook(self, *, webhook_id: str) -> shapes.WebhookView:
        """Return one endpoint."""
        return cast(
            "shapes.WebhookView",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/webhooks/{webhook_id}",
                    (shapes.WebhookView,),
                    parts={"webhook_id": webhook_id},
                )
            ),
        )

    async def change_webhook(
        self,
        *,
        webhook_id: str,
        url: str | msgspec.UnsetType | None = msgspec.UNSET,
        label: str | msgspec.UnsetType | None = msgspec.UNSET,
        types: list[str] | msgspec.UnsetType | None = msgspec.UNSET,
        disabled: bool | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> shapes.WebhookView:
        """Change an endpoint; one that is enabled again starts without its failures."""
        return cast(
            "shapes.WebhookView",
            await self.ask(
                Wish(
                    "PATCH",
                    "/v1/webhooks/{webhook_id}",
                    (shapes.WebhookView,),
                    body=shapes.WebhookChangeBody(
                        url=url, label=label, types=types, disabled=disabled
                    ),
                    parts={"webhook_id": webhook_id},
                )
            ),
        )

    async def delete_webhook(self, *, webhook_id: str) -> None:
        """Delete an endpoint with all that waits for it."""
        await self.ask(
            Wish(
                "DELETE", "/v1/webhooks/{webhook_id}", parts={"webhook_id": webhook_id}, status=204
            )
        )

    async def show_webhook_secret(self, *, webhook_id: str) -> shapes.WebhookSecretView:
        """Return one endpoint with its secret."""
        return cast(
            "shapes.WebhookSecretView",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/webhooks/{webhook_id}/secret",
                    (shapes.WebhookSecretView,),
                    parts={"webhook_id": webhook_id},
                )
            ),
        )

    async def turn_webhook_secret(
        self, *, webhook_id: str, idempotency_key: str = ""
    ) -> shapes.WebhookSecretView:
        """Replace the secret; the same idempotency key again replaces nothing more."""
        return cast(
            "shapes.WebhookSecretView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks/{webhook_id}/rotate",
                    (shapes.WebhookSecretView,),
                    idempotency_key=idempotency_key or uuid4().hex,
                    parts={"webhook_id": webhook_id},
                )
            ),
        )

    async def test_webhook(self, *, webhook_id: str) -> shapes.DeliveryView:
        """Queue an event that tells nothing; 202, because it has yet to be sent."""
        return cast(
            "shapes.DeliveryView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks/{webhook_id}/test",
                    (shapes.DeliveryView,),
                    parts={"webhook_id": webhook_id},
                    status=202,
                )
            ),
        )

    async def list_webhook_deliveries(
        self, *, webhook_id: str, limit: int | None = None, before: str | None = None
    ) -> shapes.DeliveryPage:
        """Return a page of what an endpoint was to have, newest first, with all attempts."""
        return cast(
            "shapes.DeliveryPage",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/webhooks/{webhook_id}/deliveries",
                    (shapes.DeliveryPage,),
                    parts={"webhook_id": webhook_id},
                    query={"limit": limit, "before": before},
                )
            ),
        )

    def iter_webhook_deliveries(self, *, webhook_id: str) -> AsyncIterator[shapes.DeliveryView]:
        """Yield what `list_webhook_deliveries` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET",
                "/v1/webhooks/{webhook_id}/deliveries",
                (shapes.DeliveryPage,),
                parts={"webhook_id": webhook_id},
                query={"limit": 200, "before": before},
            ),
            "deliveries",
        )

    async def replay_webhook_delivery(
        self, *, webhook_id: str, delivery_id: str
    ) -> shapes.DeliveryView:
        """Send a delivery again, as the same message."""
        return cast(
            "shapes.DeliveryView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay",
                    (shapes.DeliveryView,),
                    parts={"webhook_id": webhook_id, "delivery_id": delivery_id},
                    status=202,
                )
            ),
        )

    async def replay_webhook_failures(self, *, webhook_id: str, since: datetime) -> shapes.Replayed:
        """Send those again that were given up; at most 1,000 at a time."""
        return cast(
            "shapes.Replayed",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/webhooks/{webhook_id}/replay",
                    (shapes.Replayed,),
                    body=shapes.ReplayBody(since=since),
                    parts={"webhook_id": webhook_id},
                    status=202,
                )
            ),
        )

    async def list_alarms(self) -> shapes.Alarms:
        """Return the active alarms, and what is silenced."""
        return cast(
            "shapes.Alarms", await self.ask(Wish("GET", "/v1/admin/alarms", (shapes.Alarms,)))
        )

    async def acknowledge_alarm(self, *, name: str, reason: str) -> None:
        """Note that someone is working on an active alarm.

        It is not sent again.
        """
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/alarms/acknowledge",
                body=shapes.AcknowledgeRequest(name=name, reason=reason),
                status=204,
            )
        )

    async def silence_alarm(self, *, name: str, minutes: int, reason: str) -> None:
        """Send no notifications of an alarm for a while, whether it is active or not.

        A week at most. It may be one that is not active yet, such as `node_lost:n2` before a
        repair.
        """
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/alarms/silence",
                body=shapes.SilenceRequest(name=name, minutes=minutes, reason=reason),
                status=204,
            )
        )

    async def unsilence_alarm(self, *, name: str) -> None:
        """Withdraw the order about an alarm."""
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/alarms/unsilence",
                body=shapes.UnsilenceRequest(name=name),
                status=204,
            )
        )

    async def show_history(self) -> shapes.History:
        """Return figures of all calls for each minute of the last day."""
        return cast(
            "shapes.History",
            await self.ask(Wish("GET", "/v1/admin/live-history", (shapes.History,))),
        )

    async def show_fraud(self, *, hours: int | None = None) -> shapes.FraudReport:
        """Return which rules refused calls in the last hours, for whom, and the frozen accounts.

        Refusals are written once a minute; those of rules that are not counted, such as a lack
        of credit, are not included.
        """
        return cast(
            "shapes.FraudReport",
            await self.ask(
                Wish("GET", "/v1/admin/fraud", (shapes.FraudReport,), query={"hours": hours})
            ),
        )

    async def show_credit(self, *, hours: int | None = None) -> shapes.CreditReport:
        """Return how long the credit of accounts with live calls lasts, and whose has run out."""
        return cast(
            "shapes.CreditReport",
            await self.ask(
                Wish("GET", "/v1/admin/credit", (shapes.CreditReport,), query={"hours": hours})
            ),
        )

    def watch_all_live_calls(
        self, *, call: str | None = None
    ) -> AsyncGenerator[shapes.FeedSnapshot | shapes.FeedDelta, None]:
        """Stream all live calls.

        Server-Sent Events (WHATWG HTML, 9.2), which do not end.
        """
        return self.watch(
            Wish(
                "GET",
                "/v1/admin/live-feed",
                query={"call": call},
                events={
                    "snapshot": shapes.FeedSnapshot,
                    "delta": shapes.FeedDelta,
                    "end": shapes.FeedEnd,
                },
            )
        )

    async def supervise_any_call(self, *, call_id: str, reason: str) -> shapes.GrantView:
        """Return the token that lets a supervisor into any live call, once.

        It needs a reason, which the audit log of the call's account keeps with what they do
        there.
        """
        return cast(
            "shapes.GrantView",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/admin/live-calls/{call_id}/supervision",
                    (shapes.GrantView,),
                    body=shapes.ActRequest(reason=reason),
                    parts={"call_id": call_id},
                    status=201,
                )
            ),
        )

    async def show_supervision(self, *, account_id: str) -> shapes.RuleView:
        """Return what supervisors may do in the calls of an account."""
        return cast(
            "shapes.RuleView",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/admin/accounts/{account_id}/supervision",
                    (shapes.RuleView,),
                    parts={"account_id": account_id},
                )
            ),
        )

    async def set_supervision(
        self,
        *,
        account_id: str,
        most: Literal["barge", "listen", "off", "take-over", "whisper"],
        reason: str,
        silent_reason: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.RuleView:
        """Set what supervisors may do in the calls of an account that belongs to no person."""
        return cast(
            "shapes.RuleView",
            await self.ask(
                Wish(
                    "PUT",
                    "/v1/admin/accounts/{account_id}/supervision",
                    (shapes.RuleView,),
                    body=shapes.RuleRequest(most=most, silent_reason=silent_reason, reason=reason),
                    parts={"account_id": account_id},
                )
            ),
        )

    async def search_accounts(
        self,
        *,
        text: str,
        limit: int | msgspec.UnsetType = msgspec.UNSET,
        after: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> shapes.FoundPage:
        """Return accounts by a part of their id or address.

        A body, because proxies log addresses.
        """
        return cast(
            "shapes.FoundPage",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/admin/search",
                    (shapes.FoundPage,),
                    body=shapes.SearchRequest(text=text, limit=limit, after=after),
                )
            ),
        )

    async def show_any_account(self, *, account_id: str) -> shapes.StateView:
        """Return the state of an account.

        Its state and why it is frozen, credit, sessions, second factor (yes or no), last
        sign-in, lifted rules, refused calls by hour.
        """
        return cast(
            "shapes.StateView",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/admin/accounts/{account_id}",
                    (shapes.StateView,),
                    parts={"account_id": account_id},
                )
            ),
        )

    async def list_log(
        self, *, account_id: str, limit: int | None = None, before: str | None = None
    ) -> shapes.LogPage:
        """Return a page of the acts on an account, the newest first."""
        return cast(
            "shapes.LogPage",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/admin/accounts/{account_id}/log",
                    (shapes.LogPage,),
                    parts={"account_id": account_id},
                    query={"limit": limit, "before": before},
                )
            ),
        )

    def iter_log(self, *, account_id: str) -> AsyncIterator[shapes.LogLineView]:
        """Yield what `list_log` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET",
                "/v1/admin/accounts/{account_id}/log",
                (shapes.LogPage,),
                parts={"account_id": account_id},
                query={"limit": 200, "before": before},
            ),
            "lines",
        )

    async def credit_account(
        self, *, account_id: str, amount: str, reference: str, reason: str
    ) -> shapes.Booked:
        """Give or take back credit, once per reference."""
        return cast(
            "shapes.Booked",
            await self.ask(
                Wish(
                    "POST",
                    "/v1/admin/accounts/{account_id}/credit",
                    (shapes.Booked,),
                    body=shapes.CreditRequest(amount=amount, reference=reference, reason=reason),
                    parts={"account_id": account_id},
                )
            ),
        )

    async def allow(
        self, *, account_id: str, rule: shapes.Allowance, until: datetime, reason: str
    ) -> None:
        """Lift a rule of admission until a moment.

        For a year at most.
        """
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/allow",
                body=shapes.AllowRequest(rule=rule, until=until, reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    async def disallow(self, *, account_id: str, rule: shapes.Allowance, reason: str) -> None:
        """Restore a rule of admission."""
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/disallow",
                body=shapes.DisallowRequest(rule=rule, reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    async def freeze(self, *, account_id: str, reason: str) -> None:
        """Freeze an account; its live calls end."""
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/freeze",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    async def unfreeze(self, *, account_id: str, reason: str) -> None:
        """Lift an operator's freeze."""
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/unfreeze",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    async def lock(self, *, account_id: str, reason: str) -> None:
        """Lock an account: its holder is signed out and mailed a link for another password."""
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/lock",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    async def unlock(self, *, account_id: str, reason: str) -> None:
        """Unlock an account."""
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/unlock",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    async def sign_out(self, *, account_id: str, reason: str) -> None:
        """Sign the holder of an account out everywhere."""
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/sign-out",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    async def reset_second_factor(self, *, account_id: str, reason: str) -> None:
        """Remove the second factor and passkeys of a person who has lost them.

        The password stays.
        """
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/reset-second-factor",
                body=shapes.ActRequest(reason=reason),
                parts={"account_id": account_id},
                status=204,
            )
        )

    async def list_data_requests(
        self,
        *,
        limit: int | None = None,
        before: str | None = None,
        state: Literal["", "all", "open"] | None = None,
        account: str | None = None,
    ) -> shapes.DataRequestPage:
        """Return a page of requests: the newest first, or those that are open, the first due."""
        return cast(
            "shapes.DataRequestPage",
            await self.ask(
                Wish(
                    "GET",
                    "/v1/admin/data-requests",
                    (shapes.DataRequestPage,),
                    query={"limit": limit, "before": before, "state": state, "account": account},
                )
            ),
        )

    def iter_data_requests(
        self, *, state: Literal["", "all", "open"] | None = None, account: str | None = None
    ) -> AsyncIterator[shapes.DataRequestView]:
        """Yield what `list_data_requests` returns, page after page."""
        return self.pages(
            lambda before: Wish(
                "GET",
                "/v1/admin/data-requests",
                (shapes.DataRequestPage,),
                query={"limit": 200, "before": before, "state": state, "account": account},
            ),
            "requests",
        )

    async def add_data_request(self, *, account_id: str, right: shapes.Right) -> None:
        """Add a request that came by mail or letter; nothing if the same one is already open.

        It is due within a month.
        """
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/accounts/{account_id}/data-requests",
                body=shapes.DataRequestBody(right=right),
                parts={"account_id": account_id},
                status=204,
            )
        )

    async def close_data_request(
        self, *, number: str, note: str | msgspec.UnsetType = msgspec.UNSET
    ) -> None:
        """Note that a request is answered.

        The note is one line of 200 characters at most, and must not name anyone.
        """
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/data-requests/{number}/done",
                body=shapes.DoneBody(note=note),
                parts={"number": number},
                status=204,
            )
        )

    async def list_nodes(self) -> shapes.Nodes:
        """Return the running nodes.

        With what each reports about itself, such as how many calls it has and how late its loop
        was.
        """
        return cast("shapes.Nodes", await self.ask(Wish("GET", "/v1/admin/nodes", (shapes.Nodes,))))

    async def drain_node(self, *, node: str) -> None:
        """Drain a node: it takes no new calls.

        It takes none until it is resumed or restarted.
        """
        await self.ask(
            Wish("POST", "/v1/admin/nodes/{node}/drain", parts={"node": node}, status=204)
        )

    async def resume_node(self, *, node: str) -> None:
        """Let a node take new calls again."""
        await self.ask(
            Wish("POST", "/v1/admin/nodes/{node}/resume", parts={"node": node}, status=204)
        )

    async def set_node_log_level(
        self,
        *,
        node: str,
        level: shapes.LogLevel,
        reason: str,
        minutes: int | msgspec.UnsetType = msgspec.UNSET,
    ) -> None:
        """Change the log level of a node for a while.

        After that, and after a restart, it logs at its configured level. The audit log keeps
        the reason.
        """
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/nodes/{node}/log-level",
                body=shapes.LogLevelRequest(level=level, minutes=minutes, reason=reason),
                parts={"node": node},
                status=204,
            )
        )

    async def list_all_live_calls(self, *, account: str | None = None) -> shapes.FleetCalls:
        """Return the live calls of all nodes, or of one account.

        The newest first.
        """
        return cast(
            "shapes.FleetCalls",
            await self.ask(
                Wish(
                    "GET", "/v1/admin/live-calls", (shapes.FleetCalls,), query={"account": account}
                )
            ),
        )

    async def end_any_call(self, *, call_id: str, reason: str) -> None:
        """End a live call, for a reason that is recorded in its account's audit log."""
        await self.ask(
            Wish(
                "POST",
                "/v1/admin/live-calls/{call_id}/end",
                body=shapes.ActRequest(reason=reason),
                parts={"call_id": call_id},
                status=202,
            )
        )

    async def show_document(self) -> dict[str, Any]:
        """Return this document: OpenAPI 3.1.

        It has an `ETag`.
        """
        return cast(
            "dict[str, Any]", await self.ask(Wish("GET", "/v1/openapi.json", (dict[str, Any],)))
        )
