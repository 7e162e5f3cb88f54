"""A mail server with TLS, logins and a memory (RFC 5321, 3207, 4954), and bad habits."""

from __future__ import annotations

import base64
import contextlib
import email
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

USER, PASSWORD = "idsync", "made up, with a word"


@dataclass
class Letter:
    """One letter that was taken."""

    user: str | None
    secured: bool
    sender: str
    to: list[str]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=default)

    @property
    def text(self) -> str:
        return str(self.message.get_content())


@dataclass
class FakeSmtp:
    """Listens on loopback. *habit* is what it does wrong from now on; "" is nothing.

    hangs: takes the connection and says nothing. drips: a letter of its greeting now and then.
    no starttls: offers none. refuses: the login. full: takes no letter. picky: refuses one
    address. dies: keeps the letter and goes without an answer.
    """

    certificate: Path
    implicit: bool = False
    habit: str = ""
    letters: list[Letter] = field(default_factory=list)
    plain_words: list[str] = field(default_factory=list)  # said to it before TLS
    port: int = 0

    @contextmanager
    def listening(self) -> Iterator[FakeSmtp]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        over = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.1)
            self.port = listener.getsockname()[1]

            def accept() -> None:
                while not over.is_set():
                    with contextlib.suppress(TimeoutError):
                        connection, _ = listener.accept()
                        one = _Session(self, connection, context, over)
                        threading.Thread(target=one.run, daemon=True).start()

            thread = threading.Thread(target=accept)
            thread.start()
            try:
                yield self
            finally:
                over.set()
                thread.join(5)


class _Session:
    def __init__(
        self, server: FakeSmtp, plain: socket.socket, context: ssl.SSLContext, over: threading.Event
    ) -> None:
        self.server, self.socket, self.context, self.over = server, plain, context, over
        self.secured = False
        self.user: str | None = None
        self.sender = ""
        self.to: list[str] = []

    def run(self) -> None:
        self.socket.settimeout(30)
        with contextlib.suppress(OSError), contextlib.closing(self):
            if self.server.habit == "hangs":
                self.over.wait(60)
                return
            if self.server.implicit:
                self._secure()
            if self.server.habit == "drips":
                self._drip()
                return
            self._say("220 post.example.org ESMTP")
            while self._one(self._line()):
                pass

    def close(self) -> None:
        self.socket.close()

    def _secure(self) -> None:
        self.socket = self.context.wrap_socket(self.socket, server_side=True)
        self.secured = True

    def _drip(self) -> None:
        for letter in b"220 " + b"a" * 600:
            if self.over.is_set():
                return
            self.socket.sendall(bytes([letter]))
            time.sleep(0.05)

    def _say(self, text: str) -> None:
        self.socket.sendall(text.encode() + b"\r\n")

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            some = self.socket.recv(1)
            if not some:
                return b""
            line += some
        return line

    def _one(self, line: bytes) -> bool:
        """Answer one command; tell whether the talk goes on."""
        words = line.decode().strip()
        if not self.secured:
            self.server.plain_words.append(words)
        command = words.partition(" ")[0].upper()
        if not command or command == "QUIT":
            if command:
                self._say("221 bye")
            return False
        if command == "DATA":
            return self._data()
        answer = {
            "EHLO": self._ehlo, "STARTTLS": self._starttls, "AUTH": self._auth,
            "MAIL": self._mail, "RCPT": self._rcpt, "RSET": self._reset,
        }.get(command)  # fmt: skip
        self._say("502 not here") if answer is None else answer(words)
        return True

    def _ehlo(self, _: str) -> None:
        offers = ["post.example.org", "8BITMIME"]
        if self.secured:
            offers.append("AUTH PLAIN")
        elif self.server.habit != "no starttls":
            offers.append("STARTTLS")
        lines = [f"250-{one}" for one in offers[:-1]] + [f"250 {offers[-1]}"]
        self._say("\r\n".join(lines))

    def _starttls(self, _: str) -> None:
        self._say("220 go on")
        self._secure()

    def _auth(self, words: str) -> None:
        _, user, password = base64.b64decode(words.split(" ")[2]).decode().split("\0")
        good = self.secured and (user, password) == (USER, PASSWORD)
        if not good or self.server.habit == "refuses":
            self._say(f"535 5.7.8 no such login: {user} {password}")
            return
        self.user = user
        self._say("235 welcome")

    def _mail(self, words: str) -> None:
        if self.user is None:
            self._say("530 log in first")
            return
        self.sender, self.to = _address(words), []
        self._say("250 ok")

    def _rcpt(self, words: str) -> None:
        if self.server.habit == "picky" and not self.to:
            self.to.append("")
            self._say(f"550 nobody here is called {_address(words)}")
            return
        self.to.append(_address(words))
        self._say("250 ok")

    def _reset(self, _: str) -> None:
        self._say("250 ok")

    def _data(self) -> bool:
        self._say("354 go on")
        raw = b""
        while (line := self._line()) not in (b".\r\n", b""):
            raw += line.removeprefix(b".") if line.startswith(b"..") else line
        if self.server.habit == "full":
            self._say("452 no room for jour@example.org")
            return True
        to = [one for one in self.to if one]
        self.server.letters.append(Letter(self.user, self.secured, self.sender, to, raw))
        if self.server.habit == "dies":
            return False
        self._say("250 taken")
        return True


def _address(words: str) -> str:
    return words.partition("<")[2].partition(">")[0]
