"""Writes the mails to people: lists them, and renders each as text and HTML.

The words are in each language's `mails.toml`; the page around them is in `templates/`. No
image, no tracking, no phone number.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from accounts.holder import Choices
from accounts.link import DISPUTABLE, LIFETIMES
from accounts.notice import LAST_NOTICE, Notice
from billing.money import format_money
from billing.payments import PaymentProfile
from gateway import tokens
from gateway.words.data_map import Kept, left_in, words_in
from gateway.words.languages import DEFAULT_LANGUAGE, known, read_part

if TYPE_CHECKING:
    from jinja2 import Environment, Template

WIDTH: Final = 72
"""Longest line of prose; the address of a page is never broken."""
VALUE_LENGTH_MAX: Final = 2_000
"""Characters of one value: the URL of a payment page has some hundreds."""
NO_CHOICES: Final = Choices()
KEPT: Final = Kept()
"""The defaults, for an operator who has set nothing."""

_HERE = Path(__file__).parent
_BREAKS: Final = re.compile(r"[^\S\u00a0\u202f]+")
"""White space at which a line may end: not the no-break spaces, which French has before a colon."""

_LOOK: Final = {name: tokens.in_pixels(value) for name, value in tokens.LIGHT.items()}
"""Written into each element, because few mail programs read a style sheet."""


@dataclass(frozen=True, slots=True)
class NoticeKind:
    """What a notice needs."""

    values: frozenset[str] = frozenset()
    """Names of its values. `micros` and `currency` are an amount (in the account's currency, if
    that is not given); `at` is an ISO 8601 time, `left` a number; `url` is the page that its button
    opens; `passkeys`, `keys`, `buttons` and `webhooks` are names of what stays, or was taken back,
    empty for none, and `numbers` the last digits of those; `most` and `supervision` are what
    supervisors may do in live calls, a `gateway.call.supervision.Mode`; `language` is the reader's,
    when nothing else is stored about them any more; `kept` is empty if no deletion was cancelled;
    `unspent` is what happens to credit, an `accounts.erasure.Unspent`; `sent_back_micros` goes back
    to a card, `given_up_micros` does not; `balance_micros` is the credit after a payment; `scopes`
    are a key's, as `gateway.scopes` writes them."""
    may_have: frozenset[str] = frozenset()
    """Names of values that default to empty."""
    needs_link: bool = False
    """Whether it makes no sense without its own link."""
    has_alarm: bool = False
    """Whether it also has a NOT_ME link, because its own does something milder."""
    is_urgent: bool = False
    """Whether it lets someone in, undoes what locks them out, or stops someone who spends with
    their card: other mails do not hold it up."""
    needs_proof: bool = True
    """Whether it is sent only to a proven address: an unproven one may be anyone's. False for what
    a person needs to prove it, or to take the account over."""


def _kind(*values: str, needs_link: bool = False) -> NoticeKind:
    return NoticeKind(frozenset(values), needs_link=needs_link)


def _way_in(*, needs_link: bool = True) -> NoticeKind:
    return NoticeKind(needs_link=needs_link, is_urgent=True, needs_proof=False)


_PAYMENT = ("micros", "currency", "payment_id")
_THINGS: Final = frozenset({"passkeys", "keys", "buttons", "webhooks"})
_LISTED: Final = _THINGS | {"numbers"}

