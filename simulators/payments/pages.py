"""Renders the hosted page as HTML that needs no script. Pure: objects in, text out.

Knows how a page looks and nothing of HTTP; everything it shows is escaped.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import urlsplit

from simulators.documents import Documents, Page
from simulators.payments.amounts import formatted
from simulators.payments.checkout import Basket, payer_email, return_url
from simulators.payments.resources import Charge, CheckoutSession, PaymentIntent

NOTICE: Final = "Simulated payments: no money moves"
_STYLE: Final = """
main { max-width: 28rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.1rem; font-weight: 600; margin: 0; }
.amount { font-size: 2.25rem; font-weight: 700; margin: 0 0 1.5rem; }
label, .hint { display: block; margin: 0 0 .25rem; }
input { box-sizing: border-box; width: 100%; font: inherit; padding: .6rem .75rem;
  margin-bottom: 1.25rem; border: 1px solid GrayText; border-radius: .5rem; }
button { display: block; width: 100%; font: inherit; text-align: start; cursor: pointer;
  padding: .75rem 1rem; margin-bottom: .6rem; border-radius: .5rem;
  border: 1px solid light-dark(#6b7280, #9ca3af);
  background: light-dark(#f3f4f6, #24272e); color: inherit; }
button:hover { background: light-dark(#e5e7eb, #31353e); }
button.first { font-weight: 600; border-color: transparent;
  background: light-dark(#1f4fd8, #9db8ff); color: light-dark(#fff, #0b1533); }
button small { display: block; font-weight: 400; }
:focus-visible { outline: 3px solid light-dark(#1f4fd8, #9db8ff); outline-offset: 2px; }
[role=alert] { padding: .75rem 1rem; border-radius: .5rem; margin-bottom: 1.25rem;
  border: 1px solid light-dark(#b42318, #ff9b8f); color: light-dark(#b42318, #ff9b8f); }
"""
_DOCUMENTS: Final = Documents(NOTICE, _STYLE)
_HOST: Final = re.compile(r"[\w.:\[\]-]+", re.ASCII)


# Value, label and description of each button; the first stands out.
_BUTTONS: Final = (
    ("card", "Pay with a card that works", "4242 4242 4242 4242"),
    ("authentication", "Pay with a card that needs 3-D Secure", "4000 0027 6000 3184"),
    ("declined", "Pay with a card that is declined", "4000 0000 0000 0002"),
)
_BANK_BUTTONS: Final = (
    ("bank", "Pay by bank transfer", "The money arrives a few seconds later"),
    ("bank_fails", "Pay by bank transfer that fails", "The bank refuses a few seconds later"),
)


def checkout(session: CheckoutSession, basket: Basket, problem: str | None) -> Page:
    """Return the page that a session is paid on, or what became of it."""
    price = formatted(session.amount_total, session.currency)
    if session.status != "open":
        return _closed(session)
    offered = {
        *(_BUTTONS if "card" in session.payment_method_types else ()),
        *(_BANK_BUTTONS if "sepa_debit" in session.payment_method_types else ()),
    }
    # Kinds that the session excludes are left out; the order stays.
    buttons = [button for button in (*_BUTTONS, *_BANK_BUTTONS) if button in offered]
    email = payer_email(session) or ""
    # The merchant named the address: Stripe's page does not let the payer change it.
    locked = " readonly" if session.customer_email else ""
    body = f"""<h1>{escape(basket.name)}</h1>
<p class="amount">{escape(price)}</p>
{_alert(problem)}<form method="post" action="/pay/{escape(session.id)}">
<label for="email">E-mail, for the receipt (optional)</label>
<input id="email" name="email" type="email" autocomplete="email"{locked}
  value="{escape(email)}">
{_buttons("method", buttons)}</form>
{_link(session.cancel_url, "Cancel and go back")}"""
    return _page(f"Pay {price}", body, session.success_url)


def authentication(intent: PaymentIntent, target: str | None) -> Page:
    """Return the page of the payer's bank."""
    price = formatted(intent.amount, intent.currency)
    buttons = [
        ("proven", "It is me: confirm the payment", ""),
        ("failed", "Fail the authentication", ""),
    ]
    body = f"""<h1>Your bank asks: do you want to pay</h1>
<p class="amount">{escape(price)}</p>
<form method="post" action="/authenticate/{escape(intent.id)}">
{_buttons("result", buttons)}</form>"""
    return _page("Confirm the payment with your bank", body, target or "")


def receipt(charge: Charge) -> Page:
    """Return the receipt of a charge."""
    at = datetime.fromtimestamp(charge.created, UTC)
    body = f"""<h1>Receipt</h1>
<p class="amount">{escape(formatted(charge.amount, charge.currency))}</p>
<p>Paid on {at:%Y-%m-%d at %H:%M} UTC. Of this, \
{escape(formatted(charge.amount_refunded, charge.currency))} was refunded.</p>"""
    return _page("Receipt", body)


def message(title: str, text: str) -> Page:
    """Return a page that says one thing."""
    return _page(title, f"<h1>{escape(title)}</h1>\n<p>{escape(text)}</p>")


def _closed(session: CheckoutSession) -> Page:
    if session.status == "expired":
        body = "<h1>This page has expired</h1>\n<p>Nothing was paid.</p>\n"
        return _page("Expired", body + _link(session.cancel_url, "Go back"))
    # Complete and unpaid: by bank debit the money comes later.
    is_paid = session.payment_status == "paid"
    title = "This is paid" if is_paid else "The bank has not answered yet"
    return _page(title, f"<h1>{title}</h1>\n" + _link(return_url(session), "Continue"))


def _buttons(name: str, buttons: list[tuple[str, str, str]]) -> str:
    return "".join(
        f'<button{" class=first" if index == 0 else ""} name="{name}" value="{value}">{label}'
        + (f"<small>{detail}</small>" if detail else "")
        + "</button>\n"
        for index, (value, label, detail) in enumerate(buttons)
    )


def _alert(problem: str | None) -> str:
    return f'<p role="alert">{escape(problem)}</p>\n' if problem else ""


def _link(url: str | None, label: str) -> str:
    return f'<p><a href="{escape(url)}">{label}</a></p>' if url else ""


def _page(title: str, body: str, target: str = "") -> Page:
    # Browsers hold the redirect after a form to the same rule as the form's own address.
    policy = (
        f"default-src 'none'; style-src {_DOCUMENTS.style_source}; base-uri 'none';"
        f" frame-ancestors 'none'; form-action 'self'{_origin(target)}"
    )
    return Page(_DOCUMENTS.document(title, body), policy)


def _origin(url: str) -> str:
    # The address is the merchant's and goes into a header: only a plain origin may, or it could add
    # directives of its own.
    parts = urlsplit(url)
    is_plain = parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.netloc)
    return f" {parts.scheme}://{parts.netloc}" if is_plain else ""
