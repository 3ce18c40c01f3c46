//! A name server that knows one name, and an issuer that lives there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;

/// An address of the loopback network that no resolver of the machine uses.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 53);

/// The one name, which is 127.0.0.1.
pub(crate) const NAME: &str = "issuer.test";

/// Answers questions about [`NAME`] at [`SERVER`], port 53, until the test's process ends.
pub(crate) fn serve_names() {
    let socket = UdpSocket::bind((SERVER, 53)).expect("root may answer at port 53");
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let _gone = socket.send_to(&answer(&packet[..length]), from);
        }
    });
}

/// The answer to a question (RFC 1035 §4): one A record, or none for AAAA and for other names.
fn answer(question: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    for label in NAME.split('.') {
        name.push(u8::try_from(label.len()).unwrap());
        name.extend(label.bytes());
    }
    name.push(0);
    let known = question[12..].starts_with(&name);
    let kind = &question[12 + name.len()..][..2];
    let has_address = known && kind == [0, 1];
    let mut answer = question[..2].to_vec();
    // A response, recursion available; no error, or NXDOMAIN.
    answer.extend([0x81, if known { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    answer.extend(&question[12..][..name.len() + 4]);
    if has_address {
        // The name by a pointer to the question; A, IN, five seconds, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    answer
}

/// An issuer with one key, known by its name; its URL.
pub(crate) fn serve_issuer() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        unreachable!("bound to an IPv4 address")
    };
    let url = format!("http://{NAME}:{}", address.port());
    let issuer = url.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 2048];
            let length = stream.read(&mut request).unwrap_or(0);
            let body = if request[..length].starts_with(b"GET /.well-known/") {
                format!(r#"{{"issuer":"{issuer}","jwks_uri":"{issuer}/jwks"}}"#)
            } else {
                // RFC 8037, appendix A.2.
                r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#.to_owned()
            };
            let _gone = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}