NOTICES: Final[Mapping[str, NoticeKind]] = {
    "verify_email": _way_in(),
    "address_known": _way_in(needs_link=False),
    "reset_password": _way_in(),
    "password_changed": NoticeKind(
        may_have=_THINGS | {"app", "deletion", "supervision"}, is_urgent=True
    ),
    "change_address": _way_in(),
    "address_changed": NoticeKind(needs_link=True, is_urgent=True),
    "new_device": NoticeKind(
        frozenset({"browser", "system", "at"}), frozenset({"country"}), needs_link=True
    ),
    "locked": NoticeKind(may_have=_LISTED | {"app", "kept"}, is_urgent=True, needs_proof=False),
    "second_factor_changed": NoticeKind(frozenset({"change"}), needs_link=True, is_urgent=True),
    "recovery_code_used": _kind("left", needs_link=True),
    "wrong_codes": _kind("at", needs_link=True),
    "passkey_added": _kind(needs_link=True),
    "passkey_removed": _kind(needs_link=True),
    "key_made": NoticeKind(frozenset({"label", "at"}), frozenset({"scopes"}), needs_link=True),
    "button_made": _kind("label", "at", needs_link=True),
    "webhook_set": _kind("label", "at", needs_link=True),
    "supervision_allowed": _kind("most", "silent", "at", needs_link=True),
    "button_budget": _kind("label", "period", "share", "micros"),
    "country_opened": _kind("country", needs_link=True),
    "card_charged": NoticeKind(frozenset({*_PAYMENT, "at"}), is_urgent=True),
    "topped_up": NoticeKind(frozenset({*_PAYMENT, "at"}), frozenset({"balance_micros"})),
    "auto_top_up": _kind(*_PAYMENT),
    "auto_top_up_off": _kind(*_PAYMENT, "reason", "url"),
    "disputed": _kind(*_PAYMENT),
    "dispute_won": _kind(*_PAYMENT),
    "refunded": _kind(*_PAYMENT),
    "refund_failed": _kind(*_PAYMENT),
    "call_refunded": _kind("micros", "rule", "call_id"),
    "out_of_credit": _kind(),
    "webhook_disabled": _kind("label", "why"),
    "export_ready": _kind(),
    "deletion_asked": NoticeKind(
        frozenset({"at"}), frozenset({"unspent", "micros"}), has_alarm=True, is_urgent=True
    ),
    "deletion_cancelled": _kind(),
    LAST_NOTICE: NoticeKind(
        frozenset({"language"}), frozenset({"sent_back_micros", "given_up_micros"})
    ),
    "restricted": _kind(),
    "policy_changed": _kind("document", "version", "path", "material"),
}
"""Name of a notice -> what it needs."""

URGENT: Final = frozenset(name for name, kind in NOTICES.items() if kind.is_urgent)
"""Names of the notices that other mails do not hold up."""


@dataclass(frozen=True, slots=True)
class MailSender:
    """The sender of the mails."""

    name: str
    origin: str
    """The pages' origin."""
    contact: str = ""
    """Mail address for questions; empty for none."""
    operator: str = ""
    """Who runs it, with their postal address; empty if not given."""
    kept: Kept = KEPT
    """How long data are kept."""


@dataclass(frozen=True, slots=True)
class MailReader:
    """The recipient of a mail, as the account is when the mail is sent."""

    profile: PaymentProfile
    language: str = DEFAULT_LANGUAGE
    """BCP 47; a language that mails are not written in becomes `DEFAULT_LANGUAGE`."""
    choices: Choices = NO_CHOICES
    """The reader's choices about mails."""
    is_unproven: bool = False
    """Whether the account is a person's who has not proven their address."""


@dataclass(frozen=True, slots=True)
class MailText:
    """A mail without its envelope."""

    subject: str
    text: str
    html: str


def write(
    notice: Notice, reader: MailReader, service: MailSender, link: str = "", alarm: str = ""
) -> MailText:
    """Return the mail of a notice.

    Args:
        notice: One of `NOTICES`.
        reader: The recipient.
        service: The sender.
        link: URL of the page for its link; empty without one.
        alarm: URL of the page that locks the account, if that is a different one.

    Raises:
        ValueError: It lacks its link or a value, or a value is not what its name says.
        KeyError: There is no such notice.
        MoneyError: An amount in a currency that cannot be shown.
    """
    _check(notice, link)
    language = known(notice.values.get("language", reader.language))
    words = _words(language)
    own = words["notices"][notice.name]
    context = {
        **_context(notice, reader, words, link),
        "alarm": alarm,
        "origin": service.origin,
        "service": service.name,
        "contact": service.contact,
        "stays": left_in(words_in(language), service.kept) if notice.name == LAST_NOTICE else (),
    }
    subject = _fill(own["subject"], context)
    foot = [_fill(words[name], context) for name in ("reason", "sender")]
    if service.operator:
        foot.append(_flat(service.operator))
    if service.contact:
        foot.append(_fill(words["contact"], context))
    paragraphs = _paragraphs(_render(own["body"], context))
    page = {
        "language": language,
        "subject": subject,
        "paragraphs": paragraphs,
        "href": context["href"],
        "button": _fill(own.get("button", ""), context),
        "foot": foot,
    }
    text = "\n\n".join(_wrapped(each) for each in (*paragraphs, *foot)) + "\n"
    html = _environment(is_html=True).get_template("layout.html").render(page, look=_LOOK)
    return MailText(subject, text, html)


