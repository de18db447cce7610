"""Customers and their payment methods."""

from __future__ import annotations

import pytest
import stripe

from .conftest import Payments
from .receiver import Receiver


async def test_a_customer_is_made_changed_and_deleted(
    payments: Payments, receiver: Receiver
) -> None:
    customers = payments.client.v1.customers
    customer = await customers.create_async(
        {"email": "a@example.com", "metadata": {"account": "1", "old": "x"}}
    )
    changed = await customers.update_async(
        customer.id, {"name": "A", "email": "", "metadata": {"old": ""}}
    )
    assert (changed.name, changed.email) == ("A", None)
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"account": "1"}
    listed = await customers.list_async({"email": "a@example.com"})
    assert listed.data == []
    deleted = await customers.delete_async(customer.id)
    assert deleted.deleted
    left = await customers.retrieve_async(customer.id)
    assert left.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await customers.delete_async(customer.id)
    assert caught.value.http_status == 404
    assert (await customers.list_async()).data == []
    await receiver.until("customer.deleted")


async def test_a_method_is_attached_detached_and_gone(payments: Payments) -> None:
    methods = payments.client.v1.payment_methods
    one, other = [await payments.client.v1.customers.create_async() for _ in range(2)]
    method = await methods.attach_async("pm_card_visa", {"customer": one.id})
    assert (await methods.attach_async(method.id, {"customer": one.id})).customer == one.id
    with pytest.raises(stripe.InvalidRequestError):
        await methods.attach_async(method.id, {"customer": other.id})
    await payments.client.v1.customers.update_async(
        one.id, {"invoice_settings": {"default_payment_method": method.id}}
    )
    listed = await methods.list_async({"customer": one.id, "type": "card"})
    assert [found.id for found in listed.data] == [method.id]

    detached = await methods.detach_async(method.id)
    assert detached.customer is None
    with pytest.raises(stripe.InvalidRequestError):
        await methods.detach_async(method.id)
    with pytest.raises(stripe.InvalidRequestError):
        await payments.client.v1.payment_intents.create_async(
            {"amount": 700, "currency": "eur", "payment_method": method.id, "confirm": True}
        )


async def test_deleting_a_customer_frees_its_methods(payments: Payments) -> None:
    methods = payments.client.v1.payment_methods
    one, other = [await payments.client.v1.customers.create_async() for _ in range(2)]
    freed, kept = [
        await methods.attach_async("pm_card_amex", {"customer": customer.id})
        for customer in (one, other)
    ]
    await payments.client.v1.customers.delete_async(one.id)
    assert (await methods.retrieve_async(freed.id)).customer is None
    assert (await methods.retrieve_async(kept.id)).customer == other.id
