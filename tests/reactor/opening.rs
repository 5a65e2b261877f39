//! Opening handshakes, plain requests, outgoing connections, running out of descriptors.

use super::*;
use std::io;
use tautline::handshake::ClientRequest;

fn status(answer: &[u8]) -> &str {
    std::str::from_utf8(answer).unwrap().split_whitespace().nth(1).unwrap_or("")
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# When a client establishes a WebSocket connection to a server, the
//# server MUST complete the following steps to accept the connection and
//# send the server's opening handshake.
#[test]
fn a_request_cut_at_every_byte_is_accepted() {
    for cut in 0..=REQUEST.len() {
        let mut world = World::new(Limits::default());
        let peer = world.net.connect(ADDRESS);
        peer.write(&REQUEST[..cut]);
        world.run_some(3);
        peer.write(&REQUEST[cut..]);
        world.run_some(3);
        assert_eq!(status(&peer.read()), "101", "cut at {cut}");
        assert_eq!(world.journal(), ["open"]);
    }
}

#[test]
fn what_is_no_upgrade_is_answered_by_the_application_and_closed() {
    let mut world = World::new(Limits::default());
    let peer = world.net.connect(ADDRESS);
    peer.write(b"GET /page HTTP/1.1\r\nHost: example\r\n\r\n");
    world.run();
    let answer = String::from_utf8(peer.read()).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n<p>hello</p>"),
        "{answer}"
    );
    assert!(
        peer.is_ended() && !peer.is_dropped(),
        "it lingers, so that no reset overtakes the answer"
    );
    peer.end();
    world.run();
    assert!(peer.is_dropped());
    assert_eq!(world.journal(), ["request GET /page"]);

    let peer = world.net.connect(ADDRESS);
    peer.write(b"HEAD /page HTTP/1.1\r\nHost: example\r\n\r\n");
    world.run();
    assert!(peer.read().ends_with(b"\r\n\r\n"), "HEAD has no body");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# Once the client's opening handshake has been sent, the client MUST
//# wait for a response from the server before sending any further data.
#[test]
fn frames_before_the_answer_are_refused() {
    let mut world = World::new(Limits::default());
    let peer = world.net.connect(ADDRESS);
    peer.write(&[REQUEST, &text("echo too soon")].concat());
    world.run();
    assert_eq!(status(&peer.read()), "400");
    assert!(world.journal().is_empty());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//# If the server does not wish to accept this
//# connection, it MUST return an appropriate HTTP error code
//# (e.g., 403 Forbidden) and abort the WebSocket handshake
//# described in this section.
#[test]
fn a_refused_upgrade_gets_the_applications_answer() {
    let mut world = World::new(Limits::default());
    let peer = world.net.connect(ADDRESS);
    let request = String::from_utf8(REQUEST.to_vec()).unwrap().replace("/chat", "/no");
    peer.write(request.as_bytes());
    world.run();
    assert_eq!(status(&peer.read()), "403");
    assert!(world.journal().is_empty(), "the handler is not told of the end of what never opened");
}

#[test]
fn a_page_of_another_site_is_refused() {
    for (origin, expected) in [
        ("http://example", "101"),
        ("http://evil", "403"),
        ("null", "403"),
        ("http://example:81", "403"),
    ] {
        let mut world = World::new(Limits::default());
        let peer = world.net.connect(ADDRESS);
        let request = String::from_utf8(REQUEST.to_vec()).unwrap();
        peer.write(
            request.replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n")).as_bytes(),
        );
        world.run();
        assert_eq!(status(&peer.read()), expected, "{origin}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.2
//# To do so, the
//# server MUST simply _Close the WebSocket Connection_ (Section 7.1.1).
#[test]
fn a_head_of_one_byte_a_second_is_answered_408_at_the_deadline() {
    let mut world = World::new(Limits::default());
    let peer = world.net.connect(ADDRESS);
    for byte in REQUEST.iter().take(9) {
        peer.write(&[*byte]);
        world.pass(Duration::from_secs(1));
        assert_eq!(peer.read(), b"");
    }
    world.pass(Duration::from_secs(2));
    assert_eq!(status(&peer.read()), "408");
    world.pass(Duration::from_secs(6));
    assert!(peer.is_dropped(), "also when the peer never ends its direction");
    assert_eq!(world.net.open_streams(), 0);
}

#[test]
fn handshakes_are_capped_and_a_finished_one_makes_room() {
    let mut limits = Limits::default();
    limits.handshakes_per_address_max = 3;
    let mut world = World::new(limits);
    let pending: Vec<_> = (0..3).map(|_| world.net.connect(ADDRESS)).collect();
    world.run();
    let refused = world.net.connect(ADDRESS);
    world.run();
    assert_eq!(status(&refused.read()), "503");
    assert!(refused.is_dropped());
    pending[0].write(REQUEST);
    world.run();
    assert_eq!(status(&pending[0].read()), "101");
    pending[1].reset();
    world.run();
    for _ in 0..2 {
        world.open();
    }
}

#[test]
fn connections_are_capped() {
    let mut limits = Limits::default();
    limits.connections_max = 2;
    let mut world = World::new(limits);
    let (first, _second) = (world.open(), world.open());
    let third = world.net.connect(ADDRESS);
    world.run();
    assert_eq!(status(&third.read()), "503");
    first.reset();
    world.run();
    world.open();
}

#[test]
fn connections_that_wait_while_descriptors_are_used_up_are_accepted_later() {
    let mut world = World::new(Limits::default());
    world.net.sim().accept_errors.push_back(io::Error::from_raw_os_error(24));
    let peer = world.net.connect(ADDRESS);
    peer.write(REQUEST);
    world.run_some(2);
    assert_eq!(peer.read(), b"");
    let polls = world.net.sim().polls;
    world.reactor.turn(None).unwrap();
    assert_eq!(world.net.sim().polls - polls, 1, "one poll sleeps until the retry");
    world.run();
    assert_eq!(status(&peer.read()), "101");
}

#[test]
fn who_waits_in_vain_for_a_descriptor_is_turned_away_and_told_so() {
    let mut world = World::new(Limits::default());
    world.net.sim().accept_errors.extend((0..2).map(|_| io::Error::from_raw_os_error(24)));
    let peer = world.net.connect(ADDRESS);
    world.run_some(2);
    world.pass(Duration::from_secs(1));
    assert_eq!(status(&peer.read()), "503");
    assert_eq!(world.net.sim().turned_away, 1);
    world.open();
}

#[test]
fn a_connection_that_ends_lets_the_next_one_in_at_once() {
    let mut world = World::new(Limits::default());
    let first = world.open();
    world.net.sim().accept_errors.push_back(io::Error::from_raw_os_error(24));
    let peer = world.net.connect(ADDRESS);
    peer.write(REQUEST);
    world.run_some(2);
    first.reset();
    world.run();
    assert_eq!(status(&peer.read()), "101");
}

#[test]
fn an_accept_that_was_aborted_does_not_stop_accepting() {
    let mut world = World::new(Limits::default());
    world.net.sim().accept_errors.push_back(io::ErrorKind::ConnectionAborted.into());
    world.open();
}

const ANSWER: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: ";

/// A world whose reactor connects to a peer, and the answer that opens the connection.
fn outgoing() -> (World, Peer, Vec<u8>) {
    let mut world = World::new(Limits::default());
    let request = ClientRequest::new("ws://example/feed".parse().unwrap());
    world.reactor.hub().connect(ADDRESS, request, 0).unwrap();
    world.run();
    let peer = world.net.accept_outgoing();
    world.run();
    let request = String::from_utf8(peer.read()).unwrap();
    assert!(request.starts_with("GET /feed HTTP/1.1\r\nHost: example\r\n"), "{request}");
    let key = tautline::handshake::Key::from_nonce([7; 16]);
    (world, peer, [ANSWER, &key.accept(), b"\r\n\r\n"].concat())
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# it MUST open a connection, send an opening
//# handshake, and read the server's handshake in response.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# Once a connection to the server has been established (including a
//# connection via a proxy or over a TLS-encrypted tunnel), the client
//# MUST send an opening handshake to the server.
#[test]
fn an_outgoing_connection_opens_and_masks_also_what_is_published() {
    let (mut world, peer, answer) = outgoing();
    peer.write(&[answer, plain(0x81, b"subscribe room"), plain(0x81, b"echo it")].concat());
    world.run();
    let accepted = world.open();
    accepted.write(&text("publish room"));
    world.run();
    assert_eq!(world.journal(), ["made", "open"]);
    let mut bytes = peer.read();
    let mut got = Vec::new();
    while let Ok(Some((header, length))) =
        tautline::frame::FrameHeader::parse(&bytes, tautline::Role::Client, Default::default())
    {
        let mut payload: Vec<u8> =
            bytes.drain(..length + header.payload_bytes as usize).skip(length).collect();
        mask(&mut payload, header.mask.unwrap(), 0);
        got.push((header.mask.unwrap(), String::from_utf8(payload).unwrap()));
    }
    assert_eq!([&got[0].1, &got[1].1], ["echo it", "publish room"]);
    assert_ne!(got[0].0, got[1].0, "each frame has a masking key of its own");
}

#[test]
fn a_connection_that_was_cut_while_it_was_made_is_not_opened_by_what_had_come() {
    let mut world = World::new(Limits::default());
    // Half of the request fits.
    (world.net.sim().capacity, world.net.sim().reads_after_reset) = (100, true);
    let request = ClientRequest::new("ws://example/feed".parse().unwrap());
    world.reactor.hub().connect(ADDRESS, request, 0).unwrap();
    world.run();
    let peer = world.net.accept_outgoing();
    world.run();
    let key = tautline::handshake::Key::from_nonce([7; 16]);
    peer.write(&[ANSWER, &key.accept(), b"\r\n\r\n", &plain(0x81, b"echo it")].concat());
    peer.reset();
    world.run();
    assert_eq!(world.journal().len(), 1, "{:?}", world.journal());
    assert_eq!(world.reactor.hub().counters().closed.lost, 1);
}

#[test]
fn a_refusal_of_a_head_request_has_no_content() {
    for (fields, status) in [
        ("Host: example\r\nTransfer-Encoding: chunked\r\n\r\n", "411"),
        ("Host: example\r\nContent-Length: 9999999\r\n\r\n", "413"),
        ("\r\n", "400"),
        ("Host: example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "405"),
        ("Host: exa", "408"),
        ("Host: example\r\nContent-Length: 9\r\n\r\n1234", "408"),
    ] {
        for method in ["HEAD", "POST"] {
            let mut world = World::new(Limits::default());
            let peer = world.net.connect(ADDRESS);
            peer.write(format!("{method} /page HTTP/1.1\r\n{fields}").as_bytes());
            world.run();
            world.pass(Duration::from_secs(11));
            let answer = String::from_utf8(peer.read()).unwrap();
            let start = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&start), "{method} {fields:?}: {answer}");
            assert_eq!(answer.ends_with("\r\n\r\n"), method == "HEAD", "{fields:?}: {answer}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
//# To do so, the
//# client MUST _Fail the WebSocket Connection_ as defined in
//# Section 7.1.7.
//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
//# If at any point the underlying transport layer connection is
//# unexpectedly lost, the client MUST _Fail the WebSocket Connection_.
#[test]
fn an_outgoing_connection_that_cannot_be_made_ends_once() {
    let (mut world, peer, _) = outgoing();
    peer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    world.run();
    assert_eq!(world.journal().len(), 1, "{:?}", world.journal());
    assert!(world.journal()[0].starts_with("close 1006"), "{:?}", world.journal());
    assert!(peer.is_dropped());

    let (mut world, peer, _) = outgoing();
    peer.reset();
    world.run();
    assert!(
        world.journal()[0].starts_with("close 1006: the connection was lost"),
        "{:?}",
        world.journal()
    );

    let (mut world, peer, _) = outgoing();
    world.pass(Duration::from_secs(11));
    assert_eq!(world.journal().len(), 1, "{:?}", world.journal());
    assert!(peer.is_dropped(), "a server that does not answer is given up at the deadline");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# Once the client's opening handshake has been sent, the client MUST
//# wait for a response from the server before sending any further data.
#[test]
fn a_connection_that_is_being_made_sends_nothing_but_its_request() {
    let mut world = World::new(Limits::default());
    let request = ClientRequest::new("ws://example/feed".parse().unwrap());
    let id = world.reactor.hub().connect(ADDRESS, request, 0).unwrap();
    world.run();
    let peer = world.net.accept_outgoing();
    world.run();
    let request = peer.read();
    assert_eq!(request.windows(4).position(|it| it == b"\r\n\r\n"), Some(request.len() - 4));
    if let Some(mut connection) = world.reactor.hub().connection(id) {
        connection.send("too soon");
        connection.ping(b"too soon");
    }
    world.pass(Duration::from_secs(5));
    assert_eq!(peer.read(), b"");
}

#[test]
fn a_client_leaves_it_to_the_server_to_end_the_stream() {
    let (mut world, peer, answer) = outgoing();
    peer.write(&[answer, plain(0x88, &close_frame(1000, ""))].concat());
    world.run();
    assert_eq!(world.journal(), ["made", "close 1000: closed with 1000 (normal closure)"]);
    assert_eq!(peer.read().len(), 8, "a masked close frame");
    assert!(!peer.is_ended());
    peer.end();
    world.run();
    assert!(peer.is_dropped());

    let (mut world, peer, answer) = outgoing();
    peer.write(&[answer, plain(0x88, &close_frame(1000, ""))].concat());
    world.pass(Duration::from_secs(6));
    assert!(peer.is_dropped(), "a server that does not end the stream is not waited for for ever");
}

#[test]
fn a_net_that_shares_no_addresses_says_so() {
    let reactor = Reactor::with_net(Probe::default(), SimNet::new(1));
    let error = reactor.listen_shared(ADDRESS).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}
