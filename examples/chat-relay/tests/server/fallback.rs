//! Where no WebSocket comes through: posts, polls and streams.

use chat_relay::limits::FRAME_BYTES_MAX;

use super::*;

/// What is left of a body after its chunks were taken apart.
fn unchunked(answer: &str) -> String {
    let (_, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    let mut body = String::new();
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&more[..size]);
        rest = more[size..].trim_start_matches("\r\n");
    }
    body
}

fn lines(body: &str) -> Vec<Value> {
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Relay {
    fn post(&self, token: Option<&Value>, body: &str) -> Vec<Value> {
        let token = token.and_then(Value::as_str);
        let authorization = token.map(|it| format!("Authorization: Bearer {it}\r\n"));
        let answer = self.http(&format!(
            "POST /post HTTP/1.1\r\nHost: {}\r\n{}Content-Length: {}\r\n\r\n{body}",
            self.address,
            authorization.unwrap_or_default(),
            body.len()
        ));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let chunked = answer.contains("chunked");
        lines(&if chunked {
            unchunked(&answer)
        } else {
            answer.split_once("\r\n\r\n").unwrap().1.into()
        })
    }

    fn poll(&self, token: &Value, at: &Value, wait_s: u32) -> Vec<Value> {
        let answer = self.http(&format!(
            "GET /poll?wait_s={wait_s} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Last-Event-ID: {at}\r\n\r\n",
            self.address,
            token.as_str().unwrap(),
        ));
        lines(&unchunked(&answer))
    }
}

#[test]
fn without_a_websocket_one_posts_and_polls() {
    let relay = Relay::start(RelayLimits::default());
    let mut alice = relay.person_in("alice", "tea");
    let hello = r#"{"id":1,"hello":{"v":1,"name":"bob"}}"#;
    let mut answers =
        relay.post(None, &format!("{hello}\n{}", r#"{"id":2,"join":{"room":"tea"}}"#));
    assert_eq!(answers.len(), 2, "{answers:?}");
    let token = answers[0]["ok"]["token"].take();
    let epoch = answers[1]["ok"]["epoch"].take();
    assert_eq!(alice.next_of("member")["user"], "bob");

    let send = json!({"id": 3, "send": {"room": "tea", "cid": "k", "body": {"text": "hi"}}});
    let said = relay.post(Some(&token), &format!("{send}\nnonsense\n{send}\n"));
    let codes: Vec<_> = said.iter().map(|it| it["err"]["code"].clone()).collect();
    assert_eq!(codes, [json!("json"), Value::Null, Value::Null], "{said:?}");
    assert_eq!((&said[1]["ok"]["seq"], &said[2]["ok"]["dup"]), (&json!(1), &json!(true)));
    assert_eq!(alice.next_of("msg")["from"], "bob");

    let missed = relay.poll(&token, &json!({"tea": [epoch, 0]}), 25);
    assert_eq!(missed[0]["ok"]["rooms"]["tea"]["head"], 1);
    assert_eq!(missed[1]["msg"]["body"]["text"], "hi");
    let nothing = relay.poll(&token, &json!({"tea": [epoch, 1]}), 1);
    assert_eq!(nothing.len(), 2, "hello and live: {nothing:?}");
    let bob = std::thread::scope(|scope| {
        let polling = scope.spawn(|| relay.poll(&token, &json!({"tea": [epoch, 1]}), 25));
        alice.say(&json!({"id": 4, "send": {"room": "tea", "cid": "l", "body": {}}}));
        polling.join().unwrap()
    });
    assert_eq!(bob.iter().filter(|it| it.get("msg").is_some()).count(), 1, "{bob:?}");

    assert_eq!(relay.post(Some(&json!("guess")), "{}")[0]["err"]["code"], "token");
    assert_eq!(relay.post(None, "")[0]["err"]["code"], "command");
    let hello = r#"{"hello":{"v":1,"name":"carol"}}"#;
    let answers = relay.post(None, &format!("{hello}\n{}", r#"{"id":2,"ping":{}}"#));
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0]["err"]["code"], "fields", "nobody would have the token");
    relay.person(json!({"name": "carol"}));
    assert_eq!(relay.post(Some(&token), "")[..], [] as [Value; 0]);
    drop(alice);
    relay.stop();
}

#[test]
fn without_a_websocket_one_listens_to_events() {
    let relay = Relay::start(RelayLimits::default());
    let mut alice = relay.person_in("alice", "tea");
    alice.say(&json!({"id": 3, "send": {"room": "tea", "cid": "k1", "body": {}}}));
    alice.next_of("msg");
    let token = relay.person_in("bob", "tea").token;
    let mut stream = TcpStream::connect(relay.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = format!(
        "GET /sse?device=d HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Last-Event-ID: {{\"tea\":[\"\",0]}}\r\n\r\n",
        relay.address,
        token.as_str().unwrap()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut got = String::new();
    let mut read_until = |text: &str| {
        let mut bytes = [0; 4096];
        while !got.contains(text) {
            let n = stream.read(&mut bytes).unwrap();
            assert!(n > 0, "{text} in {got}");
            got.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    };
    read_until("event-stream");
    read_until("data: {\"live\":{\"room\":\"tea\",\"head\":1}}\n\n");
    alice.say(&json!({"id": 4, "send": {"room": "tea", "cid": "k2", "body": {}}}));
    read_until("\"cid\":\"k2\"");
    let newer = relay.person(json!({"token": token, "device": "d"}));
    read_until("event: close\ndata: {\"code\":4501,");
    read_until("0\r\n\r\n");
    assert!(got.contains("data: {\"id\":0,\"ok\":{\"user\":\"bob\""), "{got}");
    drop((alice, newer));
    relay.stop();
}

#[test]
fn other_sites_do_not_post_either() {
    let relay = Relay::start(RelayLimits::default());
    for request in ["POST /post", "GET /sse", "GET /poll"] {
        let answer = relay.http(&format!(
            "{request} HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.example\r\n\r\n",
            relay.address
        ));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    let ready = relay.http("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.ends_with("ready\n"), "{ready}");
    relay.stop();
}

#[test]
fn many_polls_that_end_at_once_take_no_stack() {
    const POLLS: usize = 600;
    let mut limits = RelayLimits::default();
    limits.devices_max = POLLS;
    let setup = Setup { relay: Settings { limits, ..Settings::default() }, ..Setup::default() };
    let small = std::thread::Builder::new().stack_size(512 * 1024);
    let relay = Relay::start_on(small, setup);
    let mut alice = relay.person_in("alice", "tea");
    let bob = relay.person_in("bob", "tea").token;
    let poll = format!(
        "GET /poll HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        relay.address,
        bob.as_str().unwrap()
    );
    let mut polls: Vec<_> = (0..POLLS)
        .map(|_| {
            let mut stream = TcpStream::connect(relay.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(poll.as_bytes()).unwrap();
            let mut got = Vec::new();
            while !got.ends_with(b"}\n\r\n") {
                let mut bytes = [0; 1024];
                let n = stream.read(&mut bytes).unwrap();
                got.extend_from_slice(&bytes[..n]);
            }
            stream
        })
        .collect();
    alice.say(&json!({"id": 2, "send": {"room": "tea", "cid": "k", "body": {}}}));
    for stream in &mut polls {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("\"cid\":\"k\""), "{rest}");
    }
    drop(alice);
    relay.stop();
}

#[test]
fn the_answer_to_a_hello_comes_first_on_a_stream_too() {
    let mut limits = RelayLimits::default();
    limits.away_after = Duration::ZERO;
    let relay = Relay::start(limits);
    let mut bob = relay.person_in("bob", "tea");
    let token = relay.person_in("alice", "tea").token;
    assert_eq!(bob.next_of("presence")["online"], false);
    let host = relay.address;
    let poll = format!(
        "GET /poll?wait_s=1 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\r\n",
        token.as_str().unwrap()
    );
    let lines = lines(&unchunked(&relay.http(&poll)));
    assert_eq!(lines[0]["ok"]["user"], "alice", "{lines:?}");
    assert_eq!(lines.len(), 1, "there was nothing to tell: {lines:?}");
    drop(bob);
    relay.stop();
}

#[test]
fn a_post_ends_when_all_is_answered_that_will_be() {
    let relay = Relay::start(RelayLimits::default());
    let alice = relay.person_in("alice", "tea");
    // It would wait for 25 s, and `http` does for 10.
    let many = "{\"id\":7,\"ping\":{}}\n".repeat(70);
    assert_eq!(relay.post(Some(&alice.token), &many).len(), 65);
    let long = json!({"id": 8, "ping": {}, "x": "x".repeat(17 * 1024)});
    let answers = relay.post(Some(&alice.token), &format!("{long}\n{}", r#"{"id":9,"ping":{}}"#));
    assert_eq!(answers[0]["err"]["code"], "too_long");
    assert_eq!(answers[1]["id"], 9);
    let ping = r#"{"id":9,"ping":{}}"#;
    let full = format!("{ping}{}", "\n".repeat(FRAME_BYTES_MAX - ping.len()));
    assert_eq!(relay.post(Some(&alice.token), &full)[0]["id"], 9, "a body as long as may be");
    drop(alice);
    relay.stop();
}

#[test]
fn every_cursor_fits_into_a_request() {
    let relay = Relay::start(RelayLimits::default());
    let alice = relay.person_in("alice", "tea");
    let cursor =
        |n: usize| format!(r#""{n:03}{}":["0123456789ab",1]"#, "\\ud840\\udc00".repeat(45));
    let at: Vec<_> = (0..256).map(cursor).collect();
    let answer = relay.http(&format!(
        "GET /poll?wait_s=0 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Last-Event-ID: {{{}}}\r\n\r\n",
        relay.address,
        alice.token.as_str().unwrap(),
        at.join(",")
    ));
    let welcome = lines(&unchunked(&answer)).remove(0);
    assert_eq!(welcome["ok"]["refused"].as_object().unwrap().len(), 256);
    drop(alice);
    relay.stop();
}

#[test]
fn a_post_that_is_no_text_is_refused() {
    let relay = Relay::start(RelayLimits::default());
    let mut stream = TcpStream::connect(relay.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut request =
        format!("POST /post HTTP/1.1\r\nHost: {}\r\nContent-Length: 14\r\n\r\n", relay.address);
    request.push_str(r#"{"ping":"abc"}"#);
    let mut request = request.into_bytes();
    let last = request.len() - 3;
    request[last] = 0xff;
    stream.write_all(&request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("UTF-8"), "{answer}");
    relay.stop();
}
