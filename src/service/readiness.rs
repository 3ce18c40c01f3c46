//! Who is told whether the process is ready: gRPC health and the log. The admin pages ask themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::live::Live;
use crate::gateway::report_health;

/// How often readiness is looked at, for gRPC health: soon at the start, where tests and rolling
/// updates wait for it, then rarely.
const FIRST_LOOKS: Duration = Duration::from_millis(20);
const LATER_LOOKS: Duration = Duration::from_secs(1);

/// Tells them whenever it changes, until draining begins.
pub(super) async fn watch_readiness(
    live: Arc<Live>,
    health: Option<HealthReporter>,
    draining: CancellationToken,
) {
    let mut told = None;
    let watch = async {
        loop {
            let ready = live.verifier().is_ready();
            if told != Some(ready) {
                told = Some(ready);
                if ready {
                    tracing::info!("ready");
                } else {
                    tracing::warn!(
                        "not ready: an issuer's keys or other replicas' revocations are missing"
                    );
                }
                if let Some(reporter) = &health {
                    let status = if ready {
                        ServingStatus::Serving
                    } else {
                        ServingStatus::NotServing
                    };
                    report_health(reporter, status).await;
                }
            }
            sleep(if ready { LATER_LOOKS } else { FIRST_LOOKS }).await;
        }
    };
    draining.run_until_cancelled(watch).await;
}
