"""What is checked over TLS: our server and our clients with those of others, and what the `openssl` and `curl` commands
say of our server.

Nothing stands between the two here: whoever could read along would not be needed. What was on the wire before it was
encrypted is checked by matrix.py.
"""

import asyncio
import contextlib
import functools
import os
import re
from asyncio.subprocess import PIPE

import certificates
import messages
from peers import (
    CHROMIUM, COMBINATION_SECONDS, NODE, OUR_CLIENT, OUR_SERVER, WEBSOCKETS_CLIENT, WEBSOCKETS_SERVER, WS_CLIENT,
    WS_SERVER, Failure, Peer, elements, expect, listening, started, tail,
)

NO_TAKEOVER = ["server_no_context_takeover", "client_no_context_takeover"]
LOCAL = ["DNS:localhost", "IP:127.0.0.1"]
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

WS_CLIENT_1_2 = Peer("ws, TLS 1.2", ["node", "--tls-max-v1.2", "ws_client.mjs"])
WS_SERVER_1_2 = Peer("ws, TLS 1.2", ["node", "--tls-max-v1.2", "ws_server.mjs"])
OUR_TERMINAL = [os.environ["TERMINAL_CLIENT"]]


def tests(pools, seed):
    """The names of the tests, and what each one does with a folder of its own."""
    compressing = OUR_SERVER._replace(parameters=["--deflate"])
    for client in [WEBSOCKETS_CLIENT, WS_CLIENT, WS_CLIENT_1_2, NODE, CHROMIUM]:
        yield f"TLS: {client.name} -> our server", functools.partial(exchange, compressing, client, pools, seed)
    for server in [WEBSOCKETS_SERVER, WS_SERVER, WS_SERVER_1_2]:
        client = OUR_CLIENT._replace(parameters=NO_TAKEOVER)
        yield f"TLS: our client -> {server.name}", functools.partial(exchange, server, client, pools, seed)
        yield f"TLS: our event loop -> {server.name}", functools.partial(lines_come_back, server)
    for test in [
        a_server_that_is_not_trusted, a_server_of_another_name, curl_asks_for_a_page, versions_and_alpn,
        other_protocols_and_versions_are_refused, sessions_are_resumed, keys_are_changed, names,
        clients_show_certificates, early_data_is_not_taken, nothing_is_renegotiated,
    ]:
        yield f"TLS: {test.__name__.replace('_', ' ')}", test


class Server:
    """A server over TLS, and the certificates that it has."""

    def __init__(self, port, made, folder):
        self.port, self.made, self.folder = port, made, folder

    def openssl(self, *flags):
        """What `openssl s_client` is started with."""
        return ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-CAfile", self.made.root, *flags]

    async def ask(self, *flags, said=REQUEST):
        """What `openssl s_client` says of a connection on which it asks for a page, and its exit status."""
        ends = ["-ign_eof"] if said else []
        return await output(self.openssl(*ends, *flags), self.folder, said)


@contextlib.asynccontextmanager
async def serving(peer, folder, names=LOCAL):
    """A server that has got ready."""
    made = await asyncio.to_thread(certificates.make, folder, *names)
    ours = peer.program == OUR_SERVER.program
    flags = ["--tls-cert", made.chain, "--tls-key", made.key] if ours else []
    env = {"TLS_CERT": str(made.chain), "TLS_KEY": str(made.key)}
    command = [*peer.program, *peer.parameters, *flags]
    try:
        async with asyncio.timeout(COMBINATION_SECONDS), started(command, folder / "server.log", env) as process:
            yield Server(await listening(process, "wss"), made, folder)
            if process.returncode is not None:
                raise Failure("the server ended")
    except (Failure, TimeoutError) as failure:
        what = str(failure) or f"it took more than {COMBINATION_SECONDS} s"
        raise Failure(f"{what}\n{tail(folder / 'client.log')}\n{tail(folder / 'server.log')}") from None


async def output(command, folder, said=b"", env=None):
    """What a command prints when it reads this, its errors too, and its exit status."""
    async with started(command, folder / "client.log", env, stdin=PIPE) as process:
        printed, _ = await process.communicate(said)
        wrong = (folder / "client.log").read_text(errors="replace")
        return printed.decode(errors="replace") + wrong, process.returncode


