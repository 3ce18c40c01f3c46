//! Encoding answers, and not encoding the same one twice.
//!
//! All of an Allow but the rule's number is the same for each request of a principal, so it is kept
//! with the principal's identity values. What depends on the request is written anew each time.

use std::borrow::Cow;

use prost::Message;

use super::super::Answers;
use super::answer;
use super::metadata::{self, RULE_FIELD_LENGTH};
use super::pb::envoy::service::auth::v3::check_response::HttpResponse;
use crate::authorizer::{Decision, Verdict};
use crate::domain::request::RequestContext;

/// An encoded `CheckResponse`, in two parts.
pub(super) struct Encoded<'v> {
    /// What may be kept.
    pub most: Cow<'v, [u8]>,
    /// What follows it; encoded messages that follow one another are merged by whoever decodes them
    /// (Protocol Buffers, "Last One Wins").
    pub rest: Option<[u8; RULE_FIELD_LENGTH]>,
}

/// Writes and encodes a verdict. `request` is absent where it could not be read.
pub(super) fn write<'v>(
    verdict: &'v Verdict,
    request: Option<&RequestContext<'_>>,
    request_id: &str,
    answers: &Answers,
) -> Encoded<'v> {
    let Verdict { decision, rule, .. } = verdict;
    let values = match decision {
        Decision::Allow(grant)
            if grant.identity().remove.is_empty() && answers.stripping.leaves_cookies() =>
        {
            &grant.identity().headers
        }
        Decision::Allow(_) | Decision::Deny(_) | Decision::Unavailable(_) => {
            let response = answer::write(decision, *rule, request, request_id, answers);
            return Encoded {
                most: response.encode_to_vec().into(),
                rest: None,
            };
        }
    };
    let rest = rule.map(metadata::rule_field);
    if let Some(kept) = values.answer() {
        let most = kept.into();
        return Encoded { most, rest };
    }
    let response = answer::write(decision, None, request, request_id, answers);
    let most = response.encode_to_vec();
    let is_allow = matches!(response.http_response, Some(HttpResponse::OkResponse(_)));
    if is_allow {
        values.keep_answer(&most);
    }
    Encoded {
        most: most.into(),
        // Else the values turned out to be no text, and the answer is a "no".
        rest: rest.filter(|_| is_allow),
    }
}
