"""Our programs and those of others, and what it takes to run them."""

import asyncio
import contextlib
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

# A combination takes a second or two. It gets many of them, for slow machines.
COMBINATION_SECONDS = 60
STOP_SECONDS = 5


class Peer(NamedTuple):
    """A program: a server gets the parameters, a client a URL, the file of the messages, and then the parameters."""

    title: str
    program: list[str]
    parameters: list[str] = []
    compresses: bool = True
    fragments: bool = True

    @property
    def name(self):
        short = [it.replace("_context_takeover", "").replace("_max_window_bits", "") for it in self.parameters]
        return " ".join([self.title, *short])


OUR_SERVER = Peer("our server", [os.environ["ECHO_SERVER"], "--listen", "127.0.0.1:0"], fragments=False)
OUR_CLIENT = Peer("our client", [os.environ["INTEROP_CLIENT"]])
WEBSOCKETS_CLIENT = Peer("websockets", [sys.executable, "websockets_client.py"])
WEBSOCKETS_SERVER = Peer("websockets", [sys.executable, "websockets_server.py"])
WS_CLIENT = Peer("ws", ["node", "ws_client.mjs"])
WS_SERVER = Peer("ws", ["node", "ws_server.mjs"])
# What a browser has cannot send fragments, nor say what it wants of the extension.
CHROMIUM = Peer("Chromium", ["node", "chromium_client.mjs"], fragments=False)
# The same, but it only understands what is compressed, and compresses nothing.
NODE = Peer(
    "node", ["node", *os.environ["NODE_FLAGS"].split(), "node_client.mjs"], compresses=False, fragments=False
)


class Failure(Exception):
    pass


@contextlib.asynccontextmanager
async def started(command, log, env=None, stdin=asyncio.subprocess.DEVNULL):
    """A process, ended by its pid if it does not end by itself. `env` is added to what it finds in its environment."""
    with open(log, "wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=HERE, env={**os.environ, **(env or {})}, stdin=stdin, stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


async def listening(server, scheme="ws"):
    """The port that a server says it listens on."""
    line = (await server.stdout.readline()).decode()
    port = re.fullmatch(rf"listening on {scheme}://127\.0\.0\.1:(\d+)\n", line)
    if not port:
        raise Failure("the server did not get ready")
    return int(port[1])


def tail(log):
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join([f"the end of {log.name}:", *text.splitlines()[-15:]])


def elements(agreed):
    return sorted(it.strip() for it in (agreed or "").split(";"))


def expect(is_, wanted, what):
    if is_ != wanted:
        raise Failure(f"{what}: {is_} instead of {wanted}")


def at_least(is_, wanted, what):
    if is_ < wanted:
        raise Failure(f"{what}: {is_}, fewer than {wanted}")
