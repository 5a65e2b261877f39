"""A second client of relay.v1, written from examples/chat-relay/docs/protocol.md alone.

client.py PROGRAM FOLDER starts the relay PROGRAM with its data in FOLDER, and tries what the page promises. Each check is
a function. The exit status is 1 when one has failed.
"""

import asyncio
import json
import random
import secrets
import sys
import traceback

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

PATIENCE_S = 10


class Refused(Exception):
    def __init__(self, err):
        super().__init__(f"{err['code']}: {err['text']}")
        self.code = err["code"]
        self.retry_ms = err.get("retry_ms")


class Person:
    """A person with one device, who comes back when the connection breaks, and loses nothing by it."""

    def __init__(self, url, name):
        self.url = url
        self.name = name
        self.token = None
        self.device = secrets.token_hex(4)
        self.socket = None
        # For each room its epoch, and the last message that we have.
        self.cursors = {}
        self.messages = {}
        self.events = asyncio.Queue()
        self.answers = {}
        self.last_id = 0
        self.closed_with = None

    async def come(self):
        """Connects and says hello."""
        self.socket = await connect(self.url, subprotocols=["relay.v1"])
        self.reader = asyncio.create_task(self.read(self.socket))
        who = {"token": self.token} if self.token else {"name": self.name}
        ok = await self.ask("hello", v=1, device=self.device, at=self.cursors, **who)
        self.token = ok.get("token", self.token)
        for room, info in ok["rooms"].items():
            self.cursors.setdefault(room, [info["epoch"], info["head"]])
        for room in ok.get("refused", {}):
            self.cursors.pop(room, None)
        return ok

    async def cut(self):
        """The connection breaks, as it does in a tunnel."""
        self.socket.transport.abort()
        await self.reader

    async def come_back(self):
        delay_s = 0.5
        while True:
            await asyncio.sleep(delay_s * random.random())
            try:
                return await self.come()
            except (OSError, ConnectionClosed):
                delay_s = min(delay_s * 2, 30)

    async def leave(self):
        await self.socket.close()
        await self.reader

    async def read(self, socket):
        try:
            async for frame in socket:
                for line in frame.split("\n"):
                    await self.hear(json.loads(line))
        except ConnectionClosed:
            pass
        self.closed_with = socket.close_code
        for answer in self.answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the connection is gone"))
        self.answers.clear()

    async def hear(self, line):
        if "id" in line:
            answer = self.answers.pop(line["id"], None)
            if answer and not answer.done():
                if "ok" in line:
                    answer.set_result(line["ok"])
                else:
                    answer.set_exception(Refused(line["err"]))
            return
        [(kind, fields)] = line.items()
        if kind == "msg":
            self.take(fields)
        elif kind == "reset":
            self.cursors[fields["room"]] = [fields["epoch"], fields["first"] - 1]
            self.messages[fields["room"]] = []
        elif kind == "added":
            self.cursors[fields["room"]] = [fields["epoch"], fields["head"]]
        elif kind == "removed":
            self.cursors.pop(fields["room"], None)
        await self.events.put((kind, fields))

    def take(self, message):
        """The one rule: the next message is taken, an older one dropped, and a gap is asked for."""
        cursor = self.cursors[message["room"]]
        if message["seq"] == cursor[1] + 1:
            cursor[1] = message["seq"]
            self.messages.setdefault(message["room"], []).append(message)
        elif message["seq"] > cursor[1] + 1:
            asyncio.get_running_loop().create_task(self.fill(message["room"], message["seq"]))

    async def fill(self, room, to):
        while self.cursors[room][1] < to:
            ok = await self.ask("get", room=room, **{"from": self.cursors[room][1] + 1, "to": to})
            for message in ok["msgs"]:
                self.take(message)

    async def ask(self, command, /, **fields):
        """Says a command, and waits for its answer; again where it is temporary."""
        while True:
            self.last_id += 1
            answer = self.answers[self.last_id] = asyncio.get_running_loop().create_future()
            await self.socket.send(json.dumps({"id": self.last_id, command: fields}))
            try:
                return await asyncio.wait_for(answer, PATIENCE_S)
            except Refused as refused:
                if refused.retry_ms is None:
                    raise
                await asyncio.sleep(refused.retry_ms / 1000)

    async def tell(self, command, /, **fields):
        """Says a command that needs no answer."""
        await self.socket.send(json.dumps({command: fields}))

    async def join(self, room, **more):
        ok = await self.ask("join", room=room, **more)
        self.cursors[room] = [ok["epoch"], ok["head"]]
        return ok

    async def send(self, room, text, cid=None):
        return await self.ask("send", room=room, cid=cid or secrets.token_hex(8), body={"text": text})

    async def until(self, kind, /, **expected):
        """Waits for an event."""

        async def wait():
            while True:
                came, fields = await self.events.get()
                if came == kind and all(fields.get(key) == value for key, value in expected.items()):
                    return fields

        try:
            return await asyncio.wait_for(wait(), PATIENCE_S)
        except TimeoutError:
            raise AssertionError(f"{self.name} does not hear {kind} {expected}") from None

    def texts(self, room):
        return [message["body"]["text"] for message in self.messages.get(room, [])]


