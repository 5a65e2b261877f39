"""The messages that a combination sends, and the file in which each client finds them.

A message in the file is a line, such as `text always 12 0 5`, and then its bytes. The line has its kind, whether it is
to be compressed (`default`, `always` or `never`, for clients that let the application say so), and the lengths of its
fragments. A message with a single length is sent whole.
"""

import random
from typing import NamedTuple

MIB = 1 << 20
EDGES = [0, 1, 63, 64, 125, 126, 127, 65535, 65536]
OTHERS = 120

# The first messages are one text, of few letters, so that it compresses. It is short enough for a window of 9 bits:
# whoever may refer to earlier messages sends it the second time as a few bytes. See `Direction.shrinks` in matrix.py.
REPEATS = 3
REPEATED_BYTES = 200


class Message(NamedTuple):
    is_text: bool
    compress: str
    parts: list[bytes]

    @property
    def data(self):
        return b"".join(self.parts)


class Pools:
    """Long texts of each nature, of which each message is a piece: to make them anew takes too long."""

    def __init__(self, seed):
        rng = random.Random(seed)
        size = 3 * MIB // 2
        records = [rng.randbytes(rng.randint(4, 40)) for _ in range(64)]
        words = ["null", "true", "Straße", "λόγος", "слово", "言葉", "🦀", '{"id":', "}, ", "\n", "the "]
        ranges = [(0x20, 0x7F), (0xA0, 0x500), (0x3040, 0x9FFF), (0x1F300, 0x1F600)]
        letters = [chr(rng.randrange(*rng.choice(ranges))) for _ in range(2000)]
        self.pools = [
            (False, rng.randbytes(size)),
            (False, b"".join(rng.choices(records, k=size // 20))),
            (True, "".join(rng.choices(letters, k=size // 2)).encode()),
            (True, "".join(rng.choices(words, k=size // 4)).encode()),
        ]
        assert all(len(pool) > MIB for _, pool in self.pools)

    def piece(self, which, size, rng):
        """A piece of that many bytes, and whether it is text."""
        is_text, pool = self.pools[which]
        start = rng.randrange(len(pool) - size)
        data = pool[start : start + size]
        if is_text:
            # What was cut off from a character gives way to dots.
            data = data.decode(errors="ignore").encode().ljust(size, b".")
        return is_text, data


def make(pools, seed, fragments):
    """The messages of a combination; without `fragments`, all of them whole."""
    rng = random.Random(seed)
    kinds = range(len(pools.pools))
    wanted = [(which, size) for which in kinds for size in EDGES]
    # The longest cost the most time, which is why only one binary message and one text are of that length.
    wanted += [(rng.choice([0, 1]), MIB), (rng.choice([2, 3]), MIB)]
    # Long ones of every nature, so that an endpoint begins to compress what does not compress, and gives it up.
    wanted += [(which, rng.randrange(64 * 1024, 256 * 1024)) for which in kinds]
    # Most of the others are short.
    wanted += [(rng.choice(kinds), int(2 ** (20 * rng.random() ** 3))) for _ in range(OTHERS // 2)]
    wanted += [(rng.choice(kinds), rng.randrange(2000)) for _ in range(OTHERS // 2)]
    rng.shuffle(wanted)

    repeated = "".join(rng.choices("ACGT", k=REPEATED_BYTES)).encode()
    messages = [Message(True, "always", [repeated])] * REPEATS
    for which, size in wanted:
        is_text, data = pools.piece(which, size, rng)
        compress = rng.choice(["default", "always", "never"])
        pieces = rng.choice([1, 1, 2, 3, 5, 12]) if fragments else 1
        messages.append(Message(is_text, compress, split(data, pieces, rng)))
    return messages


def split(data, pieces, rng):
    """Cut anywhere: inside a character, or so that a piece is empty."""
    cuts = sorted(rng.randint(0, len(data)) for _ in range(pieces - 1))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])]


def write(messages, path):
    with open(path, "wb") as file:
        for message in messages:
            kind = "text" if message.is_text else "binary"
            lengths = " ".join(str(len(part)) for part in message.parts)
            file.write(f"{kind} {message.compress} {lengths}\n".encode() + message.data)


def read(path):
    messages = []
    with open(path, "rb") as file:
        while line := file.readline():
            kind, compress, *lengths = line.decode().split()
            messages.append(Message(kind == "text", compress, [file.read(int(length)) for length in lengths]))
    return messages
