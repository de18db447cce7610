"""Composes `caller demo`: a gateway with everything that a newcomer does not have yet.

A simulated phone network, payment service and mail server, each a process of its own, an account
with credit, and a page to call from. The gateway is the same as in production: only the addresses
in its settings differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import socket
import weakref
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from accounts.link import LIFETIMES, Purpose
from gateway import settings
from gateway.buttons.store import SqlButtons
from gateway.carriers.known import chosen
from gateway.charging.recovery import bring_credits
from gateway.embed.keys import KeyMode
from gateway.errors import EXIT_UNAVAILABLE, SettingsError
from gateway.http.bearer import key_hash, new_api_key
from gateway.people.versions import read_history
from gateway.roles import newcomer, storage
from gateway.roles.children import Child
from gateway.roles.history import HistoryWriter
from gateway.roles.prices import load_deck, load_prices
from gateway.roles.process import EndedError
from gateway.roles.serve import Gateway
from gateway.roles.simulators import require_simulators
from gateway.scopes import PAGE
from gateway.settings import Settings
from gateway.settings_variables import from_mapping
from gateway.stores import private_files, secret_files
from gateway.stores.accounts import ensure_account
from gateway.words.languages import DEFAULT_LANGUAGE

ACCOUNT_ID = "demo"
CREDIT_MICROS = 10_000_000
HISTORY_SEED = 12
_LINK_BYTES = 32
_BACKLOG = 256
"""Connections the kernel queues until a simulator serves."""
_PORTS_TRIED = 20
"""Ports tried for a simulator before falling back to any free one: several demos may run."""
SIMULATED_CALLER_ID = "+15005550006"
"""Twilio's own magic number for tests that succeed."""
SIMULATED_SENDER = "demo@caller.example"
"""In a domain that cannot exist (RFC 2606)."""

HOME_COUNTRIES = "US,GB"
"""The simulated numbers' countries, and one more: users open others to see how that is done."""

PHONEBOOK = {
    "+15005551000": "Echo: hear yourself",
    "+15005551001": "A tone",
    "+15005551002": "Somebody talking",
    "+15005551003": "Voicemail with a beep",
    "+15005551004": "A busy line",
    "+15005551005": "Nobody answers",
    "+15005551007": "Hangs up after some seconds",
    "+15005551008": "Presses keys at you",
}


