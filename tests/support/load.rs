//! Clients that ask through real gateways without pause, and check every answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::cases::Gateway;
use super::echo::Echo;
use super::gateway::Running;
use super::raw;
use super::server::Gatefort;
use super::tokens;

/// How many clients each gateway has.
const CLIENTS: usize = 4;

/// The longest that answers are waited for; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gateways under load: a good token passes, a forged one is refused, time and again.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    gateways: Vec<Asked>,
}

/// A gateway, and what its clients have seen.
struct Asked {
    running: Running,
    seen: Arc<Seen>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    answers: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Load {
    /// Asks Envoy and nginx, with their files from `deploy/`, before this server.
    pub(crate) fn before(server: &Gatefort, token: &str) -> Self {
        let behind = server.behind(Echo::start().port());
        let gateways =
            [Gateway::EnvoyGrpc, Gateway::Nginx].map(|kind| Running::start(kind, behind, &[]));
        Self::through(gateways.into(), token)
    }

    /// Asks these gateways with a token that is good.
    pub(crate) fn through(gateways: Vec<Running>, token: &str) -> Self {
        let over = Arc::<AtomicBool>::default();
        let tokens = [(token.to_owned(), 200), (forged(token), 401)];
        let asked = |running: Running| {
            let seen = Arc::<Seen>::default();
            let clients = (0..CLIENTS).map(|_| {
                let (over, seen) = (Arc::clone(&over), Arc::clone(&seen));
                let (to, tokens) = (running.address, tokens.clone());
                thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        for (token, status) in &tokens {
                            seen.ask(to, token, *status);
                        }
                    }
                })
            });
            let clients = clients.collect();
            Asked {
                running,
                seen,
                clients,
            }
        };
        let gateways = gateways.into_iter().map(asked).collect();
        Self { over, gateways }
    }

    /// Waits until every gateway has answered so many requests more, each of them rightly.
    pub(crate) fn go_on(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        for gateway in &self.gateways {
            let answers = || gateway.seen.answers.load(Ordering::Relaxed);
            let goal = answers() + count;
            while answers() < goal {
                assert!(Instant::now() < deadline, "no load");
                thread::sleep(Duration::from_millis(5));
            }
            gateway.is_right();
        }
    }

    /// Ends the load: there was one, and no answer was wrong.
    #[expect(
        clippy::print_stderr,
        reason = "the figures, for whoever asks for them with --nocapture"
    )]
    pub(crate) fn none_is_lost(self) {
        self.over.store(true, Ordering::Relaxed);
        for mut gateway in self.gateways {
            for client in gateway.clients.drain(..) {
                client.join().expect("no client panics");
            }
            let answers = gateway.seen.answers.load(Ordering::Relaxed);
            eprintln!("{:?}: {answers} answers", gateway.running.kind);
            assert!(answers > 100, "{:?}: {answers}", gateway.running.kind);
            gateway.is_right();
        }
    }
}

impl Asked {
    fn is_right(&self) {
        let wrong = self
            .seen
            .wrong
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            wrong.is_empty(),
            "{:?}: {} of {} answers are wrong: {:#?}\n{}",
            self.running.kind,
            wrong.len(),
            self.seen.answers.load(Ordering::Relaxed),
            &wrong[..wrong.len().min(5)],
            self.running.output()
        );
    }
}

impl Seen {
    fn ask(&self, to: SocketAddr, token: &str, status: u16) {
        let authorization = format!("Bearer {token}");
        let request = raw::get("/orders", &[("Authorization", &authorization)]);
        match raw::exchange(to, &request) {
            Ok(answer) if answer.status() == status => {}
            other => self
                .wrong
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(format!("{status}: {other:?}")),
        }
        self.answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// The token with another signature of the same length.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    format!(
        "{signed}.{}",
        tokens::base64url(&vec![0x2a; signature.len() * 3 / 4])
    )
}
