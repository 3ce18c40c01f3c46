//! The console: one page at `/` of the admin listener, whole in itself.
//!
//! It asks the other pages for what it shows. Its policy lets it run its own script and style, known by
//! their digests, and talk to where it came from: nothing that a request's path or header says can become more.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine};

const STYLE: &str = include_str!("console/page.css");
const SCRIPT: &str = include_str!("console/page.js");

const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
    // An icon of its own: browsers would ask for one.
    "<title>Gatefort</title><link rel=\"icon\" href=\"data:,\"><style>",
    include_str!("console/page.css"),
    "</style></head><body>\n",
    include_str!("console/page.html"),
    "<script>",
    include_str!("console/page.js"),
    "</script></body></html>\n",
);

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let of = |text: &str| BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        of(SCRIPT),
        of(STYLE)
    )
});

/// The page.
pub(super) async fn page() -> Response {
    let mut response = Html(PAGE).into_response();
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_policy_names_what_is_in_the_page_and_nothing_else() {
        let response = page().await;
        let policy = response.headers()[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        // What the digests are of stands between the tags, once each.
        assert_eq!(PAGE.matches(&format!("<style>{STYLE}</style>")).count(), 1);
        assert_eq!(
            PAGE.matches(&format!("<script>{SCRIPT}</script>")).count(),
            1
        );
        for never in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=\"",
            " onclick",
        ] {
            assert!(!PAGE.contains(never), "{never}");
        }
        for elsewhere in ["src=\"http", "href=\"http", "url(", "@import"] {
            assert!(!PAGE.contains(elsewhere), "{elsewhere}");
        }
    }
}
