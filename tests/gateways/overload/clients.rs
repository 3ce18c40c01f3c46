//! Clients of a gateway that keep their connections, and ask as fast as they are answered or as fast as they are told to.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::support::gateway::Running;
use crate::support::raw::{self, Framing, Message};
use crate::support::tokens::{TestKey, claims_with};

/// How long a client waits: longer than a gateway does.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many answers had which status; 0 where there was none.
pub(super) type Answers = BTreeMap<u16, u32>;

/// What clients ask, each time the next of these.
pub(super) struct Clients {
    to: SocketAddr,
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
    /// Kept connections that nobody uses at the moment.
    idle: Mutex<Vec<TcpStream>>,
    answers: Mutex<Answers>,
}

impl Clients {
    /// Clients of a gateway, with a token for each request that is under way.
    pub(super) fn of(gateway: &Running, key: &TestKey) -> Arc<Self> {
        let request = |number: usize| {
            let token = key.mint(&claims_with("ann", json!({"jti": number.to_string()})));
            raw::get("/orders", &[("authorization", &format!("Bearer {token}"))])
        };
        Arc::new(Self {
            to: gateway.address,
            requests: (0..256).map(request).collect(),
            next: AtomicUsize::new(0),
            idle: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    /// So many ask, each as soon as it has its answer: how many pass, and what else is answered.
    pub(super) async fn closed(self: &Arc<Self>, count: usize, lasts: Duration) -> Answers {
        let began = Instant::now();
        let mut asking = JoinSet::new();
        for _ in 0..count {
            let clients = Arc::clone(self);
            asking.spawn(async move {
                while began.elapsed() < lasts {
                    clients.ask().await;
                }
            });
        }
        asking.join_all().await;
        self.take()
    }

    /// So many ask each second, whatever becomes of those before: the answers in this time, and those after it.
    pub(super) async fn open(
        self: &Arc<Self>,
        each_second: f64,
        lasts: Duration,
    ) -> (Answers, Answers) {
        let began = Instant::now();
        let mut asking = JoinSet::new();
        let mut tick = interval(Duration::from_millis(5));
        let mut asked = 0.0;
        while began.elapsed() < lasts {
            tick.tick().await;
            let due = began.elapsed().as_secs_f64() * each_second;
            while asked < due {
                let clients = Arc::clone(self);
                asking.spawn(async move { clients.ask().await });
                asked += 1.0;
            }
            while asking.try_join_next().is_some() {}
        }
        let in_time = self.take();
        asking.join_all().await;
        (in_time, self.take())
    }

    fn take(&self) -> Answers {
        std::mem::take(&mut *self.answers.lock().unwrap())
    }

    async fn ask(&self) {
        let status = match timeout(PATIENCE, self.exchange()).await {
            Ok(Ok(status)) => status,
            Ok(Err(_)) | Err(_) => 0,
        };
        *self.answers.lock().unwrap().entry(status).or_default() += 1;
    }

    async fn exchange(&self) -> io::Result<u16> {
        let kept = self.idle.lock().unwrap().pop();
        let mut stream = match kept {
            Some(stream) => stream,
            None => TcpStream::connect(self.to).await?,
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.requests.len();
        stream.write_all(&self.requests[number]).await?;
        let mut answer = Vec::new();
        let message = loop {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match Message::read(&mut &answer[..], Framing::Response) {
                Ok(Some(message)) if answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") => {
                    break message;
                }
                _ => {}
            }
        };
        // nginx ends a connection after a thousand requests.
        if message.header("connection") != Some("close") {
            self.idle.lock().unwrap().push(stream);
        }
        Ok(message.status())
    }
}

/// How many answers had a status; that is 200 or 503, for a good token passes, or nobody can say.
pub(super) fn with(status: u16, answers: &Answers) -> u32 {
    assert!(
        answers.keys().all(|status| [0, 200, 503].contains(status)),
        "{answers:?}"
    );
    answers.get(&status).copied().unwrap_or_default()
}

/// How many answers let their request pass.
pub(super) fn passed(answers: &Answers) -> u32 {
    with(200, answers)
}
