//! What `/decisions` answered, as cases: without claims, which it does not hold.

use std::path::Path;

use serde_json::Map;

use super::config::Place;
use super::config::cases::{Case, CaseRequest, CaseToken, Expect, Minted, Verdict, reason_of};
use super::decisions::Decisions;
use crate::domain::reason::{DenyKind, DenyReason};
use crate::telemetry;

/// A text that begins as an answer of `/decisions` is none.
#[derive(Debug, thiserror::Error)]
#[error("{file}: not what /decisions answers: {cause}")]
pub(super) struct NotRecorded {
    file: String,
    #[source]
    cause: serde_json::Error,
}

/// The cases of an answer of `/decisions`; `None` for a file of another kind.
pub(super) fn decisions(text: &str, file: &Path) -> Result<Option<Vec<Case>>, NotRecorded> {
    let is_one = serde_json::from_str::<serde_json::Value>(text)
        .is_ok_and(|value| value.get("decisions").is_some());
    if !is_one {
        return Ok(None);
    }
    let file = file.display().to_string();
    let read: Decisions = serde_json::from_str(text).map_err(|cause| NotRecorded {
        file: file.clone(),
        cause,
    })?;
    let cases = read.decisions.iter().filter_map(|one| case(one, &file));
    Ok(Some(cases.collect()))
}

/// A decision as a case; `None` where no rule was asked, or nobody could answer.
fn case(recorded: &telemetry::Recorded, file: &str) -> Option<Case> {
    let request = recorded.request.as_ref()?;
    let reason = reason_of(&recorded.explanation.reason)?;
    let verdict = match &*recorded.explanation.verdict {
        "allow" => Verdict::Allow,
        "deny" => Verdict::Deny,
        _ => return None,
    };
    let kind = DenyReason::ALL
        .iter()
        .find(|known| known.code() == reason)
        .map(|reason| reason.kind());
    let token = match (kind, &recorded.explanation.issuer) {
        (Some(DenyKind::Unreadable), ..) => return None,
        (Some(DenyKind::NoCredentials), ..) => CaseToken::None,
        (Some(DenyKind::InvalidToken), ..) => CaseToken::Refused(reason),
        (_, Some(issuer)) => CaseToken::Minted(Box::new(Minted::good(issuer.clone(), Map::new()))),
        (_, None) => CaseToken::Unread,
    };
    Some(Case::of_record(
        format!(
            "#{} {} {}{}",
            recorded.number, request.method, request.host, request.path
        ),
        Place::within(file),
        CaseRequest {
            method: request.method.clone(),
            host: request.host.clone(),
            path: request.path.clone(),
            headers: Vec::new(),
            client: request
                .client
                .as_ref()
                .and_then(|client| client.parse().ok()),
        },
        token,
        // The rule is shown there with its place and its path, not by its label.
        Expect::verdict(verdict, Some(reason)),
    ))
}