async def refused(code, asking):
    try:
        await asking
    except Refused as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"it is not refused with {code}")


class World:
    def __init__(self, url):
        self.url = url
        self.count = 0
        self.people = []

    async def person(self, name):
        """A person with a name that nobody has."""
        self.count += 1
        person = Person(self.url, f"{name} {self.count}")
        await person.come()
        self.people.append(person)
        return person

    async def two_in(self, room):
        alice, bob = await self.person("alice"), await self.person("bob")
        await alice.join(room)
        await bob.join(room)
        await alice.until("member", user=bob.name, role="member")
        return alice, bob


async def the_subprotocol_is_needed(world):
    try:
        await connect(world.url)
    except InvalidStatus as error:
        assert error.response.status_code == 400
    else:
        raise AssertionError("it connects without")


async def hello_and_its_refusals(world):
    alice = await world.person("alice")
    assert len(alice.token) >= 32
    other = Person(world.url, alice.name.upper())
    await refused("name_taken", other.come())
    other.token = "nobody's"
    await refused("token", other.ask("hello", v=1, token="nobody's"))
    await refused("version", other.ask("hello", v=2, name="x"))
    await refused("hello_first", other.ask("ping"))
    await other.leave()
    await refused("hello_again", alice.ask("hello", v=1, name="x"))
    await refused("fields", alice.ask("ping", loud=True))
    await refused("command", alice.ask("dance"))
    assert await alice.ask("ping") == {}


async def a_newer_connection_of_the_device_replaces_the_older(world):
    alice = await world.person("alice")
    older, reader = alice.socket, alice.reader
    await alice.come()
    await reader
    assert older.close_code == 4501, older.close_code
    assert await alice.ask("ping") == {}


async def rooms_are_joined_and_left(world):
    alice, bob = await world.two_in("rooms")
    ok = await alice.ask("members", room="rooms")
    roles = {member["user"]: member["role"] for member in ok["members"]}
    assert roles == {alice.name: "owner", bob.name: "member"}
    await bob.ask("leave", room="rooms")
    await alice.until("member", user=bob.name, role="none")
    await refused("not_member", bob.ask("members", room="rooms"))
    await refused("room_name", bob.join("Rooms"))


async def roles_say_what_one_may(world):
    alice, bob = await world.person("alice"), await world.person("bob")
    await alice.join("cellar", access="invite")
    await refused("forbidden", bob.join("cellar"))
    await alice.ask("grant", room="cellar", user=bob.name, role="reader")
    added = await bob.until("added", room="cellar")
    assert (added["kind"], added["role"]) == ("invite", "reader")
    await refused("forbidden", bob.send("cellar", "hello?"))
    await refused("forbidden", bob.ask("grant", room="cellar", user=bob.name, role="owner"))
    await alice.ask("grant", room="cellar", user=bob.name, role="member")
    await bob.until("member", user=bob.name, role="member")
    await bob.send("cellar", "hello")
    await alice.until("msg", room="cellar")
    await alice.ask("grant", room="cellar", user=bob.name, role="none")
    await bob.until("removed", room="cellar")


