//! The upstream: answers 200 to everything and keeps what reached it.
//!
//! It is written by the byte, because an HTTP library would refuse or repair some of the targets
//! whose arrival is the very thing to find out.

use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::raw::{Framing, Message};

/// An upstream on a loopback port of its own; it listens until the test process ends.
#[derive(Debug)]
pub(crate) struct Echo {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Echo {
    /// Starts listening.
    pub(crate) fn start() -> Self {
        Self::answering(|_| "upstream\n".to_owned())
    }

    /// Starts listening; the answers show the requests' header fields.
    pub(crate) fn showing() -> Self {
        Self::answering(|request| {
            let fields = request.headers.iter();
            fields
                .map(|(name, value)| format!("{name}: {value}\n"))
                .collect()
        })
    }

    fn answering(body: fn(&Message) -> String) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback can be listened on");
        let address = listener.local_addr().expect("a listener has an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let record = Arc::clone(&record);
                thread::spawn(move || serve(&stream, &record, body));
            }
        });
        Self { address, seen }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests that have reached it since the last call.
    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers the requests of one connection until it ends or is no HTTP/1.1.
fn serve(stream: &TcpStream, record: &Mutex<Vec<Message>>, body: fn(&Message) -> String) {
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = Message::read(&mut reader, Framing::Request) {
        let head = request.start.starts_with("HEAD ");
        let body = body(&request);
        record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        if !head {
            answer.extend_from_slice(body.as_bytes());
        }
        if (&mut &*stream).write_all(&answer).is_err() {
            return;
        }
    }
}