async def exchange(server, client, pools, seed, folder):
    """Sends all messages, and expects them back."""
    sent = messages.make(pools, f"{seed} TLS {client.name} {server.name}", client.fragments)
    file = folder / "messages"
    messages.write(sent, file)
    async with serving(server, folder) as serves:
        made = serves.made
        # python's ssl and our client read the first, node the second; the others are Chromium's.
        env = {
            "SSL_CERT_FILE": str(made.root), "NODE_EXTRA_CA_CERTS": str(made.root), "TLS_CERT": str(made.chain),
            "TLS_KEY": str(made.key), "TLS_TRUSTED": made.fingerprint,
        }
        command = [*client.program, f"wss://localhost:{serves.port}/", file, *client.parameters]
        async with started(command, folder / "client.log", env) as process:
            said = (await process.stdout.read()).decode().strip()
            if await process.wait():
                raise Failure("the client failed")
    expect(elements(said), sorted({"permessage-deflate", *NO_TAKEOVER}), "the client says")
    return f"{len(sent)} messages"


async def lines_come_back(server, folder):
    """The terminal client, on the event loop, sends lines, and prints them as they come back."""
    lines = "".join(f"line {number} {'λόγος' * number}\n" for number in range(200))
    async with serving(server, folder) as serves:
        command = [*OUR_TERMINAL, f"wss://localhost:{serves.port}/", "--deflate", "--tls-root", serves.made.root]
        async with started(command, folder / "client.log", stdin=PIPE) as process:
            process.stdin.write(lines.encode())
            said = b"".join([await process.stdout.readline() for _ in range(200)]).decode()
            process.stdin.close()
            status = await process.wait()
        expect(said == lines, True, "the lines come back as they were")
        expect(status, 0, "exit status")
    return "200 lines"


async def refuses(server, folder, flags, reason):
    """Our terminal client does not connect, and says why."""
    command = [*OUR_TERMINAL, f"wss://localhost:{server.port}/", *flags]
    said, status = await output(command, folder, env={"SSL_CERT_FILE": str(server.made.root)})
    expect((status, reason in said), (1, True), f"exit status 1 and '{reason}' in '{said.strip()}'")
    return reason


async def a_server_that_is_not_trusted(folder):
    other = folder / "other"
    other.mkdir()
    stranger = await asyncio.to_thread(certificates.make, other, *LOCAL, authority="stranger")
    async with serving(WEBSOCKETS_SERVER, folder) as server:
        await refuses(server, folder, ["--tls-root", stranger.root], "signed by nobody who is trusted")
        # And the other way round: python does not trust us.
        command = [*WEBSOCKETS_CLIENT.program, f"wss://localhost:{server.port}/", os.devnull]
        said, _ = await output(command, folder, env={"SSL_CERT_FILE": str(stranger.root)})
        holds(said, "CERTIFICATE_VERIFY_FAILED")
    return "refused"


async def a_server_of_another_name(folder):
    async with serving(WS_SERVER, folder, ["DNS:example.org"]) as server:
        return await refuses(server, folder, [], "the certificate is not for localhost, but for")


async def curl_asks_for_a_page(folder):
    async with serving(OUR_SERVER, folder) as server:
        curl = ["curl", "--silent", "--show-error", "--include", "--max-time", "20", "--noproxy", "*"]
        page = [f"https://localhost:{server.port}/", "--cacert", server.made.root]
        for flags in [["--tls-max", "1.2"], ["--tlsv1.3"]]:
            said, status = await output([*curl, *flags, *page], folder)
            expect(status, 0, "exit status of curl")
            holds(said, r"^HTTP/1\.1 426 ", r"^upgrade: websocket$")
        # Whoever forgets the s is told so.
        said, _ = await output([*curl, f"http://127.0.0.1:{server.port}/"], folder)
        holds(said, r"^HTTP/1\.1 400 ", "use wss:// or https://")
    return "426, and 400 without TLS"


async def versions_and_alpn(folder):
    async with serving(OUR_SERVER, folder) as server:
        for flag, version in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")]:
            said, _ = await server.ask(flag, "-servername", "localhost", "-alpn", "h2,http/1.1", "-verify_return_error")
            holds(said, f"^New, {version}, ", r"^ALPN protocol: http/1\.1$", r"^ *Verify return code: 0 \(ok\)$")
            holds(said, r"^HTTP/1\.1 426 ")
            # A client need not say what it speaks.
            said, _ = await server.ask(flag, "-servername", "localhost")
            holds(said, "^No ALPN negotiated$", r"^HTTP/1\.1 426 ")
    return "TLS 1.2 and 1.3, http/1.1"


