# SPDX-License-Identifier: GPL-2.0-or-later
"""A mail server on loopback that takes everything, or fails in the way a test asks for."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.public_inbox import free_port

USER, PASSWORD = "bot", "p'ss word"
DROP = "drop"
"""End the connection."""
TAKE_AND_DROP = "take and drop"
"""Take the mail, and end the connection without a word."""
HANG = "hang"
TAKE_AND_HANG = "take and hang"

Fault = Callable[[str, str], str]
"""Given a command and its argument (DATA: the Message-ID), an answer in place of 250, one of the
words above, or nothing."""


class Sink:
    """A running server.  A context manager."""

    def __init__(
        self,
        fault: Fault = lambda command, argument: "",
        *,
        certificate: Path | None = None,
        starttls: bool = True,
        login: bool = False,
    ) -> None:
        """With a certificate there is TLS: after STARTTLS, else from the first byte."""
        self.port = free_port()
        self.delivered: list[tuple[str, str]] = []
        """(Message-ID, recipient) of what it has taken on."""
        self.texts: dict[str, bytes] = {}
        self.senders: list[str] = []
        self.connections = 0
        self._fault = fault
        self._lock = threading.Lock()
        context = _context(certificate) if certificate is not None else None
        options: dict[str, Any] = {}
        if context is not None and starttls:
            options = {"tls_context": context, "require_starttls": True}
        if login:
            options |= {"auth_required": True, "authenticator": _authenticate}
            options["auth_require_tls"] = starttls  # it does not see TLS from the first byte
        self._controller = _Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ssl_context=None if starttls else context,
            **options,
        )

    def __enter__(self) -> Sink:
        self._controller.start()
        self.connections = 0  # one was the controller's own
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._controller.stop(no_assert=True)

    # ---- aiosmtpd's hooks ----

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, name: str, lines: list[str]
    ) -> list[str]:
        session.host_name = name
        self.connections += 1
        return lines

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._answer(server, "MAIL", address)
        if answer.startswith("250"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._answer(server, "RCPT", address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        text = bytes(envelope.content or b"")
        found = re.search(rb"(?im)^message-id: <([^>]*)>", text)
        message_id = found[1].decode() if found else ""
        wanted = self._fault("DATA", message_id)
        if wanted in ("", TAKE_AND_DROP, TAKE_AND_HANG):
            with self._lock:
                self.delivered += [(message_id, one) for one in envelope.rcpt_tos]
                self.texts[message_id] = text
                self.senders.append(envelope.mail_from or "")
        return await _act(server, wanted)

    async def _answer(self, server: SMTP, command: str, argument: str) -> str:
        return await _act(server, self._fault(command, argument))


class _Controller(Controller):
    """A server without a look-up of its own name."""

    def factory(self) -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # about a login without STARTTLS
            return SMTP(self.handler, hostname="sink.example.org", **self.SMTP_kwargs)


async def _act(server: SMTP, wanted: str) -> str:
    if wanted in (HANG, TAKE_AND_HANG):
        await asyncio.sleep(3600)
    if wanted in (DROP, TAKE_AND_DROP):
        assert server.transport is not None
        server.transport.abort()
        return "421 gone"
    return wanted or "250 OK"


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    good = isinstance(data, LoginPassword) and data.login == USER.encode()
    return AuthResult(success=good and data.password == PASSWORD.encode(), handled=False)


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


def make_certificate(root: Path, name: str = "IP:127.0.0.1") -> Path:
    """A certificate that is its own authority, with its key beside it."""
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=sink", "-addext", f"subjectAltName={name}"),
            *("-keyout", str(root / "key.pem"), "-out", str(root / "cert.pem")),
        ],
        capture_output=True,
        check=True,
    )
    return root / "cert.pem"
