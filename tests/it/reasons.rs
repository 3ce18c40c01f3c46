//! `docs/reasons.md` has each reason once, in order, and says what its caller sees.

use gatefort::domain::reason::{DenyKind, DenyReason, OutageReason};

const PAGE: &str = include_str!("../../docs/reasons.md");

/// The labels of a section's lines, in order; what an issuer's users should know stands between the last two.
const LABELS: [&str; 4] = ["Means", "Usual cause", "Fix", "Caller sees"];

/// A section that explains a reason.
struct Section {
    code: &'static str,
    /// Its list, an item each, without the dash.
    items: Vec<&'static str>,
}

/// The sections under a headline of the form `` ### `code` ``.
fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in PAGE.lines() {
        let code = line
            .strip_prefix("### `")
            .and_then(|rest| rest.strip_suffix('`'));
        if let Some(code) = code {
            let items = Vec::new();
            sections.push(Section { code, items });
        } else if let (Some(section), Some(item)) = (sections.last_mut(), line.strip_prefix("- ")) {
            section.items.push(item);
        }
    }
    sections
}

/// What the page has to say of a denial's answer; the wire table itself is tested beside it.
fn denied(reason: DenyReason) -> (&'static str, &'static str) {
    let (status, code) = match reason.kind() {
        DenyKind::Unreadable => ("400 (403 at nginx)", "bad_request"),
        DenyKind::NoCredentials => ("401", "token_missing"),
        DenyKind::InvalidToken => ("401", "token_invalid"),
        DenyKind::Forbidden => ("403", "forbidden"),
    };
    let finer = [
        (DenyReason::TokenExpired, "token_expired"),
        (DenyReason::RolesMissing, "insufficient_role"),
        (DenyReason::ScopesMissing, "insufficient_scope"),
    ];
    let own = finer.iter().find(|(known, _)| *known == reason);
    (status, own.map_or(code, |(_, code)| code))
}

#[test]
fn every_reason_has_one_section_and_every_section_a_reason() {
    let documented: Vec<_> = sections().iter().map(|section| section.code).collect();
    let denials = DenyReason::ALL.iter().map(|reason| reason.code());
    let outages = OutageReason::ALL.iter().map(|reason| reason.code());
    let reasons: Vec<_> = denials.chain(outages).collect();
    assert_eq!(documented, reasons);
    // A headline of another form would be no section, and its text the one's above.
    let headlines = PAGE.lines().filter(|line| line.starts_with("###")).count();
    assert_eq!(headlines, reasons.len());
}

#[test]
fn every_section_says_what_it_means_its_cause_its_fix_and_its_answer() {
    for Section { code, items } in sections() {
        let labels: Vec<_> = items
            .iter()
            .map(|item| item.split_once(": ").map_or("", |(label, _)| label))
            .collect();
        assert_eq!(labels.get(..3), Some(&LABELS[..3]), "{code}");
        assert_eq!(labels.last(), Some(&LABELS[3]), "{code}");
    }
}

#[test]
fn every_section_ends_with_the_answer_that_the_reason_gets() {
    let outage = ("503 (403 at Envoy HTTP)", "unavailable");
    let denials = DenyReason::ALL
        .iter()
        .map(|reason| (reason.code(), denied(*reason)));
    let outages = OutageReason::ALL
        .iter()
        .map(|reason| (reason.code(), outage));
    let answers: Vec<_> = denials.chain(outages).collect();
    for Section { code, items } in sections() {
        let (_, (status, public)) = answers.iter().find(|(known, _)| *known == code).unwrap();
        let expected = format!("Caller sees: {status}, `{public}`.");
        assert_eq!(items.last().copied(), Some(&*expected), "{code}");
    }
}
