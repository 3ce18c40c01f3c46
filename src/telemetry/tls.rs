//! What the metrics say about the listeners' TLS: until when the certificate lasts, and how rereading it went.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::Telemetry;
use super::scrape::ListenerLabel;

/// The series of every listener.
#[derive(Debug, Default)]
pub(super) struct TlsSeries {
    not_after: Family<ListenerLabel, Gauge>,
    reloads: Family<[(&'static str, &'static str); 2], Counter>,
    last_ok: Family<ListenerLabel, Gauge>,
    failed_handshakes: Family<ListenerLabel, Counter>,
}

/// One listener's series.
#[derive(Debug, Clone)]
pub struct TlsMetrics {
    /// When the first certificate of the chain in force ends, in seconds since 1970.
    pub not_after: Gauge,
    /// Times that changed files came into force.
    pub reloads_ok: Counter,
    /// Times that changed files were refused.
    pub reloads_failed: Counter,
    /// 1 if the files as last read are in force.
    pub last_ok: Gauge,
    /// Handshakes that failed.
    pub failed_handshakes: Counter,
}

impl TlsSeries {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let series = Self::default();
        registry.register_with_unit(
            "gatefort_tls_certificate_not_after",
            "When the first certificate of the chain in force ends, since 1970",
            Unit::Seconds,
            series.not_after.clone(),
        );
        registry.register(
            "gatefort_tls_reloads",
            "Times that changed certificates were reread, by result",
            series.reloads.clone(),
        );
        registry.register(
            "gatefort_tls_last_reload_ok",
            "1 if the certificate files as last read are in force, 0 if they were refused",
            series.last_ok.clone(),
        );
        registry.register(
            "gatefort_tls_failed_handshakes",
            "TLS handshakes that failed",
            series.failed_handshakes.clone(),
        );
        series
    }
}

impl Telemetry {
    /// The TLS series of the listener of this name.
    #[must_use]
    pub fn tls(&self, name: &'static str) -> TlsMetrics {
        let series = &self.scrape.tls;
        let label = [("listener", name)];
        let reloads = |result| {
            let labels = [("listener", name), ("result", result)];
            series.reloads.get_or_create_owned(&labels)
        };
        TlsMetrics {
            not_after: series.not_after.get_or_create_owned(&label),
            reloads_ok: reloads("ok"),
            reloads_failed: reloads("failed"),
            last_ok: series.last_ok.get_or_create_owned(&label),
            failed_handshakes: series.failed_handshakes.get_or_create_owned(&label),
        }
    }
}
