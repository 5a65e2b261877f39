//! Bodies of requests that ask for no upgrade: collected, limited, counted, and in time.

use super::*;

fn post(path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: example\r\n{fields}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn status(answer: &[u8]) -> String {
    let answer = String::from_utf8_lossy(answer);
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_body_is_whole_however_it_was_cut() {
    let bodies: [&[u8]; 3] = [b"", b"x", b"hello,\r\n\r\nPOST \x00\xff"];
    for body in bodies {
        let request = post("/echo", "", body);
        for cut in 0..=request.len() {
            let mut world = World::new(Limits::default());
            let peer = world.net.connect(ADDRESS);
            peer.write(&request[..cut]);
            world.run_some(3);
            assert!(cut == request.len() || peer.read().is_empty(), "cut at {cut}");
            peer.write(&request[cut..]);
            world.run_some(3);
            assert!(peer.read().ends_with(&[b"\r\n\r\n", body].concat()), "cut at {cut}");
            assert!(peer.is_ended());
            assert_eq!(world.journal(), ["request POST /echo"]);
            assert_eq!(world.reactor.hub().held_bytes(), 0);
        }
    }
    let body: Vec<u8> = (0..4000).map(|n| (n % 251) as u8).collect();
    let mut world = World::new(Limits::default());
    let peer = world.net.connect(ADDRESS);
    for byte in post("/echo", "", &body) {
        peer.write(&[byte]);
        world.run_some(1);
    }
    world.run();
    assert!(peer.read().ends_with(&body));
    assert_eq!(world.reactor.hub().held_bytes(), 0);
}

#[test]
fn what_is_behind_a_body_is_no_part_of_it_and_no_second_request() {
    let mut world = World::new(Limits::default());
    let peer = world.net.connect(ADDRESS);
    peer.write(&[post("/echo", "", b"abc"), post("/echo", "", b"def")].concat());
    world.run();
    assert!(peer.read().ends_with(b"\r\n\r\nabc"));
    assert_eq!(world.journal(), ["request POST /echo"]);
}

#[test]
fn a_body_over_the_limit_is_refused_at_its_head_and_one_at_the_limit_is_not() {
    let mut limits = Limits::default();
    limits.request_body_bytes_max = 1000;
    for (bytes, expected) in [(1000, "200"), (1001, "413"), (usize::MAX, "413")] {
        let mut world = World::new(limits.clone());
        let peer = world.net.connect(ADDRESS);
        let head = "POST /echo HTTP/1.1\r\nHost: example\r\nExpect: 100-continue\r\n";
        peer.write(format!("{head}Content-Length: {bytes}\r\n\r\n").as_bytes());
        world.run();
        if expected == "200" {
            assert_eq!(peer.read(), b"HTTP/1.1 100 Continue\r\n\r\n");
            peer.write(&[b'x'; 1000]);
            world.run();
        }
        assert_eq!(status(&peer.read()), expected);
        assert!(peer.is_ended());
        assert_eq!(world.reactor.hub().held_bytes(), 0);
        assert_eq!(world.journal().len(), usize::from(expected == "200"));
        let refused = world.reactor.hub().counters().refused.malformed;
        assert_eq!(refused, u64::from(expected == "413"));
    }
}

#[test]
fn without_a_limit_of_its_own_a_length_that_nobody_has_overflows_nothing() {
    let mut limits = Limits::default();
    limits.request_body_bytes_max = usize::MAX;
    let mut world = World::new(limits);
    let peer = world.net.connect(ADDRESS);
    let length = usize::MAX;
    let head = format!("POST / HTTP/1.1\r\nHost: example\r\nContent-Length: {length}\r\n\r\nabc");
    peer.write(head.as_bytes());
    world.run();
    assert_eq!(peer.read(), b"");
    assert!(world.reactor.hub().held_bytes() < 1000);
}

/// RFC 9110 section 10.1.1.
#[test]
fn who_expects_it_is_told_once_to_go_on_where_a_body_is_still_to_come() {
    let expect = "Expect: 100-continue\r\n";
    let request = post("/echo", expect, b"abcd");
    let head = request.len() - 4;
    for (cuts, told) in [
        (vec![head], true),
        (vec![5, head, head + 1, head + 3], true),
        (vec![head + 1], false),
        (vec![], false),
    ] {
        let mut world = World::new(Limits::default());
        let peer = world.net.connect(ADDRESS);
        let mut got = Vec::new();
        let ends = cuts.iter().copied().chain([request.len()]);
        for (start, end) in [0].into_iter().chain(cuts.iter().copied()).zip(ends) {
            peer.write(&request[start..end]);
            world.run_some(3);
            got.extend(peer.read());
        }
        let expected: &[u8] =
            if told { b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 " } else { b"HTTP/1.1 200 " };
        assert!(got.starts_with(expected), "{cuts:?}: {}", String::from_utf8_lossy(&got));
        assert_eq!(
            got.windows(9).filter(|it| it.starts_with(b"HTTP/1.1 ")).count(),
            1 + usize::from(told)
        );
    }
    let mut world = World::new(Limits::default());
    let peer = world.net.connect(ADDRESS);
    peer.write(&post("/echo", expect, b""));
    world.run();
    assert_eq!(status(&peer.read()), "200", "no body is to come");
}

#[test]
fn a_body_that_does_not_come_in_time_is_408_and_holds_nothing_any_more() {
    let mut world = World::new(Limits::default());
    let peer = world.net.connect(ADDRESS);
    let request = post("/echo", "", &[b'x'; 100]);
    peer.write(&request[..request.len() - 100]);
    for _ in 0..9 {
        world.pass(Duration::from_secs(1));
        peer.write(b"x");
        assert_eq!(peer.read(), b"");
    }
    assert!(world.reactor.hub().held_bytes() > 60);
    assert_eq!(world.reactor.hub().handshakes(), 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(status(&peer.read()), "408");
    assert_eq!(world.reactor.hub().held_bytes(), 0);
    assert_eq!(world.reactor.hub().counters().refused.timeouts, 1);
    assert!(world.journal().is_empty());
}

#[test]
fn a_client_that_leaves_in_its_body_leaves_nothing_behind() {
    for reset in [true, false] {
        let mut world = World::new(Limits::default());
        let peer = world.net.connect(ADDRESS);
        let request = post("/echo", "", &[b'x'; 100]);
        peer.write(&request[..request.len() - 1]);
        world.run();
        if reset {
            peer.reset()
        } else {
            peer.end()
        }
        world.run();
        assert!(peer.is_dropped() && world.journal().is_empty());
        let hub = world.reactor.hub();
        assert_eq!((hub.held_bytes(), hub.connections(), hub.handshakes()), (0, 0, 0));
    }
}

#[test]
fn bodies_that_hold_too_much_together_give_way() {
    let mut limits = Limits::default();
    limits.held_bytes_max = 100_000;
    let mut world = World::new(limits);
    let request = post("/echo", "", &[b'x'; 60_000]);
    let peers: Vec<_> = (0..3).map(|_| world.net.connect(ADDRESS)).collect();
    for peer in &peers {
        peer.write(&request[..40_000]);
        world.run();
    }
    assert_eq!(peers.iter().filter(|it| it.is_dropped()).count(), 1);
    assert_eq!(world.reactor.hub().counters().refused.memory, 1);
    for peer in peers.iter().filter(|it| !it.is_dropped()) {
        peer.write(&request[40_000..]);
        world.run();
        assert_eq!(status(&peer.read()), "200");
    }
    assert_eq!(world.reactor.hub().held_bytes(), 0);
}

#[test]
fn an_answer_is_written_for_as_long_as_it_is_read() {
    for full_until in [usize::MAX, 600] {
        let mut world = World::new(Limits::default());
        (world.net.sim().capacity, world.net.sim().full_until) = (1000, full_until);
        let body = vec![b'a'; 20_000];
        let peer = world.net.connect(ADDRESS);
        peer.write(&post("/echo", "", &body));
        let mut got = Vec::new();
        for _ in 0..200 {
            world.pass(Duration::from_secs(4));
            got.extend(peer.read_up_to(200));
        }
        assert!(got.ends_with(&body), "{} bytes", got.len());
        assert!(peer.is_ended());
        assert_eq!(world.reactor.hub().held_bytes(), 0);
    }
}

#[test]
fn an_answer_that_is_not_read_is_not_kept() {
    let mut world = World::new(Limits::default());
    world.net.sim().capacity = 1000;
    let peer = world.net.connect(ADDRESS);
    peer.write(&post("/echo", "", &[b'a'; 20_000]));
    world.pass(Duration::from_secs(4));
    assert!(world.reactor.hub().held_bytes() > 18_000 && !peer.is_dropped());
    world.pass(Duration::from_secs(2));
    assert!(peer.is_dropped());
    assert_eq!((world.reactor.hub().held_bytes(), world.reactor.hub().connections()), (0, 0));
}
