//! The load maker: asks from many lanes at once, in a closed or an open loop, and looks at every answer.
//!
//! A wrong or missing answer ends the program: figures about wrong answers are worth nothing. Every run is
//! bounded, by its count and by [`TIME_LIMIT`].

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::ask::{Ask, Asks, Door, Judged};

/// How long one run may take.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// How many questions one run asks, where there are many: far fewer than would take [`TIME_LIMIT`].
pub(crate) const PART: usize = 250_000;

/// How many HTTP/2 connections: as an Envoy with two workers.
const GRPC_CONNECTIONS: usize = 2;

/// How many questions are under way at once.
pub(crate) const LANES: usize = 16;

/// How many HTTP/1.1 connections stand ready for an open loop, which asks at its times whatever is still unanswered.
const OPEN_LANES: usize = 32;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime starts"));

/// What is asked of whom.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The kind of question.
    pub(crate) door: Door,
    /// Whom.
    pub(crate) port: u16,
    /// The questions, asked in turn and over again.
    pub(crate) asks: Asks,
    /// The first of them.
    pub(crate) first: usize,
    /// How many.
    pub(crate) count: usize,
    /// How the answers are looked at.
    pub(crate) judged: Judged,
    /// How they follow one another.
    pub(crate) pace: Pace,
}

/// How questions follow one another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// The next when an answer is there, on [`LANES`] lanes.
    Closed,
    /// At fixed times, so many in a second. Latency counts from the time when a question was due, so that a
    /// server that stalls is charged for everyone who waits.
    Open(f64),
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Ran {
    /// How long each answer took, in ascending order.
    pub(crate) latencies: Vec<Duration>,
    /// From the first question to the last answer.
    pub(crate) took: Duration,
}

impl Ran {
    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }
}

impl Plan {
    /// Asks, and waits for every answer.
    pub(crate) fn run(&self) -> Ran {
        let begun = Instant::now();
        let mut latencies = match (self.door, self.pace) {
            (Door::Grpc, Pace::Closed) => RUNTIME.block_on(self.grpc_closed(begun)),
            (Door::Grpc, Pace::Open(rate)) => self.grpc_open(begun, rate),
            (_, Pace::Closed) => self.http(begun, LANES, None),
            (_, Pace::Open(rate)) => self.http(begun, OPEN_LANES, Some(rate)),
        };
        let took = begun.elapsed();
        assert_eq!(latencies.len(), self.count, "an answer is missing");
        latencies.sort_unstable();
        Ran { latencies, took }
    }

    /// Asks so many as several runs in a closed loop, and does something after each.
    pub(crate) fn in_parts(&self, count: usize, mut after: impl FnMut()) {
        for first in (0..count).step_by(PART) {
            let part = Self {
                first: self.first + first,
                count: PART.min(count - first),
                pace: Pace::Closed,
                ..self.clone()
            };
            part.run();
            after();
        }
    }

    fn ask(&self, index: usize) -> Ask {
        self.asks.get(self.first + index)
    }

