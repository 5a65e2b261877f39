//! The opening handshake of both roles: the cuts do not matter, and what comes of it is consistent.

use tautline::Limits;
use tautline::handshake::{
    Accept, AnswerError, ClientHandshake, ClientRequest, Opening, Origins, Policy, ServerHandshake,
    Url,
};

use super::cuts;

/// The nonce of the client, so that a seed can have the accept value that belongs to it.
pub const NONCE: [u8; 16] = *b"the sample nonce";

/// Small limits, or the default ones.
fn limits(choices: u8) -> Limits {
    let mut limits = Limits::default();
    if choices & 1 != 0 {
        limits.head_bytes_max = 400;
        limits.request_line_bytes_max = 40;
        limits.field_line_bytes_max = 80;
        limits.fields_max = 8;
        limits.list_members_max = 2;
    }
    limits
}

/// How much of `bytes` is there each time that more has come: whole at once, byte by byte, or cut anywhere.
fn growths(seed: u8, bytes: usize) -> [Vec<usize>; 3] {
    let mut cut = cuts(seed, bytes);
    cut.push(bytes);
    [vec![bytes], (0..=bytes).collect(), cut]
}

/// A byte of choices, a byte that the cuts come from, then the bytes of a request: however they are cut, the same
/// request is found, or refused for the same reason.
pub fn server_head(data: &[u8]) {
    let Some((&[choices, seed], bytes)) = data.split_first_chunk() else { return };
    let limits = limits(choices);
    let origins = if choices & 2 == 0 { Origins::SameHost } else { Origins::Any };
    let policy = Policy { limits: &limits, origins: &origins, secure: choices & 4 != 0 };
    let [whole, single, cut] = growths(seed, bytes.len()).map(|growth| {
        let mut handshake = ServerHandshake::new();
        growth.into_iter().find_map(|there| describe(&mut handshake, &bytes[..there], &policy))
    });
    assert_eq!(single, whole, "byte by byte, and whole");
    assert_eq!(cut, whole, "cut anywhere, and whole");
}

/// What came of a head, if something did: what it is, and how it is answered.
fn describe(
    handshake: &mut ServerHandshake,
    there: &[u8],
    policy: &Policy<'_>,
) -> Option<(String, Vec<u8>)> {
    let mut out = Vec::new();
    let what = match handshake.receive(there, policy) {
        Ok(None) => return None,
        Ok(Some((head_bytes, opening))) => {
            let (head, _) = there.split_at(head_bytes);
            assert!(head.ends_with(b"\n"), "a head ends with its empty line");
            match opening {
                Opening::Upgrade(request) => {
                    let protocols: Vec<_> = request.protocols().collect();
                    assert_eq!(request.method(), "GET");
                    assert!(protocols.iter().all(|it| !it.is_empty()));
                    let agreed =
                        request.accept(&Accept::new(), &mut out).expect("nothing was added");
                    assert!(out.starts_with(b"HTTP/1.1 101 "));
                    assert_eq!(agreed.subprotocol, None);
                    let extensions = request.extensions().count();
                    format!("{head_bytes}: {request:?}, {protocols:?}, {extensions} extensions")
                }
                Opening::Plain(request) => format!("{head_bytes}: {request:?}"),
            }
        }
        Err(refusal) => {
            let response = refusal.response();
            assert!((400..600).contains(&response.status().get()), "{refusal:?}");
            response.write(false, &mut out);
            assert!(out.starts_with(b"HTTP/1.1 "));
            format!("{refusal:?}")
        }
    };
    Some((what, out))
}

/// A byte of choices, a byte that the cuts come from, then the bytes of an answer: however they are cut, the same is
/// agreed on, or refused for the same reason.
pub fn client_head(data: &[u8]) {
    let Some((&[choices, seed], bytes)) = data.split_first_chunk() else { return };
    let limits = limits(choices);
    let url: Url = "ws://server.example.com/chat".parse().expect("a legal URL");
    let mut request = ClientRequest::new(url);
    if choices & 2 != 0 {
        request =
            request.subprotocol("chat").and_then(|it| it.subprotocol("chat.v2")).expect("tokens");
    }
    let fresh = request.write(NONCE, &mut Vec::new());
    let [whole, single, cut] = growths(seed, bytes.len()).map(|growth| {
        let mut handshake = fresh.clone();
        growth.into_iter().find_map(|there| answer(&mut handshake, &bytes[..there], &limits))
    });
    assert_eq!(single, whole, "byte by byte, and whole");
    assert_eq!(cut, whole, "cut anywhere, and whole");
}

/// What came of an answer, if something did.
fn answer(
    handshake: &mut ClientHandshake,
    there: &[u8],
    limits: &Limits,
) -> Option<Result<(usize, Option<String>), AnswerError>> {
    match handshake.receive(there, limits) {
        Ok(None) => None,
        Ok(Some((head_bytes, agreed))) => {
            assert!(there[..head_bytes].ends_with(b"\n"), "a head ends with its empty line");
            let subprotocol = agreed.subprotocol.map(|it| it.into_owned());
            assert!(matches!(subprotocol.as_deref(), None | Some("chat" | "chat.v2")));
            Some(Ok((head_bytes, subprotocol)))
        }
        Err(error) => {
            assert_eq!(
                handshake.receive(there, limits).err().as_ref(),
                Some(&error),
                "the same error again"
            );
            Some(Err(error))
        }
    }
}
