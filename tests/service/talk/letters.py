# SPDX-License-Identifier: GPL-2.0-or-later
"""Replies as people's servers sign them, and the name service that has their keys."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import dkim
from nacl.encoding import Base64Encoder
from nacl.signing import SigningKey

from reviewbot.service.talk.signature import ResolveError

SIGNED = ("from", "to", "subject", "date", "message-id", "in-reply-to", "references")
BODY = """\
On Sun, Nov 22, 2026 at 12:00:00PM +0000, reviewbot wrote:
> This series introduces a lock order inversion.

The second lock is never taken there, as the device is gone by then.

{command}
--\N{SPACE}
Ann
"""


@dataclass
class Names:
    """A name service: TXT records, and names at which it fails."""

    records: dict[str, bytes] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> bytes | None:
        self.asked.append(name)
        if self.down:
            raise ResolveError("The name service is down.")
        return self.records.get(name.rstrip("."))


@dataclass(frozen=True)
class Server:
    """A mail server that signs for a domain, and has published its key."""

    domain: str
    key: SigningKey

    @classmethod
    def of(cls, domain: str, names: Names) -> Server:
        key = SigningKey.generate()
        public = b64encode(bytes(key.verify_key)).decode()
        names.records[f"s1._domainkey.{domain}"] = f"v=DKIM1; k=ed25519; p={public}".encode()
        return cls(domain, key)

    def sign(self, mail: bytes, headers: Iterable[str] = SIGNED, length: bool = False) -> bytes:
        """The mail with a signature on top."""
        made: bytes = dkim.sign(
            mail,
            b"s1",
            self.domain.encode(),
            self.key.encode(Base64Encoder),
            canonicalize=(b"relaxed", b"simple"),
            signature_algorithm=b"ed25519-sha256",
            include_headers=[name.encode() for name in headers],
            length=length,
        )
        return made.replace(b"\r\n", b"\n") + mail


def reply(
    command: str = "#reviewbot stop",
    *,
    author: str = "Ann Author <ann@example.org>",
    message_id: str = "answer-1@example.org",
    to: str = "reply-1@example.org",
    body: str = BODY,
    more: Mapping[str, str] | None = None,
) -> bytes:
    """An answer to one of our replies, as mutt writes it."""
    headers = {
        "From": author,
        "To": "reviewbot@example.org, kvm@example.org",
        "Subject": "Re: [PATCH 1/1] foo: do not wait under the lock",
        "Date": "Sun, 22 Nov 2026 13:00:00 +0000",
        "Message-ID": f"<{message_id}>",
        "In-Reply-To": f"<{to}>",
        "References": f"<k-1@example.org>\n <{to}>",
        **(more or {}),
    }
    head = "".join(f"{name}: {value}\n" for name, value in headers.items())
    return f"{head}\n{body.format(command=command)}".encode()
