//! Latency in an open loop at half of the peak: quiet, and while every issuer's keys are fetched every second.

use crate::Outcome;
use crate::Scale;
use crate::ask::Door;
use crate::load::Pace;
use crate::measure::{Contender, median, micros};
use crate::plot::{self, Series};
use crate::report::{Ratio, Report, Row};
use crate::scene::{KeyServer, Scene, Signature, Token};
use crate::server::Server;

/// Refreshed as often as the configuration allows: every second.
const EVERY_SECOND: &str = ", refresh: {min_lifetime: 1s, max_lifetime: 1s}";

/// Asked of each server in turn, over gRPC and over HTTP.
pub(crate) fn open_loop(scene: &Scene, scale: &Scale, report: &mut Report) -> Outcome<Vec<Series>> {
    let keys = KeyServer::start(scene.jwks());
    let quiet = Server::gatefort(&scene.fetching(&keys.url, ""), &[]);
    let refreshing = Server::gatefort(&scene.fetching(&keys.url, EVERY_SECOND), &[]);
    let mut plotted = Vec::new();
    for (name, door) in [("gRPC", Door::Grpc), ("HTTP", Door::AuthRequest)] {
        println!("{name}, open loop");
        let asks = scene.asks(door, Token::Good(Signature::Rs256), 64);
        let contender = |server| Contender::warm("", server, door, &asks);
        let (quiet, refreshing) = (contender(&quiet), contender(&refreshing));
        let peak = quiet.plan(scale.count, Pace::Closed).run().rate();
        let rate = peak / 2.0;
        let count = (rate * scale.open_seconds).ceil() as usize;
        let (mut calm, mut busy) = (Vec::new(), Vec::new());
        let asked = keys.asked();
        for _ in 0..scale.open_rounds {
            calm.push(quiet.plan(count, Pace::Open(rate)).run().latencies);
            busy.push(refreshing.plan(count, Pace::Open(rate)).run().latencies);
        }
        let fetches = keys.asked() - asked;
        if fetches == 0 {
            return Err("no key set was fetched while the refresh was measured".into());
        }
        let at = |rounds: &[Vec<_>]| {
            median(
                rounds
                    .iter()
                    .map(|round| micros(plot::percentile(round, 0.999))),
            )
        };
        let (calm_at, busy_at) = (at(&calm), at(&busy));
        report.row(Row {
            case: format!("{name} open loop, p99.9 during JWKS refresh"),
            measured: format!("{:.2} ms", busy_at / 1e3),
            against: format!("quiet: {:.2} ms at {rate:.0}/s", calm_at / 1e3),
            ratio: Some(Ratio {
                is: busy_at / calm_at,
                bar: Some(2.0),
            }),
        });
        report.note(format!(
            "{name} open loop: half of a peak of {peak:.0} decisions per second that the server and the load maker \
             reach together on this machine; {fetches} key sets were fetched meanwhile."
        ));
        for (state, rounds) in [("quiet", calm), ("refresh", busy)] {
            plotted.push(Series::new(format!("{name}, {state}"), rounds));
        }
    }
    Ok(plotted)
}
