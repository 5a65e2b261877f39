"""Runs every pair of a client and a server of which one is ours, with every set of parameters, and what tls.py checks.

matrix.py SEED [PART OF A NAME]

Between the two stands a proxy that reads along, so that no test passes because nothing was compressed. For `run`, which
names the programs in ECHO_SERVER, INTEROP_CLIENT, TERMINAL_CLIENT and CHROMIUM, node's flags in NODE_FLAGS, and a
folder in WORK.
"""

import asyncio
import contextlib
import functools
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import messages
import tls
from peers import (
    CHROMIUM, COMBINATION_SECONDS, NODE, OUR_CLIENT, OUR_SERVER, WEBSOCKETS_CLIENT, WEBSOCKETS_SERVER, WS_CLIENT,
    WS_SERVER, Failure, Peer, at_least, elements, expect, listening, started, tail,
)

WORK = Path(os.environ["WORK"])

AT_ONCE = min(len(os.sched_getaffinity(0)), 4)
# In each direction that is compressed, at least so many messages are.
COMPRESSED_MIN = 20
FRAGMENTED_MIN = 40

NO_TAKEOVER = ["server_no_context_takeover", "client_no_context_takeover"]
OFFERS = [
    [],
    ["server_no_context_takeover"],
    ["client_no_context_takeover"],
    NO_TAKEOVER,
    ["server_max_window_bits=9", "client_max_window_bits=9"],
    ["server_max_window_bits=12", "client_max_window_bits=12"],
    [*NO_TAKEOVER, "server_max_window_bits=9", "client_max_window_bits=12"],
]


class Combination(NamedTuple):
    server: Peer
    client: Peer
    # The parameters that the server answers.
    answer: list[str]

    @property
    def name(self):
        return f"{self.client.name} -> {self.server.name}"


def combinations():
    # First the clients of others with our server,
    for takeover in [False, True]:
        flags = ["--deflate", "--takeover"] if takeover else ["--deflate"]
        server = OUR_SERVER._replace(parameters=flags)
        ours = [] if takeover else NO_TAKEOVER
        for client in [WEBSOCKETS_CLIENT, WS_CLIENT]:
            for offer in OFFERS:
                yield Combination(server, client._replace(parameters=offer), [*offer, *ours])
        yield Combination(server, CHROMIUM, ours)
        yield Combination(server, NODE, ours)

    # and then our client with the servers of others: with those that do as they are asked,
    for server in [WEBSOCKETS_SERVER, WS_SERVER]:
        for offer in OFFERS:
            yield Combination(server, OUR_CLIENT._replace(parameters=offer), offer)
        # and with those that ask for something themselves.
        for answer in OFFERS[1:]:
            yield Combination(server._replace(parameters=answer), OUR_CLIENT, answer)


class Carried(NamedTuple):
    """A data message as it was on the wire."""

    compressed: bool
    frames: int
    payload_bytes: int


class Direction:
    """Reads along with what one side says, which it says in frames after a head."""

    def __init__(self):
        self.head = None
        self.unread = bytearray()
        self.skip = 0
        self.messages = []
        self.open = None
        self.wrong = None

    def read(self, data):
        self.unread += data
        if self.head is None:
            end = self.unread.find(b"\r\n\r\n")
            if end < 0:
                return
            self.head = self.unread[:end].decode("latin-1")
            del self.unread[: end + 4]
        while True:
            skipped = min(self.skip, len(self.unread))
            del self.unread[:skipped]
            self.skip -= skipped
            if self.skip or not self.read_header():
                return

    def read_header(self):
        if len(self.unread) < 2:
            return False
        first, second = self.unread[:2]
        extended = {126: 2, 127: 8}.get(second & 127, 0)
        header = 2 + extended + (4 if second & 128 else 0)
        if len(self.unread) < header:
            return False
        length = int.from_bytes(self.unread[2 : 2 + extended]) if extended else second & 127
        del self.unread[:header]
        self.skip = length
        self.count(final=first & 128, rsv1=first & 64, rsv2_or_3=first & 48, opcode=first & 15, length=length)
        return True

    def count(self, final, rsv1, rsv2_or_3, opcode, length):
        begins = opcode in (1, 2)
        if rsv2_or_3 or rsv1 and not begins:
            self.wrong = f"a frame of opcode {opcode} with reserved bits that it may not have"
        if opcode >= 8:
            return
        if begins == bool(self.open):
            self.wrong = f"a frame of opcode {opcode} where it may not be"
        compressed, frames, payload_bytes = self.open or (bool(rsv1), 0, 0)
        self.open = Carried(compressed, frames + 1, payload_bytes + length)
        if final:
            self.messages.append(self.open)
            self.open = None

    @property
    def compressed(self):
        return sum(it.compressed for it in self.messages)

    @property
    def fragmented(self):
        return sum(it.frames > 1 for it in self.messages)

    def shrinks(self):
        """Whether the text that came first is sent as next to nothing when it comes again."""
        first, *again = [it.payload_bytes for it in self.messages[: messages.REPEATS]]
        return max(again) < first / 2


