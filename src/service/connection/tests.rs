//! Slow, silent, idle and drained connections, over a pipe.

use axum::Router;
use axum::routing::{any, get};
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Limits that no test reaches unless it shortens one.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// A limit that a test waits for.
pub(super) const SHORT: Duration = Duration::from_millis(50);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

pub(super) fn limits() -> ConnectionLimits {
    ConnectionLimits {
        header_read_timeout: LONG,
        idle_timeout: LONG,
        max_age: LONG,
        request_timeout: LONG,
        max_header_bytes: 64 * 1024,
    }
}

/// The peer's end of a connection, how it ended, and the way to drain it.
pub(super) struct Peer {
    pub(super) io: DuplexStream,
    pub(super) ended: JoinHandle<Ended>,
    pub(super) drain: CancellationToken,
}

pub(super) fn connect(
    protocol: Protocol,
    limits: ConnectionLimits,
    service: impl Into<Service>,
) -> Peer {
    let (io, ours) = duplex(64 * 1024);
    let drain = CancellationToken::new();
    let token = drain.clone();
    let driver = Driver::new(protocol, limits, Routes::same(service));
    let ended = tokio::spawn(async move {
        driver
            .serve(
                ours,
                Instant::now(),
                crate::service::tls::Peer::Listed,
                &token,
            )
            .await
    });
    Peer { io, ended, drain }
}

fn hello() -> Router {
    Router::new().route("/", any(|| async { "hello" }))
}

impl Peer {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// Reads until `end` has been read.
    pub(super) async fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(end) {
            let mut buffer = [0; 1024];
            let count = self.io.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "closed after {}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(read).unwrap()
    }

    /// Reads to the end.
    pub(super) async fn rest(&mut self) -> String {
        let mut read = Vec::new();
        self.io.read_to_end(&mut read).await.unwrap();
        String::from_utf8_lossy(&read).into_owned()
    }
}

