"""Every object against the annotated classes of Stripe's own library.

No field may be unknown to it, none that it declares as always there may be missing, and each value
must be of the declared type.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from stripe._object_classes import get_object_class

from simulators.payments import checkout, customers, intents, refunds
from simulators.payments.resources import API_VERSION, EVIDENCE_TEXTS, Resource

from .conftest import Payments
from .receiver import Receiver

SCALARS = (str, int, float, bool)


def faults(cls: Any, value: Any, path: str) -> Iterator[str]:
    """Yield how an object differs from a class of Stripe's library."""
    hints = {
        n: h for n, h in cls.__annotations__.items() if typing.get_origin(h) is not typing.ClassVar
    }
    for name in value.keys() - hints.keys():
        yield f"{path}.{name}: unknown"
    for name, hint in hints.items():
        if name in value:
            yield from mismatches(cls, hint, value[name], f"{path}.{name}")
        elif type(None) not in typing.get_args(hint):
            yield f"{path}.{name}: missing"


def mismatches(cls: Any, hint: Any, value: Any, path: str) -> Iterator[str]:
    """Yield how a value differs from a field's annotation."""
    choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Union else (hint,)
    if value is None:
        if type(None) not in choices:
            yield f"{path}: null"
    elif isinstance(value, dict):
        yield from nested(cls, choices, value, path)
    elif isinstance(value, list):
        items = next((c for c in choices if typing.get_origin(c) is list), None)
        if items is None:
            yield f"{path}: a list"
            return
        for item in value:
            yield from mismatches(cls, typing.get_args(items)[0], item, f"{path}[]")
    elif not any(admits(choice, value) for choice in choices):
        yield f"{path}: {value!r} is not {hint}"


def admits(choice: Any, value: Any) -> bool:
    if typing.get_origin(choice) is typing.Literal:
        return value in typing.get_args(choice)
    return choice in SCALARS and type(value) is choice


def nested(cls: Any, choices: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    if isinstance(kind := value.get("object"), str):
        yield from faults(get_object_class("V1", kind), value, path)
        return
    for choice in choices:
        origin = typing.get_origin(choice) or choice
        if origin is stripe._stripe_object.UntypedStripeObject:
            return
        if isinstance(origin, type) and issubclass(origin, stripe.StripeObject):
            yield from faults(origin, value, path)
            return
    yield f"{path}: an object"


async def everything(payments: Payments, receiver: Receiver) -> None:
    """Let an object of each kind and state come about."""
    session = await payments.paid(
        payment_intent_data={"setup_future_usage": "off_session", "receipt_email": "a@b.test"},
        saved_payment_method_options={"payment_method_save": "enabled"},
        customer_creation="always",
    )
    charge = session.payment_intent.latest_charge.id
    refund = await payments.client.v1.refunds.create_async({"charge": charge, "amount": 100})
    await payments.order("POST", f"/refunds/{refund.id}/fail")
    dispute = await payments.order("POST", "/disputes", charge=charge)
    await payments.client.v1.disputes.update_async(
        dispute["id"], {"evidence": {"receipt": "file_1"}}
    )
    await payments.order("POST", f"/disputes/{dispute['id']}", status="won")
    for button in ("authentication", "declined", "bank", "bank_fails"):
        await payments.click(await payments.open(customer_email="c@d.test"), button)
    await receiver.until("checkout.session.async_payment_succeeded")
    bank = receiver.last("checkout.session.async_payment_succeeded")
    await payments.client.v1.refunds.create_async({"payment_intent": bank.payment_intent})
    await payments.client.v1.payment_intents.create_async(
        {
            "amount": 700,
            "currency": "eur",
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://shop.test",
            "automatic_payment_methods": {"enabled": True},
        }
    )
    expired = await payments.open()
    await payments.client.v1.checkout.sessions.expire_async(expired.id)
    await payments.client.v1.customers.update_async(session.customer, {"name": "A"})
    await receiver.until("checkout.session.async_payment_failed")


KINDS = (
    "checkout.session",
    "payment_intent",
    "charge",
    "refund",
    "dispute",
    "customer",
    "payment_method",
    "balance_transaction",
    "event",
)


async def test_every_object_is_what_stripes_library_declares(
    payments: Payments, receiver: Receiver
) -> None:
    await everything(payments, receiver)
    wrong: set[str] = set()
    for kind in KINDS:
        objects = (await payments.order("GET", f"/objects/{kind}s"))["data"]
        assert objects, kind
        for known in objects:
            cls = get_object_class("V1", kind)
            wrong.update(faults(cls, known, kind))
            if kind == "event":
                snapshot = known["data"]["object"]
                wrong.update(faults(get_object_class("V1", snapshot["object"]), snapshot, "event"))
    balance = await payments.client.v1.balance.retrieve_async()
    wrong.update(faults(stripe.Balance, balance.to_dict(), "balance"))
    assert sorted(wrong) == []


async def test_event_types_are_stripes(payments: Payments, receiver: Receiver) -> None:
    await everything(payments, receiver)
    declared = typing.get_args(stripe.Event.__annotations__["type"])
    assert {event.type for event in receiver.events} <= set(declared)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"nonsense": 1}, "unknown"),
        ({"amount": "1"}, "is not"),
        ({"amount": None}, "null"),
        ({"reason": ["a"]}, "a list"),
        ({"reason": {}}, "an object"),
        ({}, "missing"),
    ],
)
def test_the_walk_finds_what_is_wrong(value: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in faults(stripe.Refund, value, "refund"))


def test_the_version_is_the_one_of_the_library() -> None:
    assert stripe.api_version == API_VERSION


PARAMS = stripe.params


@pytest.mark.parametrize(
    ("accepted", "declared"),
    [
        (checkout.FIELDS, [PARAMS.checkout.SessionCreateParams]),
        (checkout.INTENT_FIELDS, [PARAMS.checkout.SessionCreateParamsPaymentIntentData]),
        (checkout.LINE_FIELDS, [PARAMS.checkout.SessionCreateParamsLineItem]),
        (checkout.PRICE_FIELDS, [PARAMS.checkout.SessionCreateParamsLineItemPriceData]),
        (
            checkout.PRODUCT_FIELDS,
            [PARAMS.checkout.SessionCreateParamsLineItemPriceDataProductData],
        ),
        (intents.CREATE_FIELDS, [PARAMS.PaymentIntentCreateParams]),
        (intents.CONFIRM_FIELDS, [PARAMS.PaymentIntentConfirmParams]),
        (refunds.FIELDS, [PARAMS.RefundCreateParams]),
        (customers.FIELDS, [PARAMS.CustomerCreateParams, PARAMS.CustomerModifyParams]),
        (EVIDENCE_TEXTS, [PARAMS.DisputeModifyParamsEvidence]),
    ],
)
def test_every_accepted_parameter_is_stripes(accepted: Any, declared: list[Any]) -> None:
    known = {name for params in declared for name in params.__annotations__}
    assert set(accepted) <= known


def test_every_kind_is_walked() -> None:
    assert {kind.KIND for kind in Resource.__subclasses__()} == set(KINDS)
