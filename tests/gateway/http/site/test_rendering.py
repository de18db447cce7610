"""Templates, words and headers: each page is given exactly what it uses, and every word exists."""

import dataclasses
import gzip
import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import jinja2
import pytest
from jinja2 import meta, nodes

from accounts.errors import REFUSALS
from gateway.apps import APPS, template_packages
from gateway.http import site
from gateway.http.site import rendering
from gateway.http.site.branding import Branding, read_logo
from gateway.http.site.rendering import HEADERS, SCRIPT_HEADERS, Pages, environment
from gateway.http.site.words import WORDS
from gateway.people.account_pages import ChangePasswordPage
from gateway.people.link_pages import _SAID, DeadLinkPage
from gateway.problems import PROBLEMS
from gateway.tokens import LIGHT
from gateway.words.languages import DEFAULT_LANGUAGE
from tests.gateway.http.site.books import HOSTED

ROOT = Path(__file__).parents[4]
PAGES = [
    found
    for place in (f"gateway.http.site.{each.name}" for each in pkgutil.iter_modules(site.__path__))
    for _, found in inspect.getmembers(import_module(place), inspect.isclass)
    if found.__module__ == place and hasattr(found, "template")
]
PAGES += [page for app in APPS if app.page_types is not None for page in app.page_types()]
CONSTANTS = {
    "t",
    "language",
    "country_name",
    "here",
    "caller",
    "is_signed_in",
    "service",
    "contact",
    "operator",
    "address",
    "logo",
    "icon",
    "style",
    "script",
}
TEMPLATES = Path(rendering.__file__).parent / "templates"
PACKAGES = template_packages()
FOLDERS = [TEMPLATES, *(Path(import_module(each).__path__[0]) / "templates" for each in PACKAGES)]
FILES = [path for folder in FOLDERS for path in folder.iterdir()]
SHARED = {"layout.html", "signed_in.html", "menu.html", "fields.html", "facts.html"} | {
    "statement_lines.html",
    "own_text.html",
    "prose.html",
    "button_parts.html",
}
SCRIPTED = {"/account/security"}
"""Of the pages that one sees when one is signed in, those that let passkeys in."""


def length(path, reply):
    """Return the length of a page; of those with every kind of data or time zone, as it is sent."""
    is_long = path in ("/account/data", "/account/buttons/new", "/privacy")
    return len(gzip.compress(reply.content) if is_long else reply.content)


@pytest.fixture(scope="module")
def made():
    names = ("service", "contact", "operator", "address", "logo", "icon", "style", "script")
    return environment("en", WORDS["en"], PACKAGES, **dict.fromkeys(names, ""))


def used_by(made, name):
    """Return the names that a template and those it extends or imports ask for."""
    tree = made.parse(made.loader.get_source(made, name)[0])
    names = meta.find_undeclared_variables(tree)
    # Blocks see what is imported and defined outside of them, which the library does not know.
    names -= {each.target for each in tree.find_all(nodes.Import)}
    names -= {each.name for each in tree.find_all(nodes.Macro)}
    for other in meta.find_referenced_templates(tree):
        names |= used_by(made, other)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__)
def test_a_template_is_given_exactly_what_it_uses(made, page):
    fields = {field.name for field in dataclasses.fields(page)}
    assert used_by(made, page.template) - CONSTANTS == fields


def test_every_template_is_of_a_page():
    assert sorted(path.name for path in FILES) == sorted(SHARED | {page.template for page in PAGES})
    assert len({page.template for page in PAGES}) == len(PAGES)


def words_used():
    """Yield the keys that templates ask for; those put together end with their first part."""
    for path in FILES:
        yield from re.findall(r"""\bt\("([a-z_.]+)"(?= ~|[,)])""", path.read_text())


@pytest.mark.parametrize("language", WORDS)
def test_every_word_is_there_and_used(language):
    words = WORDS[language]
    used = set(words_used())
    whole = {key for key in used if not key.endswith((".", "_"))}
    assert whole <= words.keys()
    # Names of languages are read for all of them at once.
    whole.add("site.language")
    # What a version has changed is read by its name.
    begun = ("changes.", *(key for key in used if key.endswith((".", "_"))))
    unused = {key for key in words if key not in whole and not key.startswith(begun)}
    assert not unused
    assert words.keys() == WORDS[DEFAULT_LANGUAGE].keys()


@pytest.mark.parametrize("language", WORDS)
def test_words_of_one_key_take_the_same_values_in_every_language(language):
    for key, text in WORDS[language].items():
        named = set(re.findall(r"\{(\w+)\}", text))
        assert named == set(re.findall(r"\{(\w+)\}", WORDS[DEFAULT_LANGUAGE][key])), key


