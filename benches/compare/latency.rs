//! Latency in an open loop at half of the peak: quiet, and while there is something else to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::Scale;
use crate::ask::{Ask, Asks, Door};
use crate::load::Pace;
use crate::measure::{Contender, median, micros};
use crate::plot::{self, Series};
use crate::report::{Ratio, Report, Row};
use crate::scene::{self, KeyServer, Scene, Signature, Token};
use crate::server::Server;

/// Refreshed as often as the configuration allows: every second.
const EVERY_SECOND: &str = ", refresh: {min_lifetime: 1s, max_lifetime: 1s}";

/// A memory that some hundreds of tokens fill.
const SMALL_MEMORY: &str = "cache: {max_bytes: 1MiB}\n";

/// What goes on while questions are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// Nothing else.
    Quiet,
    /// Every issuer's keys are fetched every second.
    Refresh,
    /// The configuration is reloaded every second; every eighth token is new, so that a full memory goes each time.
    Reload,
    /// Every eighth token is new, and displaces another.
    Eviction,
}

impl Meanwhile {
    const ALL: [Self; 4] = [Self::Quiet, Self::Refresh, Self::Reload, Self::Eviction];

    const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Refresh => "JWKS refresh",
            Self::Reload => "config reload",
            Self::Eviction => "cache eviction",
        }
    }

    fn server(self, scene: &Scene, keys: &KeyServer) -> Server {
        let configuration = match self {
            Self::Quiet | Self::Reload => scene.fetching(&keys.url, ""),
            Self::Refresh => scene.fetching(&keys.url, EVERY_SECOND),
            Self::Eviction => SMALL_MEMORY.to_owned() + &scene.fetching(&keys.url, ""),
        };
        Server::gatefort(&configuration, &[])
    }

    fn asks(self, door: Door, usual: &Arc<[Ask]>, users: &Arc<AtomicUsize>) -> Asks {
        match self {
            Self::Quiet | Self::Refresh => usual.into(),
            Self::Reload | Self::Eviction => {
                let (usual, users) = (Arc::clone(usual), Arc::clone(users));
                Asks::Made {
                    maker: Arc::new(move |number| match number % 8 {
                        0 => scene::live(door, users.fetch_add(1, Ordering::Relaxed)),
                        _ => usual[number % usual.len()].clone(),
                    }),
                    among: usize::MAX,
                }
            }
        }
    }

    /// Does what goes on until it is over.
    fn go_on(self, server: &Server, over: &AtomicBool) {
        let mut next = Instant::now();
        while self == Self::Reload && !over.load(Ordering::Relaxed) {
            if Instant::now() >= next {
                server.reload();
                next += Duration::from_secs(1);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Asked of each server in turn, over gRPC and over HTTP.
pub(crate) fn open_loop(scene: &Scene, scale: &Scale, report: &mut Report) -> Outcome<Vec<Series>> {
    let keys = KeyServer::start(scene.jwks());
    let servers = Meanwhile::ALL.map(|meanwhile| (meanwhile, meanwhile.server(scene, &keys)));
    let users = Arc::default();
    let mut plotted = Vec::new();
    for (name, door) in [("gRPC", Door::Grpc), ("HTTP", Door::AuthRequest)] {
        println!("{name}, open loop");
        let usual = scene.asks(door, Token::Good(Signature::Rs256), 64);
        let contenders: [_; 4] = std::array::from_fn(|at| {
            let (meanwhile, server) = &servers[at];
            Contender::warm("", server, door, meanwhile.asks(door, &usual, &users))
        });
        let peak = contenders[0].plan(scale.count, Pace::Closed).run().rate();
        let rate = peak / 2.0;
        let count = (rate * scale.open_seconds).ceil() as usize;
        let mut rounds: [Vec<Vec<Duration>>; 4] = Default::default();
        let asked = keys.asked();
        for _ in 0..scale.open_rounds {
            for (at, contender) in contenders.iter().enumerate() {
                let (meanwhile, server) = &servers[at];
                let over = AtomicBool::new(false);
                rounds[at].push(thread::scope(|scope| {
                    scope.spawn(|| meanwhile.go_on(server, &over));
                    let ran = contender.plan(count, Pace::Open(rate)).run();
                    over.store(true, Ordering::Relaxed);
                    ran.latencies
                }));
            }
        }
        let fetches = keys.asked() - asked;
        if fetches == 0 {
            return Err("no key set was fetched while the refresh was measured".into());
        }
        let at = |rounds: &[Vec<_>]| {
            let percentiles = rounds.iter().map(|round| plot::percentile(round, 0.999));
            median(percentiles.map(micros))
        };
        let calm = at(&rounds[0]);
        for (place, (meanwhile, _)) in servers.iter().enumerate().skip(1) {
            let busy = at(&rounds[place]);
            report.row(Row {
                case: format!("{name} open loop, p99.9 during {}", meanwhile.name()),
                measured: format!("{:.2} ms", busy / 1e3),
                against: format!("quiet: {:.2} ms at {rate:.0}/s", calm / 1e3),
                ratio: Some(Ratio {
                    is: busy / calm,
                    bar: Some(2.0),
                }),
            });
        }
        report.note(format!(
            "{name} open loop: half of a peak of {peak:.0} decisions per second that the server and the load maker \
             reach together on this machine; {fetches} key sets were fetched meanwhile, and a configuration was \
             reloaded every second."
        ));
        for ((meanwhile, _), rounds) in servers.iter().zip(rounds) {
            plotted.push(Series::new(format!("{name}, {}", meanwhile.name()), rounds));
        }
    }
    Ok(plotted)
}
