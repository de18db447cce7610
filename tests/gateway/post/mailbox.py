"""A mail server of the tests' own, over real sockets, with faults."""

import asyncio
import base64
import contextlib
import email
import email.policy
import ssl
from collections import Counter, deque
from datetime import UTC, datetime

from tests.tcp_server import tcp_server

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SENDER = "caller@calls.example.com"

# Of `localhost` and 127.0.0.1, until 2120, signed by itself.
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBqDCCAU6gAwIBAgIUHHSRGZN8QHq+CQffLMWFveHjdEYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAx
MDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATvTGXdTGQXfbthgI2XlMPw/8wSSv/1/xw/cZwF/KW1rTbYrbxOEUEt
bX15g0pn2rIF54YHbarlSInfmemkmi3to3wwejAMBgNVHRMBAf8EAjAAMA4GA1Ud
DwEB/wQEAwIHgDAdBgNVHQ4EFgQUEKrIlS0hGQ70itllq0MSz4XWQPQwHwYDVR0j
BBgwFoAUEKrIlS0hGQ70itllq0MSz4XWQPQwGgYDVR0RBBMwEYIJbG9jYWxob3N0
hwR/AAABMAoGCCqGSM49BAMCA0gAMEUCIQChezay241womFNrujOEi9FZ+wuPYKX
+o2B0kQ3Ab5REwIgKkIFZOzi9N/MZG9OG4czRND45Y1S5aBdWthAFWqFR8Q=
-----END CERTIFICATE-----
"""
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGpixiH4k2tbwznYX
FGeplIsetyvLbvSp2sCMcrCjVH6hRANCAATvTGXdTGQXfbthgI2XlMPw/8wSSv/1
/xw/cZwF/KW1rTbYrbxOEUEtbX15g0pn2rIF54YHbarlSInfmemkmi3t
-----END PRIVATE KEY-----
"""


class Mailbox:
    """A mail server of one conversation at a time, with faults.

    `faults` holds for each conversation a step (`HELLO`, a verb, `END` of the data) -> what it
    gets instead: an answer, `drop` or `stall`.
    """

    def __init__(self, folder):
        self.offers = ["AUTH PLAIN"]
        self.speaks_tls_at_once = False
        self.faults = deque()
        self.mails, self.ids = [], []
        self.verbs = Counter()
        self.passwords = []
        self.news = asyncio.Event()
        self._server = contextlib.AsyncExitStack()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for name, text in (("cert.pem", CERTIFICATE), ("key.pem", KEY)):
            (folder / name).write_text(text)
        self._context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    async def open(self):
        at_once = self._context if self.speaks_tls_at_once else None
        self.port = await self._server.enter_async_context(tcp_server(self._serve, tls=at_once))

    async def close(self):
        await self._server.aclose()

    async def _serve(self, reader, writer):
        self.verbs["conversations"] += 1
        fault = self.faults.popleft() if self.faults else {}
        try:
            await self._converse(reader, writer, fault)
        finally:
            self.news.set()

    async def _converse(self, reader, writer, fault):
        async def say(step, answer):
            if fault.get(step) == "stall":
                await asyncio.Event().wait()
            if fault.get(step) == "drop":
                raise ConnectionResetError
            writer.write(fault.get(step, answer).encode() + b"\r\n")
            await writer.drain()

        secure = self.speaks_tls_at_once
        await say("HELLO", "220 mailbox")
        while words := (await reader.readline()).split():
            if not words[0].isascii():
                return  # TLS, from the first byte on
            verb = words[0].decode().upper()
            self.verbs[verb] += 1
            if verb == "EHLO":
                offers = [each for each in self.offers if not secure or each != "STARTTLS"]
                await say(
                    verb, "\r\n".join(["250-mailbox", *(f"250-{o}" for o in offers), "250 OK"])
                )
            elif verb == "STARTTLS":
                await say(verb, "220 go on")
                await writer.start_tls(self._context)
                secure = True
            elif verb == "AUTH":
                self.passwords.append((base64.b64decode(words[2]), secure))
                await say(verb, "235 welcome")
            elif verb == "DATA":
                await say(verb, "354 go on")
                if verb in fault:
                    continue
                data = await reader.readuntil(b"\r\n.\r\n")
                message = email.message_from_bytes(
                    data[:-3].replace(b"\r\n..", b"\r\n."), policy=email.policy.SMTP
                )
                self.ids.append(message["Message-ID"])
                if "END" not in fault or fault["END"] == "drop":
                    self.mails.append(message)
                self.news.set()
                await say("END", "250 taken")
                self.news.set()
            elif verb == "QUIT":
                await say(verb, "221 bye")
                return
            else:
                await say(verb, "250 OK")

    async def wait_for(self, condition):
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()

    async def wait_for_mails(self, count):
        await self.wait_for(lambda: len(self.mails) >= count)


def trusting():
    """Return what accepts the certificate above."""
    return ssl.create_default_context(cadata=CERTIFICATE)
