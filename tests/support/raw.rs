//! HTTP/1.1 by the byte: what a test writes is what goes over the wire, however odd.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any gateway waits for Gatefort or for the upstream.
const LIMIT: Duration = Duration::from_secs(20);

/// A start line and header fields, in the order and spelling of the wire, and a body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// The request or status line.
    pub(crate) start: String,
    /// The header fields.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub(crate) body: Vec<u8>,
}

/// Which messages have a body that no header field announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A request: no length, no body.
    Request,
    /// A response: no length, all until the end of the connection.
    Response,
    /// A response to HEAD: no body whatever the length says.
    HeadResponse,
}

impl Message {
    /// The values of every field of this name.
    pub(crate) fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m str> {
        self.headers
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The first value of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The status code of a response.
    pub(crate) fn status(&self) -> u16 {
        self.start
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no status line: {:?}", self.start))
    }

    /// Reads the next message; `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// The connection breaks in the middle of a message, or the message has no HTTP/1.1 form.
    pub(crate) fn read(reader: &mut impl BufRead, framing: Framing) -> io::Result<Option<Self>> {
        let start = line(reader)?;
        if start.is_empty() {
            return Ok(None);
        }
        let mut message = Self {
            start,
            ..Self::default()
        };
        loop {
            let field = line(reader)?;
            if field.is_empty() {
                break;
            }
            let (name, value) = field
                .split_once(':')
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, field.clone()))?;
            message
                .headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
        message.body = message.read_body(reader, framing)?;
        Ok(Some(message))
    }

    fn read_body(&self, reader: &mut impl BufRead, framing: Framing) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if framing == Framing::HeadResponse || matches!(self.start.get(9..12), Some("204" | "304"))
        {
            return Ok(body);
        }
        let chunked = self
            .all("transfer-encoding")
            .any(|coding| coding.eq_ignore_ascii_case("chunked"));
        if chunked {
            loop {
                let size = line(reader)?;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or(""), 16)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                let start = body.len();
                body.resize(start + size, 0);
                reader.read_exact(&mut body[start..])?;
                line(reader)?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match self.header("content-length").map(str::parse) {
            Some(Ok(length)) => {
                body.resize(length, 0);
                reader.read_exact(&mut body)?;
            }
            Some(Err(error)) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            None if framing == Framing::Response => {
                reader.read_to_end(&mut body)?;
            }
            None => {}
        }
        Ok(body)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.start, self.headers)
    }
}

/// Sends bytes on a connection of their own and reads one response; interim responses (1xx) are skipped.
///
/// # Errors
///
/// The connection cannot be made, breaks, or is silent for too long.
pub(crate) fn exchange(to: SocketAddr, request: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(request)?;
    let framing = if request.starts_with(b"HEAD ") {
        Framing::HeadResponse
    } else {
        Framing::Response
    };
    let mut reader = BufReader::new(stream);
    loop {
        let message = Message::read(&mut reader, framing)?
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if message.start.get(9..10) != Some("1") {
            return Ok(message);
        }
    }
}

/// Sends bytes on a connection of their own and reads until the other side ends it.
///
/// # Errors
///
/// The connection cannot be made, breaks, or is silent for too long.
pub(crate) fn conversation(to: SocketAddr, requests: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(requests)?;
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers)?;
    Ok(answers)
}

/// A GET request with these header fields.
pub(crate) fn get(target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", target, "app.test", headers)
}

/// A request without a body, exactly as written.
pub(crate) fn request(method: &str, target: &str, host: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let framed = headers.iter().any(|(name, _)| {
        name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
    });
    if matches!(method, "POST" | "PUT" | "PATCH") && !framed {
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// One line without its end; empty at the end of the connection too. Bytes beyond ASCII are kept as Latin-1.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes)?;
    while matches!(bytes.last(), Some(b'\r' | b'\n')) {
        bytes.pop();
    }
    Ok(bytes.into_iter().map(char::from).collect())
}