async def other_protocols_and_versions_are_refused(folder):
    async with serving(OUR_SERVER, folder) as server:
        for flag in ["-tls1_2", "-tls1_3"]:
            said, status = await server.ask(flag, "-alpn", "h2")
            expect(status, 1, "exit status of openssl")
            holds(said, "alert no application protocol", "SSL alert number 120")
        said, status = await server.ask("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")
        expect(status, 1, "exit status of openssl")
        # That the version is none we speak, or that nothing in its hello is.
        holds(said, "SSL alert number (40|70)$")
    return "an alert says why"


async def sessions_are_resumed(folder):
    async with serving(OUR_SERVER, folder) as server:
        for flag, version in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")]:
            session = folder / f"session{flag}"
            said, _ = await server.ask(flag, "-servername", "localhost", "-sess_out", session)
            holds(said, f"^New, {version}, ", r"^HTTP/1\.1 426 ")
            said, _ = await server.ask(flag, "-servername", "localhost", "-sess_in", session)
            holds(said, f"^Reused, {version}, ", r"^HTTP/1\.1 426 ")
    return "reused with TLS 1.2 and 1.3"


async def keys_are_changed(folder):
    """openssl changes its key, and asks us to change ours (RFC 8446 section 4.6.3), before it asks for a page."""
    async with serving(OUR_SERVER, folder) as server:
        async with started(server.openssl("-tls1_3"), folder / "client.log", stdin=PIPE) as process:
            await said_until(process, b"New, TLSv1.3")
            for count in range(1, 4):
                process.stdin.write(b"K\n")
                while (folder / "client.log").read_text().count("KEYUPDATE") < count:
                    await asyncio.sleep(0.02)
            process.stdin.write(REQUEST)
            await said_until(process, b"HTTP/1.1 426 ")
    return "three times"


async def clients_show_certificates(folder):
    """A client has to show one that was issued by the authority that the server trusts."""
    ours, others = folder / "ours", folder / "others"
    for place in [ours, others]:
        place.mkdir()
    made, strange = certificates.make_client(ours), certificates.make_client(others)
    peer = OUR_SERVER._replace(parameters=["--tls-clients", made.root])
    async with serving(peer, folder) as server:
        for flag in ["-tls1_2", "-tls1_3"]:
            said, _ = await server.ask(flag, "-cert", made.certificate, "-key", made.key)
            holds(said, r"^HTTP/1\.1 426 ")
            said, _ = await server.ask(flag, "-cert", strange.certificate, "-key", strange.key)
            holds(said, "alert unknown ca")
            said, _ = await server.ask(flag)
            holds(said, "alert (certificate required|handshake failure|certificate unknown|bad certificate)")
    return "with TLS 1.2 and 1.3"


async def early_data_is_not_taken(folder):
    async with serving(OUR_SERVER, folder) as server:
        session, early = folder / "session", folder / "early"
        early.write_bytes(REQUEST)
        await server.ask("-tls1_3", "-sess_out", session)
        said, _ = await server.ask("-tls1_3", "-sess_in", session, "-early_data", early)
        holds(said, "^Early data was not sent$", r"^HTTP/1\.1 426 ")
    return "not offered to clients"


async def nothing_is_renegotiated(folder):
    """openssl asks for it before it asks for a page, in vain or with the end of the connection."""
    async with serving(OUR_SERVER, folder) as server:
        said, status = await output(server.openssl("-tls1_2"), folder, b"R\n")
        holds(said, "RENEGOTIATING")
        expect(status, 1, "exit status of openssl")
        said, _ = await server.ask("-tls1_2")
        holds(said, r"^HTTP/1\.1 426 ")
    return "with TLS 1.2"


async def said_until(process, wanted):
    """Reads until a line has these bytes."""
    while line := await process.stdout.readline():
        if wanted in line:
            return
    raise Failure(f"openssl ended before it said {wanted}")


async def names(folder):
    async with serving(OUR_SERVER, folder) as server:
        # With one certificate, it is shown whatever name is asked for: the client judges.
        for name in [["-servername", "unknown.example"], ["-noservername"]]:
            said, _ = await server.ask(*name)
            holds(said, r"CN ?= ?tautline server", r"^ *Verify return code: 0 \(ok\)$", r"^HTTP/1\.1 426 ")
        said, status = await server.ask(
            "-servername", "unknown.example", "-verify_hostname", "unknown.example", "-verify_return_error"
        )
        expect(status, 1, "exit status of openssl")
        holds(said, "hostname mismatch")
    return "known, unknown and none"


def holds(said, *patterns):
    for pattern in patterns:
        if not re.search(pattern, said.replace("\r\n", "\n"), re.M | re.I):
            raise Failure(f"'{pattern}' is not in what was said:\n{said[-3000:]}")
