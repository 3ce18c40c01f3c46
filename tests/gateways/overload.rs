//! Three times what fits, through a real Envoy: what has a place is answered as ever, and the rest is told so at once.
//!
//! CI lets each load last fifteen seconds. For the minute of `docs/change.md`:
//!
//! ```text
//! GATEFORT_OVERLOAD=60 cargo test --test gateways -- --nocapture overload
//! ```

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::support::cases::Gateway;
use crate::support::echo::Echo;
use crate::support::gateway::{Edit, Running};
use crate::support::process::Process;
use crate::support::raw::{self, Framing, Message};
use crate::support::server::Gatefort;
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey, claims_with};
use crate::support::tools;

/// How many decisions may be under way, and how long each waits for its issuer: the capacity is
/// their quotient, 32 a second. Long enough that it is no matter when a busy machine gives a place to the next.
const PLACES: usize = 16;
const WAIT: Duration = Duration::from_millis(500);

/// How long it takes to find out how much fits.
const FINDING: Duration = Duration::from_secs(5);

/// How soon who has no place is told so, on nine of ten occasions and a busy machine.
const SHED: u64 = 5000;

/// How long a client waits: longer than Envoy does.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long three times the load lasts.
fn lasts() -> Duration {
    let seconds = env::var("GATEFORT_OVERLOAD").map(|text| text.parse().expect("seconds"));
    Duration::from_secs(seconds.unwrap_or(15))
}

/// How many answers had which status; 0 where there was none.
type Answers = BTreeMap<u16, u32>;

/// What clients ask, each time the next of these.
struct Clients {
    to: SocketAddr,
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
    /// Kept connections that nobody uses at the moment.
    idle: Mutex<Vec<TcpStream>>,
    answers: Mutex<Answers>,
}

impl Clients {
    /// Clients of an Envoy before this server, with a token for each request that is under way.
    fn of(envoy: &Running, key: &TestKey) -> Arc<Self> {
        let request = |number: usize| {
            let token = key.mint(&claims_with("ann", json!({"jti": number.to_string()})));
            raw::get("/orders", &[("authorization", &format!("Bearer {token}"))])
        };
        Arc::new(Self {
            to: envoy.address,
            requests: (0..256).map(request).collect(),
            next: AtomicUsize::new(0),
            idle: Mutex::default(),
            answers: Mutex::default(),
        })
    }

    /// So many ask, each as soon as it has its answer: how many pass, and what else is answered.
    async fn closed(self: &Arc<Self>, count: usize, lasts: Duration) -> Answers {
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
    async fn open(self: &Arc<Self>, each_second: f64, lasts: Duration) -> (Answers, Answers) {
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
        self.idle.lock().unwrap().push(stream);
        Ok(message.status())
    }
}

/// An introspection endpoint that takes its time; it listens until the test process ends.
fn slow_endpoint() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_slowly(&stream));
        }
    });
    address
}