async def two_people_have_a_room_of_their_own(world):
    alice, bob = await world.person("alice"), await world.person("bob")
    ok = await alice.ask("direct", user=bob.name)
    room = ok["room"]
    alice.cursors[room] = [ok["epoch"], ok["head"]]
    assert room.startswith("@") and ok["with"] == bob.name
    added = await bob.until("added", room=room)
    assert added["with"] == alice.name
    assert (await bob.ask("direct", user=alice.name))["room"] == room
    await alice.send(room, "only you")
    await bob.until("msg", room=room)
    assert bob.texts(room) == ["only you"]
    await refused("forbidden", bob.ask("leave", room=room))
    await refused("user_unknown", alice.ask("direct", user="nobody at all"))


async def a_message_is_stored_once_however_often_it_is_sent(world):
    alice, bob = await world.two_in("once")
    first = await alice.send("once", "hi", cid="k1")
    again = await alice.send("once", "hi", cid="k1")
    assert "dup" not in first and again == {**first, "dup": True}
    # Another person's cid is another message.
    assert (await bob.send("once", "hi", cid="k1"))["seq"] == first["seq"] + 1
    for person in (alice, bob):
        await person.until("msg", seq=2)
        assert [(it["seq"], it["from"]) for it in person.messages["once"]] == [(1, alice.name), (2, bob.name)]
    await refused("not_member", alice.send("nowhere", "hi"))
    await refused("too_long", alice.send("once", "x" * 9000))
    await refused("fields", alice.send("once", "hi", cid="with space"))


async def the_log_is_read_in_pieces(world):
    alice = await world.person("alice")
    await alice.join("log")
    for number in range(1, 121):
        await alice.send("log", f"{number}")
    read, last = [], 0
    while last < 120:
        ok = await alice.ask("get", room="log", **{"from": last + 1, "to": 1000})
        assert ok["head"] == 120 and 0 < len(ok["msgs"]) <= 100
        read += [message["body"]["text"] for message in ok["msgs"]]
        last = ok["msgs"][-1]["seq"]
    assert read == [f"{number}" for number in range(1, 121)]
    await refused("range", alice.ask("get", room="log", **{"from": 121, "to": 130}))


async def nothing_is_lost_or_twice_over_a_cut_connection(world):
    alice, bob = await world.two_in("tunnel")
    await bob.send("tunnel", "one")
    await alice.until("msg", seq=1)
    await alice.cut()
    for text in ("two", "three"):
        await bob.send("tunnel", text)
    ok = await alice.come_back()
    assert ok["rooms"]["tunnel"]["head"] == 3
    await alice.until("live", room="tunnel", head=3)
    await bob.send("tunnel", "four")
    await alice.until("msg", seq=4)
    assert alice.texts("tunnel") == ["one", "two", "three", "four"]


async def a_gap_is_filled(world):
    alice, bob = await world.two_in("gap")
    for text in ("one", "two", "three"):
        await bob.send("gap", text)
    await alice.until("msg", seq=3)
    # As if two of them had not come.
    alice.cursors["gap"][1] = 0
    alice.messages["gap"] = []
    await bob.send("gap", "four")
    await alice.until("msg", seq=4)
    for _ in range(100):
        if len(alice.texts("gap")) == 4:
            break
        await asyncio.sleep(0.05)
    assert alice.texts("gap") == ["one", "two", "three", "four"]


async def a_cursor_that_does_not_fit_is_reset(world):
    alice = await world.person("alice")
    await alice.join("reset")
    await alice.send("reset", "one")
    await alice.until("msg", seq=1)
    await alice.cut()
    alice.cursors = {"reset": ["another", 7], "elsewhere": ["k", 1]}
    ok = await alice.come_back()
    assert ok["refused"] == {"elsewhere": "not_member"}
    reset = await alice.until("reset", room="reset")
    assert (reset["first"], reset["head"]) == (1, 1)
    await alice.until("live", room="reset")
    assert alice.texts("reset") == ["one"]
    assert alice.cursors["reset"] == [ok["rooms"]["reset"]["epoch"], 1]


async def marks_only_grow(world):
    alice, bob = await world.two_in("marks")
    for text in ("one", "two"):
        await alice.send("marks", text)
    await bob.until("msg", seq=2)
    await bob.tell("mark", room="marks", recv=2)
    await alice.until("mark", user=bob.name, recv=2, read=0)
    await bob.tell("mark", room="marks", recv=1, read=99)
    await alice.until("mark", user=bob.name, recv=2, read=2)
    ok = await alice.ask("members", room="marks")
    assert [it["read"] for it in ok["members"] if it["user"] == bob.name] == [2]


