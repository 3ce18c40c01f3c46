//! `forward_token: false`: what the upstream gets to see in place of the credential.

use bytes::Bytes;
use http::HeaderName;
use http::header::AUTHORIZATION;

use super::AnswerSettings;
use crate::domain::credential::TokenSource;
use crate::domain::request::Headers;

/// The places that a credential is taken out of; none when the upstream may see it.
#[derive(Debug)]
pub(super) struct Stripping {
    headers: Vec<HeaderName>,
    cookies: Vec<Box<str>>,
}

impl Stripping {
    /// The configured places, when `forward_token` is off.
    pub(super) fn new(settings: &AnswerSettings, sources: &[TokenSource]) -> Self {
        let mut stripping = Self {
            headers: Vec::new(),
            cookies: Vec::new(),
        };
        if settings.forward_token {
            return stripping;
        }
        for source in sources {
            match source {
                TokenSource::Authorization => stripping.headers.push(AUTHORIZATION),
                // A name that is none can hold no credential.
                TokenSource::Header(name) => stripping.headers.extend(name.parse::<HeaderName>()),
                TokenSource::Cookie(name) => stripping.cookies.push(name.clone()),
            }
        }
        stripping
    }

    /// The headers that are removed whole.
    pub(super) fn headers(&self) -> &[HeaderName] {
        &self.headers
    }

    /// Whether what [`Self::cookie`] gives is the same for every request: nothing.
    pub(super) const fn leaves_cookies(&self) -> bool {
        self.cookies.is_empty()
    }

    /// What `Cookie` becomes: the other cookies, or nothing. `None` where no cookie is a credential.
    ///
    /// A cookie that is not text, or holds control characters, is left out: Envoy would refuse the whole answer.
    pub(super) fn cookie(&self, request: &Headers<'_>) -> Option<Bytes> {
        if self.cookies.is_empty() {
            return None;
        }
        let mut kept = String::new();
        for pair in request
            .all("cookie")
            .flat_map(|field| field.split(|byte| *byte == b';'))
        {
            let Ok(pair) = std::str::from_utf8(pair.trim_ascii()) else {
                continue;
            };
            let name = pair
                .split_once('=')
                .map_or(pair, |(name, _)| name)
                .trim_ascii();
            let is_credential = self.cookies.iter().any(|cookie| **cookie == *name);
            if is_credential || pair.is_empty() || pair.contains(char::is_control) {
                continue;
            }
            if !kept.is_empty() {
                kept.push_str("; ");
            }
            kept.push_str(pair);
        }
        Some(kept.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::OnUnavailable;

    fn stripping(forward_token: bool) -> Stripping {
        let settings = AnswerSettings {
            realm: "test".to_owned(),
            on_unavailable: OnUnavailable::Deny,
            forward_token,
        };
        let sources = [
            TokenSource::Authorization,
            TokenSource::Header("x-jwt".into()),
            TokenSource::Cookie("access_token".into()),
        ];
        Stripping::new(&settings, &sources)
    }

    fn cookie(fields: &[&[u8]]) -> String {
        let headers = Headers::new(fields.iter().map(|field| ("Cookie", *field)).collect());
        let kept = stripping(false).cookie(&headers).unwrap();
        String::from_utf8(kept.to_vec()).unwrap()
    }

    #[test]
    fn the_other_cookies_stay() {
        assert_eq!(cookie(&[]), "");
        assert_eq!(cookie(&[b"access_token=a.b.c"]), "");
        assert_eq!(cookie(&[b"a=1; access_token=a.b.c; b=2"]), "a=1; b=2");
        assert_eq!(
            cookie(&[b"a=1;access_token=x", b"access_token = y;c"]),
            "a=1; c"
        );
        assert_eq!(
            cookie(&[b"xaccess_token=1; access_token2=2"]),
            "xaccess_token=1; access_token2=2"
        );
        assert_eq!(
            cookie(&["é=ü; a=\u{1}; b=1".as_bytes(), b"c=\xff"]),
            "é=ü; b=1"
        );
    }

    #[test]
    fn nothing_is_touched_when_the_upstream_may_see_the_token() {
        let stripping = stripping(true);
        assert!(stripping.headers().is_empty());
        assert_eq!(
            stripping.cookie(&Headers::new(vec![("cookie", b"access_token=x")])),
            None
        );
    }

    #[test]
    fn header_places_go_whole() {
        assert_eq!(stripping(false).headers(), ["authorization", "x-jwt"]);
    }
}