class Proxy:
    """Passes one connection on, and reads along."""

    def __init__(self, port):
        self.port = port
        self.client = Direction()
        self.server = Direction()

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.listener.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_):
        self.listener.close()

    async def accept(self, reader, writer):
        # What breaks here breaks for a side as well, which says so.
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.CancelledError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.port)
            with contextlib.closing(up_writer):
                await asyncio.gather(carry(reader, up_writer, self.client), carry(up_reader, writer, self.server))


async def carry(reader, writer, direction):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(256 * 1024):
            direction.read(data)
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def exchange(combination, sent, folder):
    """Lets the client send all to the server through the proxy. Gives what the client said, and the proxy."""
    server, client, _ = combination
    server_log, client_log, file = folder / "server.log", folder / "client.log", folder / "messages"
    messages.write(sent, file)
    try:
        async with asyncio.timeout(COMBINATION_SECONDS):
            async with started([*server.program, *server.parameters], server_log) as server_process:
                async with Proxy(await listening(server_process)) as proxy:
                    command = [*client.program, proxy.url, file, *client.parameters]
                    async with started(command, client_log) as client_process:
                        said = (await client_process.stdout.read()).decode().strip()
                        if await client_process.wait():
                            raise Failure("the client failed")
                if server_process.returncode is not None:
                    raise Failure("the server ended")
                return said, proxy
    except (Failure, TimeoutError) as failure:
        what = str(failure) or f"it took more than {COMBINATION_SECONDS} s"
        raise Failure(f"{what}\n{tail(client_log)}\n{tail(server_log)}") from None


def check(combination, sent, said, proxy):
    """Whether what was on the wire is what was agreed on, and that is what was wanted."""
    answered = re.search(r"^sec-websocket-extensions: *(.*?)\r?$", proxy.server.head or "", re.I | re.M)
    for what, agreed in [("the server answered", answered and answered[1]), ("the client says", said)]:
        expect(elements(agreed), sorted({"permessage-deflate", *combination.answer}), what)
    for side, direction, peer in [
        ("client", proxy.client, combination.client),
        ("server", proxy.server, combination.server),
    ]:
        if direction.wrong:
            raise Failure(f"the {side} sent {direction.wrong}")
        expect(len(direction.messages), len(sent), f"messages of the {side}")
        if peer.fragments:
            at_least(direction.fragmented, FRAGMENTED_MIN, f"fragmented messages of the {side}")
        if peer.compresses:
            at_least(direction.compressed, COMPRESSED_MIN, f"compressed messages of the {side}")
            takeover = f"{side}_no_context_takeover" not in combination.answer
            expect(direction.shrinks(), takeover, f"the {side} refers to earlier messages")
        else:
            expect(direction.compressed, 0, f"compressed messages of the {side}")


async def play(combination, pools, seed, folder):
    sent = messages.make(pools, f"{seed} {combination.name}", combination.client.fragments)
    said, proxy = await exchange(combination, sent, folder)
    check(combination, sent, said, proxy)
    return f"{proxy.client.compressed} and {proxy.server.compressed} of {len(sent)} compressed"


def all_tests(pools, seed):
    """The names of all tests, and what each one does with a folder of its own."""
    for combination in combinations():
        yield combination.name, functools.partial(play, combination, pools, seed)
    yield from tls.tests(pools, seed)


async def main(seed, part=""):
    pools = messages.Pools(seed)
    chosen = [(name, test) for name, test in all_tests(pools, seed) if part in name]
    if not chosen:
        print(f"no combination has '{part}' in its name", file=sys.stderr)
        return 2
    # Asked to end, it ends what it started.
    task = asyncio.current_task()
    for number in [signal.SIGINT, signal.SIGTERM]:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)

    print(f"seed {seed}", flush=True)
    turns = asyncio.Semaphore(AT_ONCE)

    async def passes(name, test):
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            try:
                what = await test(Path(folder))
            except Failure as failure:
                print(f"FAILED {name}: {failure}", flush=True)
                return False
        print(f"ok {name}: {what}, {time.monotonic() - begin:.1f} s", flush=True)
        return True

    async def in_turn(name, test):
        async with turns:
            return await passes(name, test)

    passed = sum(await asyncio.gather(*(in_turn(*it) for it in chosen)))
    failed = len(chosen) - passed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(*sys.argv[1:])))
    except asyncio.CancelledError:
        sys.exit("matrix.py: ended before the end")
