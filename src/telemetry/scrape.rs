//! What `/metrics` says: the registry of what we count, and what is read when asked.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::decisions::DecisionTable;
use super::latency::Latencies;
use super::reloads::Reloads;
use super::shadow::ShadowSeries;
use super::tls::TlsSeries;
use super::traces::SpanSeries;
use super::{Load, Telemetry, introspection, process, revocations};
use crate::verify::revocations::RevocationStatus;
use crate::verify::{IssuerStatus, KeyState};

/// The label of one listener's series.
pub(super) type ListenerLabel = [(&'static str, &'static str); 1];

/// Everything that is registered once.
#[derive(Debug)]
pub(super) struct Scrape {
    registry: Registry,
    pub(super) reloads: Reloads,
    pub(super) tls: TlsSeries,
    pub(super) spans: SpanSeries,
    open: Family<ListenerLabel, Gauge>,
    accepted: Family<ListenerLabel, Counter>,
    errors: Family<ListenerLabel, Counter>,
    timed_out: Family<ListenerLabel, Counter>,
    flooded: Family<ListenerLabel, Counter>,
}

/// One listener's series.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    /// Connections that are open.
    pub open: Gauge,
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Times that accepting failed.
    pub errors: Counter,
    /// Connections that were closed because their peer was too slow.
    pub timed_out: Counter,
    /// Connections that were closed because their peer sent frames without asking anything.
    pub flooded: Counter,
}

/// What is read at each scrape rather than counted.
#[derive(Debug)]
struct Readings {
    issuers: Vec<IssuerStatus>,
    revocations: RevocationStatus,
    load: Load,
    dropped_lines: u64,
    uptime_seconds: f64,
}

impl Scrape {
    pub(super) fn new(table: &DecisionTable, latencies: &Latencies, shadow: &ShadowSeries) -> Self {
        let mut registry = Registry::default();
        let open = Family::<ListenerLabel, Gauge>::default();
        let accepted = Family::<ListenerLabel, Counter>::default();
        let errors = Family::<ListenerLabel, Counter>::default();
        let timed_out = Family::<ListenerLabel, Counter>::default();
        let flooded = Family::<ListenerLabel, Counter>::default();
        registry.register(
            "gatefort_build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "gatefort_decisions",
            "Decisions by door, rule, verdict and reason",
            table.family(),
        );
        registry.register_collector(Box::new(latencies.clone()));
        registry.register(
            "gatefort_connections",
            "Connections that are open",
            open.clone(),
        );
        registry.register(
            "gatefort_connections_accepted",
            "Connections that were accepted",
            accepted.clone(),
        );
        registry.register(
            "gatefort_accept_errors",
            "Times that accepting a connection failed",
            errors.clone(),
        );
        registry.register(
            "gatefort_connections_timed_out",
            "Connections that were closed because their peer was too slow",
            timed_out.clone(),
        );
        registry.register(
            "gatefort_connections_flooded",
            "Connections that were closed because their peer sent frames without asking anything",
            flooded.clone(),
        );
        let reloads = Reloads::new(&mut registry);
        let tls = TlsSeries::new(&mut registry);
        let spans = SpanSeries::new(&mut registry);
        shadow.register(&mut registry);
        Self {
            registry,
            reloads,
            tls,
            spans,
            open,
            accepted,
            errors,
            timed_out,
            flooded,
        }
    }
}

impl Telemetry {
    /// The series of the listener of this name.
    #[must_use]
    pub fn listener(&self, name: &'static str) -> ListenerMetrics {
        let label = [("listener", name)];
        ListenerMetrics {
            open: self.scrape.open.get_or_create_owned(&label),
            accepted: self.scrape.accepted.get_or_create_owned(&label),
            errors: self.scrape.errors.get_or_create_owned(&label),
            timed_out: self.scrape.timed_out.get_or_create_owned(&label),
            flooded: self.scrape.flooded.get_or_create_owned(&label),
        }
    }

