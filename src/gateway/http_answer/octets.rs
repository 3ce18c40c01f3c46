//! An answer in HTTP/1.1 (RFC 9112), octet for octet.

use std::cell::RefCell;
use std::time::{Duration, UNIX_EPOCH};

use super::HttpAnswer;
use crate::verify::clock::{SecondText, since_epoch};

/// What a connection does after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It takes the next request.
    Kept,
    /// It ends.
    Closed,
}

/// Whether an answer's body is sent: that to HEAD has none (RFC 9110 §9.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// It is.
    Sent,
    /// It is only told how long it would be.
    Withheld,
}

impl HttpAnswer<'_> {
    /// Writes the answer behind what a buffer holds.
    pub fn write_to(&self, buffer: &mut Vec<u8>, content: Content, connection: Connection) {
        buffer.extend_from_slice(b"HTTP/1.1 ");
        buffer.extend_from_slice(self.status.as_str().as_bytes());
        buffer.push(b' ');
        let reason = self.status.canonical_reason().unwrap_or_default();
        buffer.extend_from_slice(reason.as_bytes());
        for (name, value) in &self.fields {
            field(buffer, name.as_str(), value);
        }
        if connection == Connection::Closed {
            field(buffer, "connection", b"close");
        }
        let mut length = itoa::Buffer::new();
        let length = length.format(self.body.len());
        field(buffer, "content-length", length.as_bytes());
        // An origin server with a clock says when it answered (RFC 9110 §6.6.1).
        with_date(since_epoch(), |date| field(buffer, "date", date));
        buffer.extend_from_slice(b"\r\n\r\n");
        if content == Content::Sent {
            buffer.extend_from_slice(&self.body);
        }
    }
}

/// Ends the line before, and begins one.
fn field(buffer: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [b"\r\n", name.as_bytes(), b": ", value] {
        buffer.extend_from_slice(part);
    }
}

/// Gives the date of a time since 1970.
fn with_date(since: Duration, write: impl FnOnce(&[u8])) {
    thread_local! {
        static DATE: RefCell<SecondText> = const { RefCell::new(SecondText::new()) };
    }
    let date = || httpdate::fmt_http_date(UNIX_EPOCH + since);
    DATE.with_borrow_mut(|text| write(text.of(since.as_secs(), date).as_bytes()));
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn written(answer: &HttpAnswer<'_>, content: Content, connection: Connection) -> String {
        let mut buffer = b"before".to_vec();
        answer.write_to(&mut buffer, content, connection);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn an_answer_is_framed_by_its_length() {
        let mut answer = HttpAnswer::bare(StatusCode::FORBIDDEN);
        answer.body = "{}".into();
        let sent = written(&answer, Content::Sent, Connection::Kept);
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        let (head, date) = head.rsplit_once("\r\ndate: ").unwrap();
        assert_eq!(
            head,
            "beforeHTTP/1.1 403 Forbidden\r\ncache-control: no-store\r\ncontent-length: 2"
        );
        assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
        assert_eq!(body, "{}");

        let withheld = written(&answer, Content::Withheld, Connection::Closed);
        assert!(withheld.contains("\r\nconnection: close\r\ncontent-length: 2\r\n"));
        assert!(withheld.ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_date_is_that_of_the_second() {
        let date = |seconds| {
            let mut said = Vec::new();
            with_date(Duration::from_secs(seconds), |date| {
                said.extend_from_slice(date)
            });
            String::from_utf8(said).unwrap()
        };
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(784_111_778), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