async def messages_are_found(world):
    alice, bob = await world.two_in("search")
    await alice.send("search", "A pot of Assam")
    await bob.send("search", "a cup of Darjeeling")
    ok = await bob.ask("search", text="of")
    assert [it["body"]["text"] for it in ok["msgs"]] == ["a cup of Darjeeling", "A pot of Assam"]
    ok = await bob.ask("search", text="pot ass", room="search")
    assert [(it["seq"], it["from"]) for it in ok["msgs"]] == [(1, alice.name)]
    stranger = await world.person("stranger")
    assert (await stranger.ask("search", text="assam"))["msgs"] == []


async def typing_is_told_and_not_kept(world):
    alice, bob = await world.two_in("typing")
    await bob.tell("eph", room="typing", kind="typing", ttl_s=6)
    event = await alice.until("eph", kind="typing")
    assert event == {"room": "typing", "from": bob.name, "kind": "typing", "ttl_s": 6}
    await bob.ask("eph", room="typing", kind="location", ttl_s=60, data={"lat": 53.1})
    assert (await alice.until("eph", kind="location"))["data"] == {"lat": 53.1}
    await refused("range", bob.ask("eph", room="typing", kind="typing", ttl_s=61))


async def presence_is_told(world):
    alice, bob = await world.two_in("presence")
    await bob.cut()
    gone = await alice.until("presence", user=bob.name, online=False)
    assert gone["last_seen"] > 1_700_000_000_000
    await bob.come_back()
    await alice.until("presence", user=bob.name, online=True)


async def who_signs_out_needs_another_name(world):
    alice = await world.person("alice")
    await alice.join("out")
    await alice.ask("logout")
    await alice.reader
    assert alice.closed_with == 4502, alice.closed_with
    await refused("token", alice.come())
    await alice.leave()


async def a_relay_that_is_killed_keeps_what_it_has_answered(world):
    alice, bob = await world.two_in("killed")
    sent = await alice.send("killed", "one", cid="k1")
    await bob.until("msg", seq=1)
    await world.restart()
    for person in (alice, bob):
        await person.reader
        await person.come_back()
        await person.until("live", room="killed")
    # The answer might not have come: the same again.
    assert await alice.send("killed", "one", cid="k1") == {**sent, "dup": True}
    await alice.send("killed", "two", cid="k2")
    await bob.until("msg", seq=2)
    assert bob.texts("killed") == ["one", "two"]


CHECKS = [
    the_subprotocol_is_needed,
    hello_and_its_refusals,
    a_newer_connection_of_the_device_replaces_the_older,
    rooms_are_joined_and_left,
    roles_say_what_one_may,
    two_people_have_a_room_of_their_own,
    a_message_is_stored_once_however_often_it_is_sent,
    the_log_is_read_in_pieces,
    nothing_is_lost_or_twice_over_a_cut_connection,
    a_gap_is_filled,
    a_cursor_that_does_not_fit_is_reset,
    marks_only_grow,
    messages_are_found,
    typing_is_told_and_not_kept,
    presence_is_told,
    who_signs_out_needs_another_name,
    a_relay_that_is_killed_keeps_what_it_has_answered,
]


async def start(command):
    """Starts the relay, and waits until it says where it is."""
    relay = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    ready = (await asyncio.wait_for(relay.stdout.readline(), PATIENCE_S)).decode()
    if "http://" not in ready:
        sys.exit("second-client: the relay does not start")
    return relay, ready.split("http://")[1].split("/")[0]


async def main(program, data):
    command = [program, "--data", data, "--log", "warn", "--listen"]
    relay, address = await start([*command, "127.0.0.1:0"])
    world = World(f"ws://{address}/ws")

    async def restart():
        nonlocal relay
        relay.kill()
        await relay.wait()
        relay, _ = await start([*command, address])

    world.restart = restart
    passed, failed = 0, 0
    try:
        for check in CHECKS:
            try:
                await asyncio.wait_for(check(world), 60)
                passed += 1
            except Exception:
                failed += 1
                print(f"FAILED {check.__name__}", file=sys.stderr)
                traceback.print_exc()
            for person in world.people:
                await person.leave()
            world.people.clear()
    finally:
        relay.kill()
        await relay.wait()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