    /// Every metric in the OpenMetrics text format, with issuers, revocations and load as they are now.
    ///
    /// # Errors
    /// A metric could not be encoded: a defect of ours.
    pub fn metrics(
        &self,
        issuers: Vec<IssuerStatus>,
        revocations: RevocationStatus,
        load: Load,
    ) -> Result<String, Error> {
        let mut now = Registry::default();
        now.register_collector(Box::new(Readings {
            issuers,
            revocations,
            load,
            dropped_lines: self.dropped_lines(),
            uptime_seconds: self.uptime().as_secs_f64(),
        }));
        let mut text = String::with_capacity(8192);
        encode_registry(&mut text, &self.scrape.registry)?;
        encode_registry(&mut text, &now)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.encode_issuers(&mut encoder)?;
        introspection::encode(&self.issuers, &mut encoder)?;
        revocations::encode(&self.revocations, &mut encoder)?;
        self.load.encode(&mut encoder)?;
        counter(
            &mut encoder,
            "gatefort_log_dropped",
            "Log lines that were dropped because their reader did not keep up",
            self.dropped_lines,
        )?;
        gauge(
            &mut encoder,
            "gatefort_uptime_seconds",
            "Seconds since start",
            Some(self.uptime_seconds),
        )?;
        gauge(
            &mut encoder,
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds",
            process::start_time_seconds(),
        )?;
        gauge(
            &mut encoder,
            "process_resident_memory_bytes",
            "Resident memory size in bytes",
            process::resident_bytes(),
        )?;
        gauge(
            &mut encoder,
            "process_open_fds",
            "Number of open file descriptors",
            process::open_files(),
        )?;
        gauge(
            &mut encoder,
            "process_max_fds",
            "Maximum number of open file descriptors",
            process::max_open_files(),
        )
    }
}

impl Readings {
    fn encode_issuers(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut state = encoder.encode_descriptor(
            "gatefort_jwks_state",
            "1 for the state that an issuer's keys are in, 0 for the others",
            None,
            MetricType::Gauge,
        )?;
        for issuer in &self.issuers {
            for (name, key_state) in [
                ("fresh", KeyState::Fresh),
                ("stale", KeyState::Stale),
                ("blind", KeyState::Blind),
            ] {
                let labels = [("issuer", &*issuer.issuer), ("state", name)];
                ConstGauge::new(u64::from(issuer.state == key_state))
                    .encode(state.encode_family(&labels)?)?;
            }
        }
        let mut keys = encoder.encode_descriptor(
            "gatefort_jwks_keys",
            "Usable keys of an issuer",
            None,
            MetricType::Gauge,
        )?;
        for issuer in &self.issuers {
            let count = u64::try_from(issuer.kids.len()).unwrap_or(u64::MAX);
            ConstGauge::new(count).encode(keys.encode_family(&[("issuer", &*issuer.issuer)])?)?;
        }
        let mut age = encoder.encode_descriptor(
            "gatefort_jwks_age_seconds",
            "Seconds since an issuer's keys were last confirmed; absent while they never were",
            None,
            MetricType::Gauge,
        )?;
        for issuer in &self.issuers {
            if let Some(seconds) = issuer.age_seconds {
                ConstGauge::new(seconds)
                    .encode(age.encode_family(&[("issuer", &*issuer.issuer)])?)?;
            }
        }
        let mut refreshes = encoder.encode_descriptor(
            "gatefort_jwks_refreshes",
            "Fetches of an issuer's keys by result",
            None,
            MetricType::Counter,
        )?;
        for issuer in &self.issuers {
            for (result, count) in [
                ("ok", issuer.refreshes_ok),
                ("failed", issuer.refreshes_failed),
            ] {
                let labels = [("issuer", &*issuer.issuer), ("result", result)];
                ConstCounter::new(count).encode(refreshes.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

pub(super) fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(metric)
}

/// A gauge, if there is a value to show.
pub(super) fn gauge<N>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: Option<N>,
) -> Result<(), Error>
where
    ConstGauge<N>: EncodeMetric,
{
    let Some(value) = value else {
        return Ok(());
    };
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

#[cfg(test)]
mod tests;
