//! A gateway's call over HTTP, as the doors read it, whoever parsed it.

use http::request::Parts;

use crate::domain::request::Headers;

/// A call's head.
#[derive(Debug)]
pub struct Call<'w> {
    /// The method, as sent.
    pub method: &'w str,
    /// Path and query, as sent; empty where the request line has none.
    pub target: &'w str,
    /// The authority, where the request line (or HTTP/2's `:authority`) names one.
    pub authority: Option<&'w str>,
    /// The fields.
    pub headers: Headers<'w>,
}

impl<'w> Call<'w> {
    /// The call that hyper read.
    #[must_use]
    pub fn of(parts: &'w Parts) -> Self {
        let target = parts.uri.path_and_query();
        let fields = parts.headers.iter();
        Self {
            method: parts.method.as_str(),
            target: target.map_or("", http::uri::PathAndQuery::as_str),
            authority: parts.uri.authority().map(http::uri::Authority::as_str),
            headers: Headers::new(
                fields
                    .map(|(name, value)| (name.as_str(), value.as_bytes()))
                    .collect(),
            ),
        }
    }

    /// The path of the target, undecoded.
    pub(super) fn path(&self) -> &'w str {
        self.target
            .split_once('?')
            .map_or(self.target, |(path, _query)| path)
    }
}
