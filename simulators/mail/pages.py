"""Renders the list of mails and one mail as HTML that needs no script. Pure: mails in, text out.

Knows how a page looks and nothing of HTTP; everything it shows is escaped, but a mail's own HTML,
which is a document of its own with a policy of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from simulators.documents import Documents, Page
from simulators.mail.mailbox import Mail
from simulators.mail.mime import Body

NOTICE: Final = "Simulated mail: nothing leaves this machine"
_STYLE: Final = """
main { max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 1rem; }
h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
a { color: light-dark(#1f4fd8, #9db8ff); }
nav { margin: 0 0 .5rem; }
nav a { display: inline-block; padding: .625rem 0; }
ol { list-style: none; margin: 0; padding: 0; }
li { border-top: 1px solid light-dark(#d1d5db, #3f4550); }
li a { display: block; padding: .75rem 0; color: inherit; text-decoration: none; }
li a:hover { background: light-dark(#f3f4f6, #24272e); }
li strong { display: block; color: light-dark(#1f4fd8, #9db8ff); text-decoration: underline; }
li span { display: block; font-size: .875rem; color: light-dark(#4b5563, #b6bcc8); }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 0; }
dt { color: light-dark(#4b5563, #b6bcc8); }
dd { margin: 0; }
iframe { box-sizing: border-box; display: block; width: 100%; height: 32rem; resize: vertical;
  border: 1px solid light-dark(#6b7280, #9ca3af); border-radius: .5rem; }
pre { margin: 0; padding: 1rem; border-radius: .5rem; font: .875rem/1.5 ui-monospace, monospace;
  white-space: pre-wrap; background: light-dark(#f3f4f6, #24272e); }
:focus-visible { outline: 3px solid light-dark(#1f4fd8, #9db8ff); outline-offset: 2px; }
"""
_DOCUMENTS: Final = Documents(NOTICE, _STYLE)
POLICY: Final = (
    f"default-src 'none'; style-src {_DOCUMENTS.style_source}; frame-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
_FREEDOM: Final = "allow-top-navigation-by-user-activation"
"""What a mail's HTML may do beyond being seen: lead somewhere, when a person follows a link."""
MAIL_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
    f" form-action 'none'; frame-ancestors 'self'; sandbox {_FREEDOM}"
)


def listing(mails: Iterable[Mail], sign_up_url: str) -> Page:
    """Return the list of mails, in the order given."""
    entries = "".join(_entry(mail) for mail in mails)
    if entries:
        content = f"<ol>\n{entries}</ol>"
    else:
        hint = f" Sign up at {_link(sign_up_url, sign_up_url)}." if sign_up_url else ""
        content = f"<p>No mails yet.{hint}</p>"
    return _page("Mails", f"<h1>Mails</h1>\n<nav>{_link('/', 'Look again')}</nav>\n{content}")


def reading(mail: Mail, body: Body) -> Page:
    """Return the page of one mail."""
    subject = escape(mail.subject) or "(no subject)"
    content = f"""<nav>{_link("/", "All mails")}</nav>
<h1 dir="auto">{subject}</h1>
<dl>
<dt>From</dt><dd>{escape(mail.sender)}</dd>
<dt>To</dt><dd>{escape(", ".join(mail.recipients))}</dd>
<dt>At</dt><dd>{_time(mail)}</dd>
</dl>
"""
    if body.html:
        content += f"""<h2 id="html">As HTML</h2>
<iframe src="/read/{mail.id}/html" sandbox="{_FREEDOM}" aria-labelledby="html"></iframe>
"""
    if body.text or not body.html:
        text = escape(body.text) or "(empty)"
        content += f'<h2>As plain text</h2>\n<pre dir="auto">{text}</pre>'
    return _page(mail.subject or "Mail", content)


def framed(html: str) -> Page:
    """Return a mail's own HTML as the document for a frame."""
    # Before everything else: the first <base> holds, and a browser reads on past a second doctype.
    return Page(f'<!doctype html><base target="_top">{html}', MAIL_POLICY)


def message(title: str, text: str) -> Page:
    """Return a page that says one thing."""
    content = f"<h1>{escape(title)}</h1>\n<p>{escape(text)}</p>\n<p>{_link('/', 'All mails')}</p>"
    return _page(title, content)


def _entry(mail: Mail) -> str:
    return (
        f'<li><a href="/read/{mail.id}"><strong dir="auto">'
        f"{escape(mail.subject) or '(no subject)'}</strong>"
        f"<span>{escape(', '.join(mail.recipients))}</span><span>{_time(mail)}</span></a></li>\n"
    )


def _time(mail: Mail) -> str:
    return f'<time datetime="{mail.at.isoformat()}">{mail.at:%Y-%m-%d %H:%M:%S} UTC</time>'


def _link(url: str, label: str) -> str:
    return f'<a href="{escape(url)}">{escape(label)}</a>'


def _page(title: str, content: str) -> Page:
    return Page(_DOCUMENTS.document(title, content), POLICY)