def _check(notice: Notice, link: str) -> None:
    kind = NOTICES[notice.name]
    if kind.needs_link and not link:
        raise ValueError(f"the notice {notice.name} needs a link")
    if missing := kind.values - notice.values.keys():
        raise ValueError(f"the notice {notice.name} lacks {', '.join(sorted(missing))}")


def _context(
    notice: Notice, reader: MailReader, words: Mapping[str, Any], link: str
) -> dict[str, object]:
    """Return the variables of a body."""
    profile, kind = reader.profile, NOTICES[notice.name]
    # On one line each: a value must neither end a header nor begin a paragraph.
    said = {name: _flat(notice.values[name]) for name in kind.values}
    said |= {name: _flat(notice.values.get(name, "")) for name in kind.may_have}
    context: dict[str, object] = {
        **said,
        "href": link or said.get("url", ""),
        "frozen": profile.frozen,
        "reach_days": DISPUTABLE // timedelta(days=1),
        "auto_enabled": profile.auto_enabled,
        "auto_amount": format_money(profile.auto_amount_micros, profile.currency),
        "auto_threshold": format_money(profile.auto_threshold_micros, profile.currency),
    }
    if notice.link is not None:
        lifetime = LIFETIMES[notice.link]
        for unit in ("days", "hours", "minutes"):
            context[f"link_{unit}"] = lifetime // timedelta(**{unit: 1})
    context |= _amounts(said, profile.currency)
    for name in ("at", "app", "deletion"):
        if said.get(name):
            at = datetime.fromisoformat(said[name]).astimezone(UTC)
            context[name] = at.strftime("%Y-%m-%d %H:%M UTC")
    # Names are in English quotation marks, which no name contains.
    quotes = str.maketrans(dict(zip("“”", words["quotes"], strict=True)))
    context |= {name: said[name].translate(quotes) for name in _LISTED & said.keys()}
    if "left" in said:
        context["left"] = int(said["left"])
    if "reason" in said:
        # Most declines are only reported as such, as Stripe asks.
        declines = words["declines"]
        context["decline"] = declines.get(said["reason"], declines["other"])
    if "document" in said:
        context["document_name"] = words["documents"].get(said["document"], "")
    if most := said.get("most") or said.get("supervision"):
        context["may"] = words["supervision"].get(most, "")
    if "scopes" in said:
        # In the stored order, as on the keys page.
        names = words["scopes"]
        context["scopes"] = ", ".join(names[each] for each in said["scopes"].split())
    if "rule" in said:
        context["refund"] = words["refunds"].get(said["rule"], "")
    return context


def _amounts(said: Mapping[str, str], currency: str) -> dict[str, str]:
    """Return the values that are money; each is empty if not given."""
    names = {
        "micros": "amount",
        "sent_back_micros": "sent_back",
        "given_up_micros": "given_up",
        "balance_micros": "balance",
    }
    own = said.get("currency", currency)
    return {
        name: format_money(int(said[value]), own) if said[value] else ""
        for value, name in names.items()
        if value in said
    }


@cache
def _words(language: str) -> Mapping[str, Any]:
    return read_part(language, "mails")


@cache
def _environment(*, is_html: bool) -> Environment:
    # Imported here, so that a process loads it only when its first mail is sent.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    # The words are not escaped here, as they are not HTML yet; they are escaped when they become
    # HTML.
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=is_html,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=is_html,
    )


@cache
def _template(text: str) -> Template:
    """Compile a text of the words, once: there are only as many as the words have."""
    return _environment(is_html=False).from_string(text)


def _render(template: str, context: Mapping[str, object]) -> str:
    return _template(template).render(context)


def _fill(template: str, context: Mapping[str, object]) -> str:
    return _flat(_render(template, context))


def _flat(text: str) -> str:
    return _BREAKS.sub(" ", text[:VALUE_LENGTH_MAX]).strip()


def _paragraphs(body: str) -> list[str]:
    # A condition that is false leaves an empty paragraph.
    return [flat for each in re.split(r"\n\s*\n", body) if (flat := _BREAKS.sub(" ", each).strip())]


def _wrapped(paragraph: str) -> str:
    # A link broken over two lines cannot be clicked, and payment pages have long addresses.
    return textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)