    fn http(&self, begun: Instant, lanes: usize, rate: Option<f64>) -> Vec<Duration> {
        let next = AtomicUsize::new(0);
        let lane = || {
            let mut stream =
                TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the server listens");
            stream.set_nodelay(true).expect("a socket has the option");
            stream
                .set_read_timeout(Some(TIME_LIMIT))
                .expect("a socket has the option");
            let mut buffer = Vec::new();
            let mut latencies = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= self.count {
                    return latencies;
                }
                let ask = self.ask(index);
                let asked = rate.map_or_else(Instant::now, |rate| wait_for(begun, index, rate));
                stream.write_all(&ask.wire).expect("the server reads");
                let head = read_answer(&mut stream, &mut buffer);
                let answered = Instant::now();
                judge(ask.judge_head(self.judged, head));
                within_limit(begun);
                latencies.push(answered - asked);
            }
        };
        thread::scope(|scope| {
            let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
            lanes
                .into_iter()
                .flat_map(|lane| lane.join().expect("a lane does not panic"))
                .collect()
        })
    }

    async fn grpc_closed(&self, begun: Instant) -> Vec<Duration> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut lanes = Vec::new();
        for _ in 0..GRPC_CONNECTIONS {
            let connection = connect(self.port).await;
            for _ in 0..LANES / GRPC_CONNECTIONS {
                let (plan, connection, next) =
                    (self.clone(), connection.clone(), Arc::clone(&next));
                lanes.push(tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= plan.count {
                            return latencies;
                        }
                        let asked = Instant::now();
                        let answered = plan.check(connection.clone(), index).await;
                        within_limit(begun);
                        latencies.push(answered - asked);
                    }
                }));
            }
        }
        let mut latencies = Vec::new();
        for lane in lanes {
            latencies.extend(lane.await.expect("a lane does not panic"));
        }
        latencies
    }

    fn grpc_open(&self, begun: Instant, rate: f64) -> Vec<Duration> {
        let connections: Vec<_> = (0..GRPC_CONNECTIONS)
            .map(|_| RUNTIME.block_on(connect(self.port)))
            .collect();
        // Unbounded in type, bounded by the run's count.
        let (done, mut latencies) = mpsc::unbounded_channel();
        let plan = Arc::new(self.clone());
        for index in 0..self.count {
            let due = wait_for(begun, index, rate);
            let connection = connections[index % connections.len()].clone();
            let (plan, done) = (Arc::clone(&plan), done.clone());
            RUNTIME.spawn(async move {
                let answered = plan.check(connection, index).await;
                // The receiver goes away only when the program ends.
                let _sent = done.send(answered - due);
            });
        }
        drop(done);
        RUNTIME.block_on(async {
            let mut all = Vec::with_capacity(self.count);
            while let Some(latency) = latencies.recv().await {
                within_limit(begun);
                all.push(latency);
            }
            all
        })
    }

    /// One call; returns when its answer was whole.
    async fn check(&self, mut connection: SendRequest<Full<Bytes>>, index: usize) -> Instant {
        let ask = self.ask(index);
        let request = Request::post(format!(
            "http://127.0.0.1:{}/envoy.service.auth.v3.Authorization/Check",
            self.port
        ))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(ask.wire.clone()))
        .expect("a request is well formed");
        connection.ready().await.expect("the connection lives");
        let response = connection
            .send_request(request)
            .await
            .expect("the server answers");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the answer is whole");
        let answered = Instant::now();
        let ended = body.trailers().map_or_else(
            || succeeded(&head.headers),
            |trailers| succeeded(trailers) || succeeded(&head.headers),
        );
        assert!(ended, "the call failed: {head:?} {:?}", body.trailers());
        let message = body.to_bytes();
        assert!(message.len() >= 5, "an answer without a message");
        judge(ask.judge_message(self.judged, message.slice(5..)));
        answered
    }
}

fn succeeded(fields: &HeaderMap) -> bool {
    fields.get("grpc-status").is_some_and(|code| code == "0")
}

async fn connect(port: u16) -> SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .expect("the server listens");
    stream.set_nodelay(true).expect("a socket has the option");
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("the server speaks HTTP/2");
    // It ends when its last sender goes.
    tokio::spawn(connection);
    sender
}

/// Sleeps until a question is due, and returns when that was.
fn wait_for(begun: Instant, index: usize, rate: f64) -> Instant {
    let due = begun + Duration::from_secs_f64(index as f64 / rate);
    thread::sleep(due.saturating_duration_since(Instant::now()));
    due
}

fn judge(found: Result<(), String>) {
    if let Err(wrong) = found {
        panic!("a wrong answer: {wrong}");
    }
}

fn within_limit(begun: Instant) {
    assert!(begun.elapsed() < TIME_LIMIT, "a run takes too long");
}

/// Reads one answer and returns its head; its body is read and dropped.
fn read_answer<'b>(stream: &mut TcpStream, buffer: &'b mut Vec<u8>) -> &'b str {
    buffer.clear();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let length = stream.read(&mut chunk).expect("the server answers");
        assert!(length > 0, "the server hung up");
        buffer.extend_from_slice(&chunk[..length]);
    };
    let head = std::str::from_utf8(&buffer[..end]).expect("a head is ASCII");
    let body: usize = head
        .split("\r\n")
        .filter_map(|field| field.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| {
            value.trim().parse().expect("a length is a number")
        });
    while buffer.len() < end + body {
        let length = stream.read(&mut chunk).expect("the server answers");
        assert!(length > 0, "the server hung up");
        buffer.extend_from_slice(&chunk[..length]);
    }
    std::str::from_utf8(&buffer[..end]).expect("a head is ASCII")
}
