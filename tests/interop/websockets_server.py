"""Python's `websockets` as a server that sends each message back, every second one in fragments.

websockets_server.py PARAMETER..., such as server_max_window_bits=9

With TLS where the environment names files in TLS_CERT and TLS_KEY.
"""

import asyncio
import os
import ssl
import sys

from parameters import by_name
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory


async def echo(connection):
    if [type(it) for it in connection.protocol.extensions] != [PerMessageDeflate]:
        await connection.close(1010, "not compressed")
    number = 0
    async for message in connection:
        is_text = isinstance(message, str)
        data = message.encode() if is_text else message
        await connection.send(fragments(data, number) if number % 2 else data, text=is_text)
        number += 1


def fragments(data, number):
    """Two to five of one length, wherever that cuts a character, and websockets adds an empty one."""
    pieces = 2 + number // 2 % 4
    size = len(data) // pieces + 1
    return [data[start : start + size] for start in range(0, pieces * size, size)]


def tls():
    if "TLS_CERT" not in os.environ:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    return context


async def main(*parameters):
    extension = ServerPerMessageDeflateFactory(**by_name(parameters))
    secure = tls()
    async with serve(
        echo, "127.0.0.1", 0, compression=None, extensions=[extension], max_size=None, ping_interval=None, ssl=secure
    ) as server:
        scheme = "wss" if secure else "ws"
        print(f"listening on {scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