@pytest.mark.parametrize("language", WORDS)
async def test_every_page_is_written_in_every_language(site, language):
    site.world.add(proven=False)
    site.world.change(language=language)
    await site.enter()
    site.client.headers["accept-language"] = language
    for path in (
        "/account",
        "/account/devices",
        "/account/data",
        "/account/delete",
        "/account/privacy-choices",
        "/account/requests",
        "/account/supervision",
        "/account/buttons",
        "/account/destinations",
        "/terms",
        "/privacy",
        "/sign-up",
        "/reset",
        "/account/buttons/new",
    ):
        if path == "/account/buttons/new":
            site.world.change(email_proven_at=site.world.now)
        reply = await site.get(path)
        assert f'<html lang="{language}">' in reply.text
        assert length(path, reply) < 20_000


def test_every_fault_purpose_and_refusal_has_words():
    words = WORDS[DEFAULT_LANGUAGE]
    assert {f"error.{code}" for code in REFUSALS} <= words.keys()
    for purpose in _SAID:
        assert {f"link.{purpose}_{part}" for part in ("title", "text", "submit")} <= words.keys()
    for key in words:
        table, _, code = key.partition(".")
        if table == "problem" and code not in ("title", "wait", "busy", "other"):
            assert code in PROBLEMS


async def test_pages_are_small_and_run_nothing(site):
    site.world.add()
    await site.enter()
    paths = [route.path for route in site.routes if route.methods & {"GET"}]
    for path in paths:
        if "{name}" in path or "{export_id}" in path or path.endswith((".json", ".csv")):
            continue
        reply = await site.get(re.sub(r"\{\w+\}", "x", path))
        assert length(path, reply) < 20_000
        is_scripted = path in SCRIPTED
        assert reply.text.count("<script") == is_scripted
        ours = re.findall(
            r'<script src="/site/passkeys-[0-9a-f]{8}.js" defer></script>', reply.text
        )
        assert len(ours) == is_scripted
        assert "style=" not in reply.text
        assert " on" not in "".join(re.findall(r"<[a-z]+ [^>]*>", reply.text)).replace(" on ", " ")
        expected = SCRIPT_HEADERS if is_scripted else HEADERS
        if path == "/account/credit":
            # Its forms lead to the payment service's page.
            policy = expected["Content-Security-Policy"]
            policy = policy.replace("action 'self'", f"action 'self' {HOSTED}")
            expected = expected | {"Content-Security-Policy": policy}
        for name, value in expected.items():
            assert reply.headers[name] == value


