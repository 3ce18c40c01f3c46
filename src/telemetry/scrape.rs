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
    open: Family<ListenerLabel, Gauge>,
    accepted: Family<ListenerLabel, Counter>,
    errors: Family<ListenerLabel, Counter>,
    timed_out: Family<ListenerLabel, Counter>,
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
        let reloads = Reloads::new(&mut registry);
        let tls = TlsSeries::new(&mut registry);
        shadow.register(&mut registry);
        Self {
            registry,
            reloads,
            tls,
            open,
            accepted,
            errors,
            timed_out,
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
mod tests {
    use std::time::Duration;

    use super::super::Door;
    use super::*;
    use crate::authorizer::Verdict;
    use crate::domain::reason::DenyReason;
    use crate::verify::revocations::FileState;
    use crate::verify::revocations::fan_out::FanOutStatus;
    use crate::verify::{CacheCounts, Circuit, IntrospectionStatus};

    fn issuer() -> IssuerStatus {
        IssuerStatus {
            issuer: "https://a.example/\"x\"\n".into(),
            state: KeyState::Stale,
            optional: false,
            kids: vec!["one".into(), "two".into()],
            age_seconds: Some(61),
            refreshes_ok: 3,
            refreshes_failed: 1,
            last_error: Some("timeout".into()),
            skipped: Vec::new(),
            next_refresh_seconds: Some(30),
            introspection: Some(IntrospectionStatus {
                protocol: "rfc7662",
                circuit: Circuit::Open,
                answers_active: 5,
                answers_inactive: 4,
                calls_failed: 3,
                served_from_cache: 2,
                served_last_known: 1,
                in_flight: 6,
                cached: 7,
                cached_bytes: 8,
                last_error: Some("timeout"),
            }),
        }
    }

    fn revocations() -> RevocationStatus {
        RevocationStatus {
            entries: 7,
            max_entries: 1000,
            evicted: 2,
            file: FileState::Failed,
            fan_out: Some(FanOutStatus {
                following: false,
                connected: true,
                lag: Some(Duration::from_millis(1500)),
                pending: true,
                published: 3,
                received: 4,
                skipped: 5,
                reconciled: 6,
                last_error: Some("timeout"),
            }),
        }
    }

    #[test]
    fn the_text_has_every_metric_and_ends() {
        let telemetry = Telemetry::silent();
        telemetry.record(
            Door::AuthRequest,
            None,
            None,
            &Verdict::unreadable(DenyReason::OriginalMissing),
            Duration::from_micros(10),
        );
        telemetry.listener("http").accepted.inc();
        let load = Load {
            in_flight: 12,
            tokens: CacheCounts {
                hits: 13,
                misses: 14,
                entries: 15,
                bytes: 16,
            },
        };
        let text = telemetry
            .metrics(vec![issuer()], revocations(), load)
            .unwrap();
        let version = env!("CARGO_PKG_VERSION");
        for line in [
            &*format!("gatefort_build_info{{version=\"{version}\"}} 1"),
            "gatefort_decisions_total{door=\"auth_request\",rule=\"-\",decision=\"deny\",reason=\"original_missing\"} 1",
            "gatefort_decision_seconds_count{door=\"auth_request\"} 1",
            "gatefort_connections{listener=\"http\"} 0",
            "gatefort_connections_accepted_total{listener=\"http\"} 1",
            "gatefort_jwks_state{issuer=\"https://a.example/\\\"x\\\"\\n\",state=\"stale\"} 1",
            "gatefort_jwks_state{issuer=\"https://a.example/\\\"x\\\"\\n\",state=\"fresh\"} 0",
            "gatefort_jwks_keys{issuer=\"https://a.example/\\\"x\\\"\\n\"} 2",
            "gatefort_jwks_age_seconds{issuer=\"https://a.example/\\\"x\\\"\\n\"} 61",
            "gatefort_jwks_refreshes_total{issuer=\"https://a.example/\\\"x\\\"\\n\",result=\"failed\"} 1",
            "gatefort_introspection_calls_total{issuer=\"https://a.example/\\\"x\\\"\\n\",result=\"failed\"} 3",
            "gatefort_introspection_served_total{issuer=\"https://a.example/\\\"x\\\"\\n\",from=\"last_known\"} 1",
            "gatefort_introspection_circuit{issuer=\"https://a.example/\\\"x\\\"\\n\",state=\"open\"} 1",
            "gatefort_introspection_in_flight{issuer=\"https://a.example/\\\"x\\\"\\n\"} 6",
            "gatefort_introspection_cached_bytes{issuer=\"https://a.example/\\\"x\\\"\\n\"} 8",
            "gatefort_decisions_in_flight 12",
            "gatefort_token_cache_hits_total 13",
            "gatefort_token_cache_misses_total 14",
            "gatefort_token_cache_entries 15",
            "gatefort_token_cache_bytes 16",
            "gatefort_log_dropped_total 0",
            "gatefort_revocations 7",
            "gatefort_revocations_max 1000",
            "gatefort_revocations_evicted_total 2",
            "gatefort_revocations_file_good 0",
            "gatefort_revocations_following 0",
            "gatefort_revocations_stream_connected 1",
            "gatefort_revocations_stream_pending 1",
            "gatefort_revocations_lag_seconds 1.5",
            "gatefort_revocations_stream_published_total 3",
            "gatefort_revocations_stream_received_total 4",
            "gatefort_revocations_stream_skipped_total 5",
            "gatefort_revocations_stream_reconciled_total 6",
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n"));
        assert_eq!(text.matches("# EOF").count(), 1);
    }

    #[test]
    fn an_age_that_is_not_known_is_not_shown() {
        let telemetry = Telemetry::silent();
        let blind = IssuerStatus {
            age_seconds: None,
            state: KeyState::Blind,
            ..issuer()
        };
        let text = telemetry
            .metrics(vec![blind], revocations(), Load::default())
            .unwrap();
        assert!(!text.contains("gatefort_jwks_age_seconds{"));
    }

    #[test]
    fn what_callers_send_makes_no_series() {
        let telemetry = Telemetry::silent();
        let mut lines = 0;
        for caller in 0..100_000 {
            let mut verdict = Verdict::unreadable(DenyReason::OriginalMissing);
            verdict.issuer = Some(format!("https://issuer-{caller}.example").into());
            let id = format!("request-{caller}");
            telemetry.record(Door::ExtAuthz, None, Some(&id), &verdict, Duration::ZERO);
            if caller == 0 {
                lines = series(&telemetry);
            }
        }
        assert_eq!(series(&telemetry), lines);
    }

    fn series(telemetry: &Telemetry) -> usize {
        let text = telemetry.metrics(Vec::new(), revocations(), Load::default());
        text.unwrap().lines().count()
    }
}