class Demo:
    """Everything `make run` starts."""

    def __init__(self, environ: Mapping[str, str], *, with_history: bool = False) -> None:
        # A demo depends on the environment alone, and so do its children: a settings file next to
        # it may belong to a real gateway.
        self._environ = {**secret_files.filled(environ), settings.SETTINGS_FILE: ""}
        self._with_history = with_history
        self._past_calls = 0
        # Credentials mean the real service; each service is simulated separately.
        self._is_simulated = "CALLER_TWILIO_ACCOUNT_SID" not in self._environ
        self._pays_in_play = "CALLER_STRIPE_API_KEY" not in self._environ
        self._keeps_mails = "CALLER_SMTP_URL" not in self._environ
        self._port_moved_from = 0
        self._sign_in_link = ""
        self._mails = ""
        self._button_keys: dict[str, str] = {}
        self._listeners: dict[str, dict[str, socket.socket]] = {}
        """Command of each simulator -> its listening sockets by option: opened here because the
        gateway's settings need the ports, and kept open so that nothing else takes them."""
        self._ports_moved: list[int] = []
        self._held = contextlib.ExitStack()
        # Close them as well if the demo is never started.
        weakref.finalize(self, self._held.close)
        self._secrets = self._load_secrets(Path(environ.get("CALLER_DATA_DIR", ".caller")))
        self._prepare()
        self._settings = from_mapping(self._environ)
        self._node = Gateway(self._settings, self._environ)
        self._simulators: list[Child] = []

    def settings(self) -> Settings:
        """Return the settings of the environment, completed by the demo's."""
        return self._settings

    def _load_secrets(self, data_dir: Path) -> dict[str, str]:
        """Return the demo's own credentials, created once in a file for its owner only.

        Raises SettingsError if that file is damaged.
        """
        path = data_dir / private_files.DEMO
        private_files.restrict_folder(data_dir)
        private_files.restrict(path)
        made = {
            "account_sid": "AC" + secrets.token_hex(16),
            "auth_token": secrets.token_hex(16),
            "api_key": new_api_key(),
            "stripe_api_key": "sk_test_" + secrets.token_hex(16),
            "stripe_webhook_secret": "whsec_" + secrets.token_hex(16),
            "password": secrets.token_urlsafe(9),
        }
        # Kept across restarts, so that the page in the browser keeps its key.
        kept = _read_secrets(path) if path.exists() else {}
        if made.keys() - kept.keys():
            # A file from an older release may lack some of these.
            kept = made | kept
            private_files.replace(path, json.dumps(kept).encode())
        return kept

    def _prepare(self) -> None:
        """Fill in what the environment leaves open."""
        self._environ.setdefault("CALLER_SIGN_UP", "open")
        self._environ.setdefault("CALLER_DESIGN_PAGE", "on")
        # Quieter than a node, so that the link to the phone stays visible.
        self._environ.setdefault("CALLER_LOG_LEVEL", "warning")
        self._environ.setdefault("CALLER_HOME_COUNTRIES", HOME_COUNTRIES)
        if self._is_simulated:
            key = newcomer.button_key(KeyMode.TEST, self._secrets["api_key"])
            self._environ.setdefault("CALLER_LANDING_BUTTON", key)
        host = self._environ.get("CALLER_HOST", "127.0.0.1")
        if "CALLER_PORT" not in self._environ:
            port = _free_port(host, 8080)
            self._port_moved_from = 0 if port == 8080 else 8080
            self._environ["CALLER_PORT"] = str(port)
        if self._is_simulated:
            port = self._hold("simulate", 8090)
            self._environ |= {
                "CALLER_TWILIO_ACCOUNT_SID": self._secrets["account_sid"],
                "CALLER_TWILIO_AUTH_TOKEN": self._secrets["auth_token"],
                "CALLER_CALLER_ID": SIMULATED_CALLER_ID,
                "CALLER_CARRIER_URL": f"http://127.0.0.1:{port}",
            }
            entries = ",".join(f"{number}={label}" for number, label in PHONEBOOK.items())
            self._environ.setdefault("CALLER_PHONEBOOK", entries)
        if self._pays_in_play:
            port = self._hold("simulate-payments", 8095)
            self._environ |= {
                "CALLER_STRIPE_API_KEY": self._secrets["stripe_api_key"],
                "CALLER_STRIPE_WEBHOOK_SECRETS": self._secrets["stripe_webhook_secret"],
                "CALLER_STRIPE_URL": f"http://127.0.0.1:{port}",
            }
        if self._keeps_mails:
            port = self._hold("simulate-mail", 8100)
            self._mails = f"http://127.0.0.1:{port}/"
            port = self._hold("simulate-mail", 8101, "--smtp-listener")
            self._environ["CALLER_SMTP_URL"] = f"smtp://127.0.0.1:{port}"
            self._environ.setdefault("CALLER_MAIL_FROM", SIMULATED_SENDER)

    def _hold(self, command: str, usual: int, option: str = "--listener") -> int:
        """Listen for a simulator, on the usual port or a following one; return which.

        Raises EndedError if the simulators are not installed.
        """
        require_simulators()
        listener = self._held.enter_context(_listen_from(usual, self._environ["CALLER_PORT"]))
        self._listeners.setdefault(command, {})[option] = listener
        port: int = listener.getsockname()[1]
        if port != usual:
            self._ports_moved.append(port)
        return port

    async def start(self) -> None:
        """Start the simulators and the gateway, and make sure that the account has its credit.

        If it raises, nothing stays open. Raises EndedError if a simulator could not serve.
        """
        try:
            # Before the node, which connects to them as soon as it serves.
            await self._simulate()
            if self._with_history:
                await self._write_history()
            await self._node.start()
        except BaseException:
            await self._end_simulators()
            raise
        try:
            await self._fill()
        except BaseException:
            await self.stop()
            raise

    async def _write_history(self) -> None:
        # Before the node, which brings its spend gate in line with the book when it starts.
        settings = self._settings
        async with storage.migrated_database(settings) as engine:
            prices = await load_prices(settings, engine, load_deck(settings))
            history = HistoryWriter(engine, ACCOUNT_ID, settings.currency, prices.rates.deck)
            # The same year each time, except for its dates.
            self._past_calls = await history.write(random.Random(HISTORY_SEED))  # noqa: S311

    async def _fill(self) -> None:
        """Make sure that the account exists and has been given its credit."""
        stores = self._node.stores
        await ensure_account(
            stores.accounts,
            stores.ledger,
            account_id=ACCOUNT_ID,
            currency=self._settings.currency,
            key_hash=key_hash(self._secrets["api_key"]),
            key_label="demo",
            key_scopes=PAGE,
            credit_micros=CREDIT_MICROS,
            # A fixed reference, so that restarting the demo grants nothing twice.
            credit_reference="grant:demo:first",
        )
        await bring_credits(stores.gate, stores.ledger, ACCOUNT_ID)
        await newcomer.make_holder(
            stores.engine,
            ACCOUNT_ID,
            self._secrets["password"],
            DEFAULT_LANGUAGE,
            read_history(self._settings),
        )
        if self._is_simulated:
            seed, number = self._secrets["api_key"], next(iter(PHONEBOOK))
            made = await newcomer.make_button(
                SqlButtons(stores.engine, stores.key_epochs.invalidate), ACCOUNT_ID, seed, number
            )
            self._button_keys = {"calls the echo": made.live_key, "calls no one": made.test_key}
        secret = secrets.token_urlsafe(_LINK_BYTES)
        if await newcomer.make_link(stores.engine, ACCOUNT_ID, secret):
            self._sign_in_link = f"{self._settings.origin}/l/{secret}"

    async def stop(self, end_now: asyncio.Event | None = None) -> None:
        """End the gateway first, so that its calls end properly."""
        await self._node.stop(end_now)
        await self._end_simulators()

    async def _end_simulators(self) -> None:
        await asyncio.gather(*(simulator.stop() for simulator in self._simulators))
        self._held.close()

    async def _simulate(self) -> None:
        for command, listeners in self._listeners.items():
            numbers = {option: each.fileno() for option, each in listeners.items()}
            options = [text for each in numbers.items() for text in map(str, each)]
            child = Child([command, *options], self._environ, keeps=[*numbers.values()])
            self._simulators.append(child)
        for code in await asyncio.gather(*(each.start_serving() for each in self._simulators)):
            if code is not None:
                raise EndedError(code if code > 0 else EXIT_UNAVAILABLE)

    def explain(self, console: Console) -> None:
        """Print where the phone is and what can be dialled."""
        link = f"{self._settings.origin}/#key={self._secrets['api_key']}"
        account = f"{self._settings.origin}/account"
        live = f"{self._settings.origin}/live#key={self._secrets['api_key']}"
        lines = [
            Text(),
            Text("Open the phone:", style="bold"),
            Text.assemble("  ", (link, f"link {link}")),
            Text(),
            Text("Watch its calls as they run:"),
            Text.assemble("  ", (live, f"link {live}")),
            Text(),
            *self._explain_sign_in(),
            Text.assemble("Its account's pages: ", (account, f"link {account}")),
            Text(f"  Sign in as {newcomer.EMAIL} with the password {self._secrets['password']}"),
            Text(),
        ]
        if self._keeps_mails:
            page = (self._mails, f"link {self._mails}")
            lines += [Text.assemble("Mails of this demo: ", page), Text()]
        if self._is_simulated:
            lines.append(Text("The phone network is simulated. Dial, for example:"))
            lines += [
                Text.assemble("  ", (number, "cyan"), f"  {label}")
                for number, label in PHONEBOOK.items()
            ]
            heard = f"{self._environ['CALLER_CARRIER_URL']}/said"
            lines.append(Text.assemble("Codes that calls speak: ", (heard, f"link {heard}")))
        else:
            said = f" calls go through your {chosen(self._settings).title} account."
            lines.append(Text.assemble(("Real phones:", "bold yellow"), said))
        if self._pays_in_play:
            lines.append(Text("\nTop-ups are simulated too: no money moves."))
        if self._with_history:
            wrote = f"{self._past_calls:,} calls of the last year are made up"
            had = (
                "No history: this data folder has an account already. CALLER_DATA_DIR names another"
            )
            lines.append(Text(f"\n{wrote if self._past_calls else had}."))
        lines += self._explain_button()
        key = self._secrets["api_key"]
        lines.append(Text(f"\nAPI key for programs:  {key}\nStop with Ctrl-C.\n"))
        if self._port_moved_from:
            said = f"Port {self._port_moved_from} is in use; CALLER_PORT chooses one."
            lines.append(Text(said, style="dim"))
        if self._ports_moved:
            ports = ", ".join(map(str, sorted(self._ports_moved)))
            said = f"Usual ports of simulated services are in use, perhaps by another demo: {ports}"
            lines.append(Text(f"{said} instead.", style="dim"))
        # Not wrapped: a link broken over two lines leads nowhere.
        console.print(Text("\n").join(lines), highlight=False, soft_wrap=True)

    def _explain_button(self) -> list[Text]:
        """Return the keys of the button for other pages, if there is one."""
        if not self._button_keys:
            return []
        shown = (f"  {key}  {what}" for what, key in self._button_keys.items())
        page = f"{self._settings.origin}/c/{next(iter(self._button_keys.values()))}"
        return [
            Text("\nA button for other pages, by its publishable keys:"),
            *map(Text, shown),
            Text.assemble("  Its own page: ", (page, f"link {page}")),
        ]

    def _explain_sign_in(self) -> list[Text]:
        """Return the link that signs in at once, if there is one."""
        if not (link := self._sign_in_link):
            return []
        minutes = LIFETIMES[Purpose.SIGN_IN] // timedelta(minutes=1)
        lines = [Text(f"Sign in (works once, for {minutes} minutes):", style="bold")]
        return [*lines, Text.assemble("  ", (link, f"link {link}")), Text()]


def _read_secrets(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except msgspec.MsgspecError:
        raise SettingsError(
            f"{path.absolute()} is damaged. Remove it, and open the phone by the link that the demo"
            " prints then."
        ) from None


def _listen_from(usual: int, but: str) -> socket.socket:
    """Return a socket that listens on the first free loopback port from the usual one on.

    Never on `but`, which is reserved for the gateway.
    """
    for port in range(usual, usual + _PORTS_TRIED):
        if str(port) != but.strip():
            with contextlib.suppress(OSError):
                return socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
    return socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)


def _free_port(host: str, wanted: int) -> int:
    """Return the wanted port if it is free for TCP and UDP, else one that is."""
    for port in (wanted, 0):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            # As for the server, a port in TIME_WAIT counts as free.
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tcp.bind((host, port))
                # WebRTC uses the same number for UDP.
                udp.bind((host, tcp.getsockname()[1]))
            except OSError:
                continue
            return int(tcp.getsockname()[1])
    raise OSError("no free port")
