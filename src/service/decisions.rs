//! `/decisions` and `/explain` on the admin listener: why a request was decided as it was, or would be.
//!
//! What is asked of `/explain` is kept nowhere: it is not logged, not counted, not among the recent decisions,
//! and its token is remembered by nobody here.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::form_urlencoded;

use super::asked::{Asked, authority_of};
use super::live::Live;
use super::why::Advice;
use crate::domain::explanation::Explanation;
use crate::telemetry::{Recorded, Wanted};

/// How many decisions are shown unless `limit` says otherwise: two screenfuls.
const LIMIT: usize = 50;

/// The most that `limit` may say: as many as are kept by default.
const MAX_LIMIT: usize = 1000;

/// The longest question: a head of the longest kind, and its quotes.
const MAX_QUESTION: usize = 128 * 1024;

/// What `/decisions` answers, and `gatefort explain --request-id` reads.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Decisions {
    /// The newest first.
    pub(super) decisions: Vec<Arc<Recorded>>,
}

/// What `/explain` is asked.
#[derive(Deserialize)]
#[serde(untagged)]
enum Question {
    Curl(Line),
    Request(Asked),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    curl: String,
}

/// What `/explain` answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Explained {
    #[serde(flatten)]
    pub(super) explanation: Explanation,
}

/// The routes.
pub(super) fn router(live: Arc<Live>) -> Router {
    Router::new()
        .route("/decisions", get(decisions))
        .route("/explain", post(explain))
        .route("/reasons", get(reasons))
        .with_state(live)
}

async fn decisions(State(live): State<Arc<Live>>, RawQuery(query): RawQuery) -> Response {
    match read(query.as_deref().unwrap_or_default()) {
        Ok((wanted, limit)) => Json(Decisions {
            decisions: live.telemetry().recent(&wanted, limit),
        })
        .into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response(),
    }
}

/// What each reason means; the page shows it beside a decision.
async fn reasons() -> Response {
    Json(Advice::all().collect::<Vec<_>>()).into_response()
}

async fn explain(State(live): State<Arc<Live>>, headers: HeaderMap, body: Body) -> Response {
    let refuse =
        |status: StatusCode, error: &str| (status, Json(json!({"error": error}))).into_response();
    if !is_same_origin(&headers) {
        return refuse(StatusCode::FORBIDDEN, "asked by a page of another origin");
    }
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/json",
        );
    }
    let Ok(body) = to_bytes(body, MAX_QUESTION).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the question is too long");
    };
    // What serde says about a text could repeat some of it.
    let asked = match serde_json::from_slice::<Question>(&body) {
        Ok(Question::Request(asked)) => asked,
        Ok(Question::Curl(Line { curl })) => match Asked::curl(&curl) {
            Ok(asked) => asked,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        Err(_not_one) => {
            let wanted = "the body must be {\"method\", \"host\", \"path\", \"headers\": [[name, value]], \"token\"} or {\"curl\"}";
            return refuse(StatusCode::BAD_REQUEST, wanted);
        }
    };
    let authorizer = live.doors().state().authorizer;
    let explanation = asked.explain(&authorizer).await;
    Json(Explained { explanation }).into_response()
}

/// Whether no page of another origin asks: browsers say so by `Sec-Fetch-Site`, older ones by `Origin`;
/// what is no browser says neither. A page elsewhere could otherwise have a browser inside ask for it.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &http::HeaderValue| value.to_str().unwrap_or_default())
    };
    let by_site = text(http::HeaderName::from_static("sec-fetch-site"))
        .is_none_or(|site| matches!(site, "same-origin" | "none"));
    let by_origin = text(ORIGIN).is_none_or(|origin| {
        authority_of(origin).is_some_and(|authority| text(HOST) == Some(&authority))
    });
    by_site && by_origin
}

/// Reads the filters; an unknown one is an error, because what it was to leave out would be shown.
fn read(query: &str) -> Result<(Wanted, usize), String> {
    let mut wanted = Wanted::default();
    let mut limit = LIMIT;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "request_id" => &mut wanted.request_id,
            "trace_id" => &mut wanted.trace_id,
            "reason" => &mut wanted.reason,
            "rule" => &mut wanted.rule,
            "subject" => &mut wanted.subject,
            "verdict" => &mut wanted.verdict,
            "door" => &mut wanted.door,
            "limit" => {
                let number = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MAX_LIMIT).contains(limit));
                limit =
                    number.ok_or_else(|| format!("`limit` is a number from 1 to {MAX_LIMIT}"))?;
                continue;
            }
            _ => {
                return Err("there are the filters request_id, trace_id, reason, rule, subject, verdict, door and limit".to_owned());
            }
        };
        *place = Some(value.into_owned());
    }
    Ok((wanted, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_nothing_else_is() {
        assert_eq!(read(""), Ok((Wanted::default(), LIMIT)));
        let (wanted, limit) = read("request_id=a%20b&rule=3&limit=7").unwrap();
        assert_eq!(wanted.request_id.as_deref(), Some("a b"));
        assert_eq!(wanted.rule.as_deref(), Some("3"));
        assert_eq!(limit, 7);
        for bad in ["limit=0", "limit=1001", "limit=x", "requestid=a"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_page_of_this_origin_may_ask() {
        for (fields, expected) in [
            (&[][..], true),
            (
                &[
                    ("origin", "http://127.0.0.1:9193"),
                    ("sec-fetch-site", "same-origin"),
                ],
                true,
            ),
            (&[("origin", "http://127.0.0.1:9193")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "http://127.0.0.1")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:9193".parse().unwrap());
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(is_same_origin(&headers), expected, "{fields:?}");
        }
    }
}
