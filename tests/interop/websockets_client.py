"""Python's `websockets` as a client: sends the messages, expects them back, and prints what was agreed on.

websockets_client.py URL MESSAGES PARAMETER..., such as client_max_window_bits=9
"""

import asyncio
import sys

import messages
from parameters import by_name
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate


async def main(url, path, *parameters):
    sent = messages.read(path)
    # Unless it is told something else, the factory offers client_max_window_bits without a value.
    offer = ClientPerMessageDeflateFactory(**by_name(parameters))
    async with connect(
        url, compression=None, extensions=[offer], max_size=None, ping_interval=None, proxy=None
    ) as connection:
        extensions = connection.protocol.extensions
        assert [type(it) for it in extensions] == [PerMessageDeflate], f"agreed on {extensions}"
        sender = asyncio.create_task(send(connection, sent))
        for number, message in enumerate(sent):
            echo = await connection.recv()
            assert isinstance(echo, str) == message.is_text, f"message {number} came back as another kind"
            data = echo.encode() if message.is_text else echo
            assert data == message.data, f"message {number} of {len(message.data)} bytes came back as {len(data)}"
        await sender
        await connection.close()
        assert connection.close_code == 1000, connection.close_code
    print(agreed(*extensions))


async def send(connection, sent):
    for message in sent:
        whole = len(message.parts) == 1
        await connection.send(message.data if whole else message.parts, text=message.is_text)


def agreed(extension):
    parts = ["permessage-deflate"]
    if extension.remote_no_context_takeover:
        parts.append("server_no_context_takeover")
    if extension.local_no_context_takeover:
        parts.append("client_no_context_takeover")
    if extension.remote_max_window_bits < 15:
        parts.append(f"server_max_window_bits={extension.remote_max_window_bits}")
    if extension.local_max_window_bits < 15:
        parts.append(f"client_max_window_bits={extension.local_max_window_bits}")
    return "; ".join(parts)


asyncio.run(main(*sys.argv[1:]))