fn answer_slowly(stream: &std::net::TcpStream) {
    let mut reader = BufReader::new(stream);
    while let Ok(Some(_request)) = Message::read(&mut reader, Framing::Request) {
        thread::sleep(WAIT);
        let body = json!({"active": true, "iss": ISSUER, "sub": "ann"}).to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
        let answer = format!("{head}: {}\r\n\r\n{body}", body.len());
        if (&mut &*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A server with more settings, and an Envoy before it with its file from `deploy/`, edited.
fn scene(key: &TestKey, issuer: &str, more: &str, edits: &[Edit<'_>]) -> (Gatefort, Running) {
    let jwks = json!({"keys": [key.jwk()]});
    let server = Gatefort::start(
        &format!(
            "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
issuers: [{{issuer: '{ISSUER}', audiences: [{AUDIENCE}], jwks: {jwks}{issuer}}}]
rules: [{{path: /**, allow: authenticated}}]
{more}
"
        ),
        "/readyz",
    );
    let behind = server.behind(Echo::start().port());
    let envoy = Running::start(Gateway::EnvoyGrpc, behind, edits);
    (server, envoy)
}

fn each_second(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}

fn passed(answers: &Answers) -> u32 {
    // A good token passes, or nobody can say.
    assert!(
        answers.keys().all(|status| [0, 200, 503].contains(status)),
        "{answers:?}"
    );
    answers.get(&200).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::print_stderr,
    reason = "the figures, for whoever asks for them with --nocapture"
)]
async fn three_times_the_decisions_that_wait_leave_the_goodput() {
    let (endpoint, key) = (slow_endpoint(), TestKey::es256("overload"));
    let introspection = format!(
        ", introspection: {{url: 'http://{endpoint}/', auth: bearer, secret: a-secret-of-the-tests, mode: always, cache: 0s}}"
    );
    let limits = format!("limits: {{in_flight: {PLACES}}}");
    let (server, envoy) = scene(&key, &introspection, &limits, &[]);
    let clients = Clients::of(&envoy, &key);
    let most = each_second(passed(&clients.closed(PLACES, FINDING).await), FINDING);
    let (answers, _late) = clients.open(3.0 * most, lasts()).await;
    let overrun = each_second(passed(&answers), lasts());
    let log = server.output();
    let mut took: Vec<u64> = log
        .lines()
        .filter(|line| line.contains("\"reason\":\"overloaded\""))
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["took_us"]
                .as_u64()
                .unwrap()
        })
        .collect();
    took.sort_unstable();
    assert!(took.len() > PLACES, "{} were shed", took.len());
    let most_of = took[took.len() * 9 / 10];
    eprintln!(
        "{most:.0} a second at most, {overrun:.0} under three times as much; {} shed, p50 {} us, p90 {most_of} us",
        took.len(),
        took[took.len() / 2],
    );
    assert!(overrun >= 0.9 * most, "{overrun} of {most} a second");
    assert!(most_of < SHED, "{most_of} us");
    // Nobody was turned away for another reason.
    for reason in [
        "introspection_timeout",
        "introspection_busy",
        "deadline_exceeded",
    ] {
        assert!(!log.contains(reason), "{reason}");
    }
}

/// The share of a processor that the server gets, as from a container's quota: so many milliseconds of a hundred.
/// Clients and Envoy have enough of the rest for three times the load.
const QUOTA: u32 = 10;

/// How many requests Envoy lets be under way: what the server decides in a second or so.
/// Of its default's 1024 some would be decided when it has given up already.
const MAX_REQUESTS: usize = 384;

/// How many clients it takes to find all that fits: enough that there is always something to do.
const BUSY: usize = 360;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::print_stderr,
    reason = "the figures, for whoever asks for them with --nocapture"
)]
async fn three_times_the_decisions_that_wait_for_nobody_leave_the_goodput() {
    let key = TestKey::es256("overload");
    // No token is remembered: each is verified.
    let settings = "cache: {max_bytes: 0}\nlog: {decisions: off}";
    let cluster = "    - name: gatefort\n";
    let breaker =
        format!("circuit_breakers: {{ thresholds: [{{ max_requests: {MAX_REQUESTS} }}] }}");
    let bounded = format!("{cluster}      {breaker}\n");
    let (server, envoy) = scene(&key, "", settings, &[(cluster, &bounded)]);
    let clients = Clients::of(&envoy, &key);
    let folder = tempfile::tempdir().unwrap();
    let _quota = throttle(server.process_id(), folder.path());
    let pid = server.process_id();
    for _ in 0..ATTEMPTS {
        let start = processor_time(pid);
        let most = each_second(passed(&clients.closed(BUSY, FINDING).await), FINDING);
        let (before, between) = (server.metric(ALLOWED), processor_time(pid));
        let (answers, late) = clients.open(3.0 * most, lasts()).await;
        let overrun = each_second(passed(&answers), lasts());
        let shares = [between - start, processor_time(pid) - between];
        let decided = server.metric(ALLOWED) - before;
        let heard = u64::from(passed(&answers) + passed(&late));
        // Envoy and the clients take some of what the quota leaves: more, the more they ask.
        let [share, share_overrun] = [(shares[0], FINDING), (shares[1], lasts())]
            .map(|(share, time)| share.as_secs_f64() / time.as_secs_f64());
        eprintln!(
            "{most:.0} a second at most, with {share:.3} of a processor; {overrun:.0} under three times as much, with {share_overrun:.3}; {heard} of {decided} were heard"
        );
        // Nothing is decided for those who have given up, either.
        if overrun / share_overrun >= 0.9 * most / share && 10 * heard >= 9 * decided {
            return;
        }
    }
    panic!("never nine tenths");
}

/// How often the processor's goodput is measured: whatever else a machine does in one of the two times spoils it.
const ATTEMPTS: usize = 3;

/// Decisions that let a request pass.
const ALLOWED: &str = "gatefort_decisions_total{door=\"envoy_grpc\",rule=\"/**\",decision=\"allow\",reason=\"allowed\"}";

/// Gives a process [`QUOTA`] milliseconds of each hundred, until it ends or this is dropped.
fn throttle(pid: u32, folder: &Path) -> Process {
    let script = format!(
        "
import os, signal, time
def go_on(*_):
    os.kill({pid}, signal.SIGCONT)
    os._exit(0)
signal.signal(signal.SIGTERM, go_on)
while True:
    os.kill({pid}, signal.SIGCONT)
    time.sleep({QUOTA} / 1000)
    os.kill({pid}, signal.SIGSTOP)
    time.sleep({} / 1000)
",
        100 - QUOTA
    );
    Process::start(
        "quota",
        Command::new(tools::find("python3")).args(["-c", &script]),
        folder,
    )
}

/// What a process has had of the processors; the system counts in hundredths of a second.
fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = |index| {
        fields
            .split(' ')
            .nth(index)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}
