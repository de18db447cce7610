"""Passkeys in a real browser, with an authenticator of its own (W3C WebAuthn Level 3, 11.2)."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from accounts.totp import STEP_S
from tests.gateway.http.site.conftest import Site
from tests.gateway.people.factors import code_at
from tests.gateway.people.memory import EMAIL, PASSWORD
from tests.web.test_site import WIDE_AND_NARROW, check, opened, sign_in, site

__all__ = ["site"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECURITY = "Sign-in and security"


async def authenticator(page: Page, **options: Any) -> Any:
    """Give a page's browser an authenticator whose person unlocks it at once."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable", {"enableUI": False})
    given = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
        **options,
    }
    added = await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": given})
    return devtools, added["authenticatorId"]


async def on_localhost(site: Site) -> None:
    """Move the pages to a host that can have passkeys; the address is the same machine."""
    proofs = site.world.passkeys.proofs
    site.origin = site.origin.replace("127.0.0.1", "localhost")
    proofs.party = type(proofs.party)("localhost", "Example Calls", frozenset({site.origin}))
    holders = site.door.holders
    object.__setattr__(holders, "own_origins", frozenset({site.origin}))


async def add_passkey(page: Page, site: Site, name: str) -> None:
    await page.goto(f"{site.origin}/account/security")
    await page.get_by_label("Name", exact=True).last.fill(name)
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_role("status").first).to_contain_text("signs you in from now on")


async def test_a_passkey_is_added_and_signs_in_alone(browser: Browser, site: Site) -> None:
    await on_localhost(site)
    site.world.add()
    page = await opened(browser, site, "/sign-in")
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    await sign_in(page, site)
    await authenticator(page)
    await add_passkey(page, site, "my phone")
    await expect(page.get_by_text("my phone").first).to_be_visible()
    (kept,) = site.world.passkey_store.kept.values()
    assert kept.name == "my phone"
    # The same device has one for this account already, which the browser itself says.
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_text("This device already has a passkey")).to_be_visible()
    # The page of the sign-in waits for a passkey by itself (conditional mediation), and this
    # authenticator's person takes it at once: nothing is typed or pressed.
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    session = list(site.world.sessions.kept.values())[-1]
    assert session.methods == {"pop", "user", "mfa"}
    # A proof once more, without typing anything.
    site.world.later(minutes=11)
    await page.goto(f"{site.origin}/account/password")
    await page.get_by_role("button", name="Use a passkey instead").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Change the password")
    assert not faults
    await page.context.close()


async def test_who_has_none_is_told_no_fault_and_goes_on_by_password(
    browser: Browser, site: Site
) -> None:
    await on_localhost(site)
    site.world.add()
    page = await opened(browser, site, "/sign-in")
    await authenticator(page)
    await page.reload()
    await expect(page.get_by_role("status")).to_be_hidden()
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await expect(page.get_by_role("status")).to_contain_text("You can go on with your password")
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    await page.context.close()


async def test_whoever_does_not_unlock_it_is_not_let_in(browser: Browser, site: Site) -> None:
    await on_localhost(site)
    site.world.add()
    page = await opened(browser, site, "/sign-in")
    await sign_in(page, site)
    devtools, name = await authenticator(page)
    await add_passkey(page, site, "phone")
    locked = {"authenticatorId": name, "isUserVerified": False}
    await devtools.send("WebAuthn.setUserVerified", locked)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    kept = dict(site.world.sessions.kept)
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await expect(page.get_by_role("status").last).to_contain_text(
        "You can go on with your password"
    )
    assert site.world.sessions.kept == kept
    await page.context.close()


async def test_at_an_address_that_has_no_passkeys_the_page_says_where_there_are(
    browser: Browser, site: Site
) -> None:
    by_number = site.origin
    await on_localhost(site)
    by_name, own = site.origin, frozenset({by_number, site.origin})
    object.__setattr__(site.door.holders, "own_origins", own)
    proofs = site.world.passkeys.proofs
    proofs.party = type(proofs.party)("localhost", "Example Calls", own)
    site.world.add()
    site.origin = by_number
    page = await opened(browser, site, "/sign-in")
    await sign_in(page, site)
    await page.get_by_role("link", name=SECURITY).click()
    await expect(page.get_by_text("Passkeys belong to localhost")).to_be_visible()
    await expect(page.get_by_text("you need JavaScript")).to_be_hidden()
    await expect(page.get_by_role("button", name="Add a passkey")).to_be_hidden()
    await check(page)
    await page.get_by_role("link", name="Open this page at http://localhost").click()
    site.origin = by_name
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await authenticator(page)
    await expect(page.get_by_text("Passkeys belong to localhost")).to_be_hidden()
    await add_passkey(page, site, "phone")
    await page.context.close()


async def test_without_script_the_pages_are_complete(browser: Browser, site: Site) -> None:
    await on_localhost(site)
    site.world.add()
    page = await opened(browser, site, "/sign-in", java_script_enabled=False)
    await expect(page.get_by_role("button", name="passkey")).to_be_hidden()
    await sign_in(page, site)
    await page.get_by_role("link", name=SECURITY).click()
    await expect(page.get_by_text("you need JavaScript")).to_be_visible()
    await expect(page.get_by_role("button", name="Add a passkey")).to_be_hidden()
    await page.get_by_role("button", name="Set up an app").click()
    (ceremony, _) = list(site.world.ceremonies.kept.values())[-1]
    await page.get_by_label("Code that the app shows").fill(
        code_at(site.world, ceremony.payload[:20])
    )
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your recovery codes")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Save them as a file").click()
    assert (await download.value).suggested_filename == "recovery-codes.txt"
    await page.get_by_role("button", name="I have saved them").click()
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("One more step")
    site.world.later(seconds=STEP_S)
    await page.get_by_label("Code from your app").fill(code_at(site.world, ceremony.payload[:20]))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    await page.context.close()


@pytest.mark.parametrize("options", WIDE_AND_NARROW, ids=["narrow", "dark"])
async def test_every_page_of_security_is_accessible(
    browser: Browser, site: Site, options: dict[str, Any]
) -> None:
    await on_localhost(site)
    site.world.add()
    page = await opened(browser, site, "/sign-in", **options)
    await check(page)
    await sign_in(page, site)
    devtools, name = await authenticator(page)
    await add_passkey(page, site, "phone")
    for details in await page.locator("details").all():
        await details.evaluate("each => { each.open = true }")
    await check(page)
    await page.goto(f"{site.origin}/confirm?next=/account/password")
    await check(page)
    await page.goto(f"{site.origin}/account/security")
    await page.get_by_role("button", name="Set up an app").click()
    await check(page)
    (ceremony, _) = list(site.world.ceremonies.kept.values())[-1]
    await page.get_by_label("Code that the app shows").fill("000000")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_focused()
    await check(page)
    await page.get_by_label("Code that the app shows").fill(
        code_at(site.world, ceremony.payload[:20])
    )
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your recovery codes")
    await check(page)
    await page.goto(f"{site.origin}/account/security")
    await check(page)
    # Or it would sign in by itself.
    await devtools.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": name})
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("E-mail address").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("One more step")
    await check(page)
    await page.get_by_role("link", name="recovery code").click()
    await check(page)
    await page.context.close()
