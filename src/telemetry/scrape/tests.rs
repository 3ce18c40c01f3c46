use std::time::Duration;

use super::super::{Decided, Door};
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
    telemetry.record(&Decided::bare(
        Door::AuthRequest,
        &Verdict::unreadable(DenyReason::OriginalMissing),
        Duration::from_micros(10),
    ));
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
        telemetry.record(&Decided {
            request_id: Some(&id),
            ..Decided::bare(Door::ExtAuthz, &verdict, Duration::ZERO)
        });
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