def test_the_policy_of_pages_lets_nothing_run():
    policy = dict(each.split(" ", 1) for each in HEADERS["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    scripted = dict(
        each.split(" ", 1) for each in SCRIPT_HEADERS["Content-Security-Policy"].split("; ")
    )
    assert scripted == policy | {"script-src": "'self'", "connect-src": "'self'"}
    # With `no-referrer` browsers send `Origin: null` with forms, which is not ours.
    assert HEADERS["Referrer-Policy"] == "strict-origin"


@pytest.mark.parametrize(
    ("rel", "media_type"), [("stylesheet", "text/css"), ("icon", "image/svg+xml")]
)
async def test_what_a_page_is_shown_with_has_its_hash_in_its_name(site, rel, media_type):
    form = site.read(await site.get("/sign-in"))
    (link,) = (each for each in form.of("link") if each["rel"] == rel)
    reply = await site.get(link["href"])
    assert reply.headers["content-type"].startswith(media_type)
    assert "immutable" in reply.headers["cache-control"]
    assert (await site.get("/site/style-00000000.css")).status_code == 404


def _numbered(names):
    """Return those of a scale, such as `space-1`: they are the same in both schemes."""
    return {name for name in names if re.match(r"(letters|space|radius|target)-", name)}


def test_every_style_sheet_takes_its_colours_from_one_place():
    folder = TEMPLATES.parent
    tokens = (folder / "tokens.css").read_text()
    named = set(re.findall(r"--([\w-]+):", tokens))
    dark = tokens.partition("@media")[2]
    of_light = {"sans", "target", "quick", "beat", "backdrop", *_numbered(named)}
    assert set(re.findall(r"--([\w-]+):", dark)) == named - of_light
    sheets = [folder / "style.css", folder / "phone.css"]
    sheets += [ROOT / "web/src/page.css", ROOT / "web/src/widget/frame/style.css"]
    for sheet in sheets:
        css = sheet.read_text()
        assert not re.search(r"#[0-9a-f]{3,8}\b", css), sheet.name
        own = set(re.findall(r"--([\w-]+):", css))
        # The height that the page's script sets has a value of its own where it is used.
        assert set(re.findall(r"var\(--([\w-]+)\)", css)) <= named | own, sheet.name


_MEASURED = re.compile(
    r"(?:^|[\s;{])((?:row-|column-)?gap|padding[\w-]*|margin[\w-]*|border-radius|font-size"
    r"|transition|animation|min-(?:height|width)):\s*([^;{}`]+);"
)
"""Declarations of lengths and times that there are tokens for."""


def test_no_style_sheet_measures_by_itself_what_a_token_says():
    targets = {value for name, value in LIGHT.items() if name.startswith("target")}
    scales = re.compile(r"(?:letters|space|radius)-|quick|beat")
    others = {value for name, value in LIGHT.items() if scales.match(name)}
    assert "44px" in targets
    assert {"12px", "0.875rem", "0.15s"} <= others
    sheets = [TEMPLATES.parent / "style.css", TEMPLATES.parent / "phone.css"]
    for kind in ("css", "ts"):
        sheets += (ROOT / "web/src").rglob(f"*.{kind}")
    for sheet in sheets:
        text = sheet.read_text()
        css = text if sheet.suffix == ".css" else "".join(re.findall(r"css`(.*?)`", text, re.S))
        for name, value in _MEASURED.findall(css):
            own = set(re.findall(r"(?<![\w.-])[\d.]+(?:px|rem|s)\b", value))
            said = targets if name.startswith("min-") else others
            assert not own & said, f"{sheet.name}: {name}: {value}"


async def test_the_pages_load_the_colours_and_then_the_operators_own():
    pages_of_one = Pages(Branding("A", accents=("#7a1fa2", "#e2b6ff")))
    (css,) = (
        each.content.decode()
        for name, each in pages_of_one._assets.items()
        if name.startswith("style-")
    )
    assert css.index("--accent: #1557c0") < css.index("var(--accent)") < css.index("#7a1fa2")


def test_the_style_minds_what_people_have_set():
    style = "".join((TEMPLATES.parent / name).read_text() for name in ("tokens.css", "style.css"))
    for query in ("prefers-color-scheme", "forced-colors", "prefers-reduced-motion"):
        assert f"@media ({query}" in style
    assert ":focus-visible" in style


def test_a_template_is_compiled_once_for_all_languages_and_pages():
    made = [environment(language, words, service="Caller") for language, words in WORDS.items()]
    first, *others = [each.get_template("layout.html") for each in made]
    assert len(others) == len(WORDS) - 1
    assert all(each.root_render_func.__code__ is first.root_render_func.__code__ for each in others)
    said = [each.globals["language"] for each in (first, *others)]
    assert said == list(WORDS), "words and names stay those of the language"


def test_what_is_not_given_is_a_fault():
    made = environment("en", WORDS["en"])
    with pytest.raises(jinja2.UndefinedError):
        made.from_string("{{ nothing }}").render()


@pytest.mark.parametrize("contact", ["", "help@example.com"])
def test_a_contact_is_shown_where_there_is_one(contact):
    reply = Pages(Branding("Caller", contact), PACKAGES).render(DeadLinkPage(), "en")
    assert (b"Questions" in bytes(reply.body)) == bool(contact)


def test_each_form_of_an_account_names_it():
    """Operators name accounts as they like."""
    made = Pages(Branding("Caller", ""), PACKAGES)
    plain, owned = (
        bytes(made.render(ChangePasswordPage("a@example.com", {}), "en", owner=owner).body)
        for owner in ("", 'a"\\1>')
    )
    field = b'<input type="hidden" name="owner" value="a&#34;\\1&gt;">'
    assert plain.count(b"<form") == owned.count(field) == 2, "its own, and that to sign out"
    # The form to sign out is known by nothing: each one that is sent counts.
    one_time = re.compile(rb'<input type="hidden" name="form" value="([0-9a-f]{32})">')
    words = [one_time.findall(each) for each in (plain, owned)]
    assert [len(each) for each in words] == [1, 1]
    assert words[0] != words[1]
    assert one_time.sub(b"", owned.replace(field, b"")) == one_time.sub(b"", plain)


async def test_whose_service_it_is_stands_on_each_page(site):
    logo = read_logo(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    accents = ("#7a1fa2", "#e2b6ff")
    branding = Branding("Calls", "", "Example & Sons", "1 High Street", logo, accents)
    made = Pages(branding, PACKAGES)
    html = bytes(made.render(DeadLinkPage(), "en").body).decode()
    assert "Example &amp; Sons, 1 High Street" in html
    assert f'<img src="/site/{logo.name}" alt=""' in html
    assert f'<link rel="icon" href="/site/{logo.name}">' in html
    site.pages = made
    site.rebuild()
    client = site.new_browser()
    reply = await client.get(f"/site/{logo.name}")
    assert (reply.content, reply.headers["content-type"]) == (logo.content, "image/svg+xml")
    assert reply.headers["content-security-policy"].endswith("sandbox")
    (style,) = re.findall(r'href="(/site/style[^"]+)"', html)
    css = (await client.get(style)).text
    assert ":root { --accent: #7a1fa2; }" in css
    assert "dark) { :root { --accent: #e2b6ff; } }" in css


@pytest.mark.parametrize("path", ["/nothing", "/account/nothing", "/site/nothing.css"])
async def test_a_browser_is_told_by_a_page_that_there_is_none(site, path):
    reply = await site.client.get(path, headers={"accept": "text/html,*/*;q=0.8"})
    assert reply.status_code == 404
    assert "This page does not exist." in site.read(reply).text
    reply = await site.client.get(path)
    assert reply.json()["code"] == "not_found"
    reply = await site.client.post(path, headers={"accept": "text/html"})
    assert "json" in reply.headers["content-type"]
