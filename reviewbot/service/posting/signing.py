# SPDX-License-Identifier: GPL-2.0-or-later
"""Developer signatures as b4 makes them (patatt): X-Developer-Signature over the whole mail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import patatt

from reviewbot.errors import ConfigError

_MAX_KEY = 4096


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one Ed25519 key, as ``patatt genkey`` writes it."""

    key_file: Path
    identity: str
    """The sender's address, which the public key is published for."""
    selector: str

    def sign(self, mail: bytes) -> bytes:
        """The mail with its signature.  Raises :class:`ConfigError` if the key is none."""
        try:
            key = self.key_file.read_bytes()[:_MAX_KEY].strip()
            signed = patatt.sign_message(mail, "ed25519", key, self.identity, self.selector)
        except (OSError, ValueError, RuntimeError, patatt.Error) as error:
            raise ConfigError(f"{self.key_file} cannot sign: {error}; see post.sign_key") from error
        return bytes(signed).replace(b"\r\n", b"\n")
