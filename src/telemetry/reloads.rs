//! What the metrics say about the configuration: which one is in force, and how reloads went.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Telemetry;

/// How reloads of the configuration went, since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ReloadCounts {
    /// Files that were read and are or were in force.
    pub ok: u64,
    /// Files that were refused, or could not be read.
    pub failed: u64,
}

/// The series about the configuration.
#[derive(Debug)]
pub(super) struct Reloads {
    /// One series: that of the configuration in force.
    info: Family<InForce, Gauge>,
    ok: Counter,
    failed: Counter,
    last_ok: Gauge<u64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InForce {
    sha256: String,
}

impl Reloads {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let results = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let reloads = Self {
            info: Family::default(),
            ok: results.get_or_create_owned(&[("result", "ok")]),
            failed: results.get_or_create_owned(&[("result", "failed")]),
            last_ok: Gauge::default(),
        };
        registry.register(
            "gatefort_config_info",
            "1 for the configuration in force, by the SHA-256 of its file",
            reloads.info.clone(),
        );
        registry.register(
            "gatefort_config_reloads",
            "Reloads of the configuration by result",
            results,
        );
        registry.register(
            "gatefort_config_last_reload_ok",
            "1 if the file as last read is in force, 0 if it was refused",
            reloads.last_ok.clone(),
        );
        reloads
    }

    fn show(&self, sha256: Option<&str>) {
        self.info.clear();
        if let Some(sha256) = sha256 {
            let sha256 = sha256.to_owned();
            self.info.get_or_create_owned(&InForce { sha256 }).set(1);
        }
        self.last_ok.set(1);
    }
}

impl Telemetry {
    /// The process starts with the configuration of this digest.
    pub fn config_started(&self, sha256: Option<&str>) {
        self.scrape.reloads.show(sha256);
    }

    /// A reload brought the configuration of this digest into force.
    pub fn config_reloaded(&self, sha256: &str) {
        self.scrape.reloads.show(Some(sha256));
        self.scrape.reloads.ok.inc();
    }

    /// A reload failed; what was in force still is.
    pub fn config_refused(&self) {
        self.scrape.reloads.failed.inc();
        self.scrape.reloads.last_ok.set(0);
    }

    /// How reloads went so far.
    #[must_use]
    pub fn reload_counts(&self) -> ReloadCounts {
        ReloadCounts {
            ok: self.scrape.reloads.ok.get(),
            failed: self.scrape.reloads.failed.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Load;
    use super::*;
    use crate::domain::claims::UnixTime;
    use crate::verify::revocations::{RevocationStatus, Revocations};

    fn none() -> RevocationStatus {
        Revocations::default().status(UnixTime(0))
    }

    #[test]
    fn the_metrics_name_one_configuration_and_count_both_results() {
        let telemetry = Telemetry::silent();
        telemetry.config_started(Some("aa"));
        telemetry.config_reloaded("bb");
        telemetry.config_refused();
        let text = telemetry
            .metrics(Vec::new(), none(), Load::default())
            .unwrap();
        for line in [
            "gatefort_config_info{sha256=\"bb\"} 1",
            "gatefort_config_reloads_total{result=\"ok\"} 1",
            "gatefort_config_reloads_total{result=\"failed\"} 1",
            "gatefort_config_last_reload_ok 0",
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(!text.contains("\"aa\""), "{text}");
        telemetry.config_reloaded("bb");
        assert_eq!(telemetry.reload_counts(), ReloadCounts { ok: 2, failed: 1 });
        let text = telemetry
            .metrics(Vec::new(), none(), Load::default())
            .unwrap();
        assert!(text.contains("gatefort_config_last_reload_ok 1\n"));
    }
}