#[tokio::test]
async fn a_request_is_answered_and_the_connection_kept() {
    let mut peer = connect(Protocol::Http, limits(), hello());
    for _ in 0..3 {
        peer.send(REQUEST).await;
        let answer = peer.read_until("hello").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    drop(peer.io);
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
}

#[tokio::test]
async fn peers_that_never_finish_their_first_head_are_closed() {
    let started: [&[u8]; 5] = [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nhost: a\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        // The preface and empty SETTINGS: a good beginning, and nothing after it.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ];
    for protocol in [Protocol::Http, Protocol::Http2] {
        for bytes in started {
            let limits = ConnectionLimits {
                header_read_timeout: SHORT,
                ..limits()
            };
            let mut peer = connect(protocol, limits, hello());
            peer.send(bytes).await;
            peer.rest().await;
            let ended = peer.ended.await.unwrap();
            // A broken HTTP/2 preface need not wait for the clock.
            assert!(
                ended == Ended::TimedOut || protocol == Protocol::Http2,
                "{protocol:?} {bytes:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_second_head_that_drips_is_closed() {
    let limits = ConnectionLimits {
        header_read_timeout: SHORT,
        ..limits()
    };
    let mut peer = connect(Protocol::Http, limits, hello());
    peer.send(REQUEST).await;
    peer.read_until("hello").await;
    peer.send(b"GET / HT").await;
    peer.rest().await;
    assert_eq!(peer.ended.await.unwrap(), Ended::TimedOut);
}

#[tokio::test]
async fn a_kept_connection_may_rest_longer_than_a_head_may_take() {
    let limits = ConnectionLimits {
        header_read_timeout: SHORT,
        idle_timeout: 6 * SHORT,
        ..limits()
    };
    let mut peer = connect(Protocol::Http, limits, hello());
    peer.send(REQUEST).await;
    peer.read_until("hello").await;
    let rested = Instant::now();
    assert_eq!(peer.rest().await, "");
    assert!(rested.elapsed() >= 5 * SHORT, "{:?}", rested.elapsed());
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let limits = ConnectionLimits {
        request_timeout: SHORT,
        ..limits()
    };
    let never = Router::new().route("/", get(std::future::pending::<()>));
    let mut peer = connect(Protocol::Http, limits, never);
    peer.send(REQUEST).await;
    let answer = peer.read_until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn heads_beyond_the_limit_are_refused() {
    let limits = ConnectionLimits {
        max_header_bytes: 8192,
        ..limits()
    };
    let mut peer = connect(Protocol::Http, limits, hello());
    let long = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(9000)
    );
    peer.send(long.as_bytes()).await;
    let answer = peer.rest().await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn the_grpc_listener_speaks_no_http_1() {
    let mut peer = connect(Protocol::Http2, limits(), hello());
    peer.send(REQUEST).await;
    let answer = peer.rest().await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    assert!(!answer.contains("hello"), "{answer}");
}

/// A router whose answer waits for a notice, and the notices: begun, go on.
fn waiting() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (begun, go_on) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
    let router = Router::new().route(
        "/",
        get(async move || {
            tell.notify_one();
            wait.notified().await;
            "hello"
        }),
    );
    (router, begun, go_on)
}

#[tokio::test]
async fn draining_finishes_what_is_under_way() {
    let (router, begun, go_on) = waiting();
    let mut peer = connect(Protocol::Http, limits(), router);
    peer.send(REQUEST).await;
    begun.notified().await;
    peer.drain.cancel();
    tokio::task::yield_now().await;
    go_on.notify_one();
    let answer = peer.rest().await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
}

#[tokio::test]
async fn draining_closes_what_rests() {
    let mut peer = connect(Protocol::Http, limits(), hello());
    peer.send(REQUEST).await;
    peer.read_until("hello").await;
    peer.drain.cancel();
    assert_eq!(peer.rest().await, "");
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
}

#[tokio::test]
async fn who_connected_just_before_the_drain_still_gets_one_answer() {
    let (io, ours) = duplex(64 * 1024);
    let drain = CancellationToken::new();
    drain.cancel();
    let token = drain.clone();
    let driver = Driver::new(Protocol::Http, limits(), Routes::same(hello()));
    let ended = tokio::spawn(async move {
        driver
            .serve(
                ours,
                Instant::now(),
                crate::service::tls::Peer::Listed,
                &token,
            )
            .await
    });
    let mut peer = Peer { io, ended, drain };
    tokio::task::yield_now().await;
    peer.send(REQUEST).await;
    let answer = peer.rest().await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
}

#[tokio::test]
async fn draining_does_not_wait_for_whoever_says_nothing() {
    let mut peer = connect(Protocol::Http, limits(), hello());
    peer.drain.cancel();
    // Far sooner than the minute that a head may take here.
    let ended = timeout(LAST_CALL * 5, peer.rest()).await;
    assert_eq!(ended.unwrap(), "");
}

#[tokio::test]
async fn an_old_connection_is_told_with_an_answer_that_it_is_the_last() {
    let limits = ConnectionLimits {
        max_age: SHORT,
        ..limits()
    };
    let mut peer = connect(Protocol::Http, limits, hello());
    let since = Instant::now();
    let mut answers = 0;
    loop {
        peer.send(REQUEST).await;
        let answer = peer.read_until("hello").await;
        answers += 1;
        if answer.contains("connection: close\r\n") {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(answers > 1);
    assert!(since.elapsed() >= SHORT * 9 / 10);
    assert_eq!(peer.rest().await, "");
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
}

mod http2 {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty};
    use hyper::client::conn::http2;

    use super::*;

    type Sender = http2::SendRequest<Empty<Bytes>>;

    async fn client(peer: DuplexStream) -> (Sender, JoinHandle<hyper::Result<()>>) {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(peer))
            .await
            .unwrap();
        (sender, tokio::spawn(connection))
    }

    async fn ask(sender: &mut Sender) -> Result<String, hyper::Error> {
        let request = Request::get("http://a/").body(Empty::new()).unwrap();
        let answer = sender.send_request(request).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn both_listeners_speak_it_with_prior_knowledge() {
        for protocol in [Protocol::Http, Protocol::Http2] {
            let peer = connect(protocol, limits(), hello());
            let (mut sender, _connection) = client(peer.io).await;
            assert_eq!(ask(&mut sender).await.unwrap(), "hello");
            assert_eq!(ask(&mut sender).await.unwrap(), "hello");
        }
    }

    /// Answers that are made at once, one that has to wait, and together far more than is held back.
    #[tokio::test]
    async fn streams_of_one_connection_do_not_wait_for_one_another() {
        let (router, begun, go_on) = waiting();
        let long = "x".repeat(3 * 16 * 1024);
        let router = router.route("/long", any(async move || long.clone()));
        // A pipe that takes a little at a time.
        let (io, ours) = duplex(1024);
        let drain = CancellationToken::new();
        let driver = Driver::new(Protocol::Http2, limits(), Routes::same(router));
        tokio::spawn(async move {
            let now = Instant::now();
            driver
                .serve(ours, now, crate::service::tls::Peer::Listed, &drain)
                .await
        });
        let (sender, _connection) = client(io).await;
        let mut slow = sender.clone();
        let slow = tokio::spawn(async move { ask(&mut slow).await });
        begun.notified().await;
        let quick: Vec<_> = (0..20)
            .map(|_| {
                let mut sender = sender.clone();
                let request = Request::get("http://a/long").body(Empty::new()).unwrap();
                tokio::spawn(async move {
                    let answer = sender.send_request(request).await.unwrap();
                    answer.into_body().collect().await.unwrap().to_bytes().len()
                })
            })
            .collect();
        for answer in quick {
            assert_eq!(answer.await.unwrap(), 3 * 16 * 1024);
        }
        assert!(!slow.is_finished());
        go_on.notify_one();
        assert_eq!(slow.await.unwrap().unwrap(), "hello");
    }

    #[tokio::test]
    async fn draining_says_goaway_and_finishes_the_streams() {
        let (router, begun, go_on) = waiting();
        let peer = connect(Protocol::Http2, limits(), router);
        let (mut sender, connection) = client(peer.io).await;
        let mut other = sender.clone();
        let under_way = tokio::spawn(async move { ask(&mut other).await });
        begun.notified().await;
        peer.drain.cancel();
        tokio::task::yield_now().await;
        go_on.notify_one();
        assert_eq!(under_way.await.unwrap().unwrap(), "hello");
        connection.await.unwrap().unwrap();
        assert!(ask(&mut sender).await.is_err());
        assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
    }

    const HEADERS: u8 = 1;
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;

    /// A frame: its type, flags, stream and payload (RFC 9113 §4.1).
    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// `GET http://a/` as a whole request.
    fn request(stream: u32) -> Vec<u8> {
        frame(HEADERS, 0x5, stream, b"\x82\x86\x84\x41\x01a")
    }

    impl Peer {
        /// The next frame of a type.
        async fn frame(&mut self, wanted: u8) -> Vec<u8> {
            loop {
                let mut head = [0; 9];
                self.io.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; usize::try_from(length).unwrap()];
                self.io.read_exact(&mut payload).await.unwrap();
                if head[3] == wanted {
                    return payload;
                }
            }
        }
    }

    /// RFC 9113 §6.8: a first GOAWAY that allows every stream, so that those on their way still count,
    /// and the real one a round trip later.
    #[tokio::test]
    async fn draining_says_goaway_in_two_steps_and_answers_what_crossed_it() {
        let (router, begun, go_on) = waiting();
        let mut peer = connect(Protocol::Http2, limits(), router);
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        peer.send(&frame(4, 0, 0, b"")).await;
        peer.send(&request(1)).await;
        begun.notified().await;
        peer.drain.cancel();
        assert_eq!(
            peer.frame(GOAWAY).await[..8],
            [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]
        );
        let ping = peer.frame(PING).await;
        peer.send(&request(3)).await;
        begun.notified().await;
        peer.send(&frame(PING, 1, 0, &ping)).await;
        assert_eq!(peer.frame(GOAWAY).await[..8], [0, 0, 0, 3, 0, 0, 0, 0]);
        for _ in 0..2 {
            go_on.notify_one();
            peer.frame(HEADERS).await;
            assert_eq!(peer.frame(0).await, b"hello");
        }
        peer.rest().await;
        assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
    }

    /// PING, SETTINGS and PRIORITY, as many as no gateway sends, after a request and its answer.
    #[tokio::test]
    async fn a_flood_ends_with_goaway() {
        const CALM: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 11];
        for flood in [
            frame(PING, 0, 0, b"12345678"),
            frame(4, 0, 0, b""),
            frame(2, 0, 1, b"\0\0\0\0\x01"),
        ] {
            let mut peer = connect(Protocol::Http2, limits(), hello());
            peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
            peer.send(&frame(4, 0, 0, b"")).await;
            peer.send(&request(1)).await;
            assert_eq!(peer.frame(0).await, b"hello");
            let all = flood.repeat(20_000);
            let (mut reading, mut writing) = tokio::io::split(peer.io);
            let mut read = Vec::new();
            // It is read no further: the rest of the flood goes nowhere.
            let (_to_the_end, flooding) =
                tokio::join!(reading.read_to_end(&mut read), writing.write_all(&all));
            assert!(read.ends_with(&frame(GOAWAY, 0, 0, &CALM)), "{flood:?}");
            assert!(flooding.is_err(), "{flood:?}");
            assert_eq!(peer.ended.await.unwrap(), Ended::Flooded);
        }
    }

    #[tokio::test]
    async fn an_old_connection_says_goaway_and_ends_between_requests() {
        let limits = ConnectionLimits {
            max_age: SHORT,
            ..limits()
        };
        let peer = connect(Protocol::Http2, limits, hello());
        let since = Instant::now();
        let (mut sender, connection) = client(peer.io).await;
        assert_eq!(ask(&mut sender).await.unwrap(), "hello");
        connection.await.unwrap().unwrap();
        assert!(since.elapsed() >= SHORT * 9 / 10);
        assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
    }

    #[tokio::test]
    async fn a_connection_that_rests_too_long_is_closed_in_order() {
        let limits = ConnectionLimits {
            idle_timeout: SHORT,
            header_read_timeout: SHORT,
            ..limits()
        };
        let peer = connect(Protocol::Http2, limits, hello());
        let (mut sender, connection) = client(peer.io).await;
        assert_eq!(ask(&mut sender).await.unwrap(), "hello");
        connection.await.unwrap().unwrap();
        assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
    }
}
