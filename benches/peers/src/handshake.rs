//! The opening handshake of a client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Result;

/// The nonce of RFC 6455, and what is to be answered.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HEAD_BYTES_MAX: usize = 4096;

/// Opens a connection with an offer of extensions, and gives what of it was accepted.
pub fn open(address: SocketAddr, offer: Option<&str>) -> Result<(TcpStream, Option<String>)> {
    let mut stream = connect(address)?;
    let extensions = upgrade(&mut stream, address, offer)?;
    Ok((stream, extensions))
}

/// Makes a WebSocket of a connection.
pub fn upgrade(
    stream: &mut (impl Read + Write),
    address: SocketAddr,
    offer: Option<&str>,
) -> Result<Option<String>> {
    let offer = offer.map_or(String::new(), |it| format!("Sec-WebSocket-Extensions: {it}\r\n"));
    stream.write_all(request(address, &offer).as_bytes())?;
    let head = answer(stream)?;
    Ok(field(&head, "Sec-WebSocket-Extensions").map(str::to_owned))
}

/// Connects. The end of such a connection is a reset, so that its port is free at once.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// A request with these fields besides those that it must have.
pub fn request(address: SocketAddr, fields: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// Reads the answer, which has to be the right one. Gives its head.
pub fn answer(stream: &mut impl Read) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 512];
        let count = stream.read(&mut bytes)?;
        head.extend_from_slice(&bytes[..count]);
        if count == 0 || head.len() > HEAD_BYTES_MAX {
            return Err("the handshake was not answered".into());
        }
    }
    let head = String::from_utf8(head)?;
    if !head.starts_with("HTTP/1.1 101 ") || field(&head, "Sec-WebSocket-Accept") != Some(ACCEPT) {
        return Err(format!("refused: {}", head.lines().next().unwrap_or_default()).into());
    }
    Ok(head)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}
