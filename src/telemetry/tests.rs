//! What a decision leaves in the log and in the counters.

use super::queue::tests::Sink;
use super::settings::LogFormat;
use super::*;
use crate::domain::policy::RuleId;
use crate::domain::reason::{DenyReason, OutageReason};

fn logged(decisions: DecisionLog, record: impl FnOnce(&Telemetry)) -> String {
    let sink = Sink::default();
    let queue = LogQueue::start(LogFormat::Json, sink.clone()).unwrap();
    let telemetry = Telemetry::new(queue.clone(), decisions, &["admin".into()]);
    record(&telemetry);
    queue.flush(Duration::from_secs(5));
    sink.text()
}

fn outage() -> Verdict {
    Verdict {
        rule: Some(RuleId(0)),
        issuer: Some("https://issuer.example".into()),
        ..Decision::Unavailable(OutageReason::KeysUnavailable.into()).into()
    }
}

#[test]
fn a_decision_is_one_line_with_its_facts() {
    let text = logged(DecisionLog::All, |telemetry| {
        telemetry.record(&Decided {
            request_id: Some("id\n1"),
            ..Decided::bare(Door::ForwardAuth, &outage(), Duration::from_micros(1234))
        });
    });
    let mut line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let ts = line.as_object_mut().unwrap().remove("ts");
    assert!(ts.is_some_and(|ts| ts.is_string()));
    assert_eq!(
        line,
        serde_json::json!({
            "level": "INFO",
            "message": "decision",
            "verdict": "unavailable",
            "reason": "keys_unavailable",
            "door": "forward_auth",
            "rule": "admin",
            "issuer": "https://issuer.example",
            "request_id": "id\n1",
            "took_us": 1234,
        })
    );
}

#[test]
fn the_switch_chooses_the_lines_and_not_the_counts() {
    let telemetry = Telemetry::silent();
    let denied = Verdict::unreadable(DenyReason::PathAmbiguous);
    telemetry.record(&Decided::bare(Door::ExtAuthz, &denied, Duration::ZERO));
    assert_eq!(telemetry.counts().deny, 1);
    let record = |telemetry: &Telemetry| {
        telemetry.record(&Decided::bare(Door::ExtAuthz, &denied, Duration::ZERO));
    };
    assert_eq!(logged(DecisionLog::Off, record), "");
    assert_eq!(logged(DecisionLog::Denied, record).lines().count(), 1);
}

#[test]
fn subjects_are_told_apart_by_issuer_and_never_named() {
    let one = digest_of("https://a.example", "alice");
    assert_eq!(one.len(), 16);
    assert_eq!(one, digest_of("https://a.example", "alice"));
    assert_ne!(one, digest_of("https://b.example", "alice"));
    // The separator keeps "a" + "bc" from being "ab" + "c".
    assert_ne!(digest_of("a", "bc"), digest_of("ab", "c"));
}

#[test]
fn a_defect_in_telling_ends_neither_the_recording_nor_the_answer() {
    let denied = Verdict::unreadable(DenyReason::PathAmbiguous);
    let telemetry = Telemetry::silent();
    telemetry.tell(
        &[|_, _| panic!("a defect"), Telemetry::count],
        &Decided::bare(Door::ExtAuthz, &denied, Duration::ZERO),
    );
    assert_eq!(telemetry.counts().deny, 1);
}
