//! One call to an introspection endpoint: what is sent in each protocol, and what an answer means.
//!
//! Bounded in time (by the client), size and where it may go. It refuses to know who asks, or why.

use base64::prelude::{BASE64_STANDARD, Engine};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use super::super::failure::FetchError;
use super::super::fetch::{check_url, classify, read_body};
use super::super::settings::PlainHttp;
use super::failure::Failure;
use super::given::GivenAnswer;
use super::settings::{ClientAuth, Protocol};
use super::signed::Signer;
use crate::domain::introspection::Answer;

/// How long an answer may be: the largest real ones, with hundreds of groups, are a third of it.
const MAX_ANSWER: usize = 64 * 1024;

/// The media type of a signed answer (RFC 9701 §4).
const SIGNED_ANSWER: &str = "application/token-introspection+jwt";

/// Asks one endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) client: reqwest::Client,
    pub(super) url: Url,
    pub(super) plain_http: PlainHttp,
    pub(super) protocol: Protocol,
    pub(super) signer: Signer,
    /// What stands in for the endpoint.
    pub(super) given: Option<GivenAnswer>,
}

/// What is sent.
struct Message {
    method: Method,
    headers: HeaderMap,
    body: String,
}

impl Endpoint {
    /// Asks about a token.
    pub(super) async fn ask(&self, token: &SecretString) -> Result<Answer, Failure> {
        if let Some(given) = &self.given {
            return given.about(token);
        }
        check_url(&self.url, self.plain_http)?;
        let asked = self.signer.now();
        let Message {
            method,
            headers,
            body,
        } = self.message(token.expose_secret())?;
        let mut request = self
            .client
            .request(method, self.url.clone())
            .headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(|error| classify(&error))?;
        let status = response.status();
        // Two statuses of an AuthFort server say in the body what they mean.
        let says_more = status == StatusCode::OK
            || matches!(
                (&self.protocol, status),
                (
                    Protocol::AuthfortMe,
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
                )
            );
        let body = if says_more {
            read_body(&mut response, MAX_ANSWER).await?
        } else {
            Vec::new()
        };
        match &self.protocol {
            Protocol::Rfc9701 { audience, .. } if status == StatusCode::OK => {
                if !is_signed(response.headers()) {
                    return Err(Failure::NotSigned);
                }
                self.signer.read(&body, audience, asked).await
            }
            Protocol::Rfc7662(_)
            | Protocol::Rfc9701 { .. }
            | Protocol::Authfort(_)
            | Protocol::AuthfortMe => self.meaning(status, &body),
        }
    }

    fn message(&self, token: &str) -> Result<Message, Failure> {
        let mut headers = HeaderMap::new();
        let accepted = match &self.protocol {
            // Alone: whoever may choose might choose the plain one.
            Protocol::Rfc9701 { .. } => SIGNED_ANSWER,
            Protocol::Rfc7662(_) | Protocol::Authfort(_) | Protocol::AuthfortMe => {
                "application/json"
            }
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        let mut form = form_urlencoded::Serializer::new(String::new());
        let (method, body) = match &self.protocol {
            Protocol::Rfc7662(auth) | Protocol::Rfc9701 { auth, .. } => {
                form.append_pair("token", token)
                    .append_pair("token_type_hint", "access_token");
                match auth {
                    ClientAuth::Basic { id, secret } => {
                        headers.insert(AUTHORIZATION, basic(id, secret)?);
                    }
                    ClientAuth::Post { id, secret } => {
                        form.append_pair("client_id", id)
                            .append_pair("client_secret", secret.expose_secret());
                    }
                    ClientAuth::Bearer(secret) => {
                        headers.insert(AUTHORIZATION, bearer(secret.expose_secret())?);
                    }
                }
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, kind);
                (Method::POST, form.finish())
            }
            Protocol::Authfort(secret) => {
                headers.insert(AUTHORIZATION, bearer(secret.expose_secret())?);
                let kind = HeaderValue::from_static("application/json");
                headers.insert(CONTENT_TYPE, kind);
                let body = serde_json::json!({ "token": token });
                (Method::POST, body.to_string())
            }
            Protocol::AuthfortMe => {
                headers.insert(AUTHORIZATION, bearer(token)?);
                (Method::GET, String::new())
            }
        };
        Ok(Message {
            method,
            headers,
            body,
        })
    }

    /// What a plain answer means. Nothing but a well-formed "not active" means inactive.
    fn meaning(&self, status: StatusCode, body: &[u8]) -> Result<Answer, Failure> {
        match (&self.protocol, status) {
            (Protocol::Rfc7662(_), StatusCode::OK) => Ok(Answer::rfc7662(body)?),
            (Protocol::Authfort(_), StatusCode::OK) => Ok(Answer::authfort(body)?),
            (Protocol::AuthfortMe, StatusCode::OK) => Ok(Answer::authfort_me(body)?),
            (Protocol::AuthfortMe, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                if Answer::is_authfort_refusal(body) =>
            {
                Ok(Answer::Inactive)
            }
            (
                Protocol::Rfc7662(_) | Protocol::Rfc9701 { .. } | Protocol::Authfort(_),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
            ) => Err(Failure::Refused),
            (_, status) if status.is_redirection() => Err(FetchError::Redirect.into()),
            (_, status) => Err(FetchError::Status {
                status: status.as_u16(),
                retry_after: None,
            }
            .into()),
        }
    }
}

/// Whether the answer says that it is a signed one; parameters of the type do not matter.
fn is_signed(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SIGNED_ANSWER))
}

/// RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
fn basic(id: &str, secret: &SecretString) -> Result<HeaderValue, Failure> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose_secret()));
    sensitive(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

fn bearer(secret: &str) -> Result<HeaderValue, Failure> {
    sensitive(&format!("Bearer {secret}"))
}

/// A header value that no `Debug` shows and no header compression remembers.
fn sensitive(text: &str) -> Result<HeaderValue, Failure> {
    // The configuration admits no secret that cannot be sent.
    let mut value = HeaderValue::from_str(text).map_err(|_unsendable| Failure::Internal)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::cache::KeyCache;
    use super::super::super::client::Clients;
    use super::super::super::clock::SystemClock;
    use super::super::super::settings::HttpSettings;
    use super::*;
    use crate::domain::claims::fixture;

    fn endpoint(protocol: Protocol) -> Endpoint {
        let url = Url::parse("http://127.0.0.1:9/introspect").unwrap();
        let made = Clients::default().client(&HttpSettings::default(), &url);
        Endpoint {
            client: made.unwrap().1,
            url,
            plain_http: PlainHttp::LoopbackOnly,
            protocol,
            signer: Signer {
                keys: KeyCache::empty("i".into(), Duration::ZERO, Duration::ZERO).into(),
                rules: fixture::rules("i").into(),
                clock: std::sync::Arc::new(SystemClock),
            },
            given: None,
        }
    }

    fn secret() -> SecretString {
        SecretString::from("s: %é")
    }

    fn sent(protocol: Protocol) -> (Method, String, String) {
        let message = endpoint(protocol).message("a.b+c").unwrap();
        let header = |name| {
            let value = message.headers.get(name);
            value.map_or("-", |value: &HeaderValue| value.to_str().unwrap())
        };
        let headers = [AUTHORIZATION, CONTENT_TYPE, ACCEPT].map(header).join(" ");
        (message.method, headers, message.body)
    }

    #[test]
    fn what_is_sent_in_each_protocol() {
        let id = || "id&1".into();
        let basic = BASE64_STANDARD.encode("id%261:s%3A+%25%C3%A9");
        let form = "application/x-www-form-urlencoded";
        let json = "application/json";
        assert_eq!(
            sent(Protocol::Rfc7662(ClientAuth::Basic {
                id: id(),
                secret: secret()
            })),
            (
                Method::POST,
                format!("Basic {basic} {form} {json}"),
                "token=a.b%2Bc&token_type_hint=access_token".to_owned()
            )
        );
        assert_eq!(
            sent(Protocol::Rfc7662(ClientAuth::Post {
                id: id(),
                secret: secret()
            })),
            (
                Method::POST,
                format!("- {form} {json}"),
                "token=a.b%2Bc&token_type_hint=access_token&client_id=id%261\
                 &client_secret=s%3A+%25%C3%A9"
                    .to_owned()
            )
        );
        assert_eq!(
            sent(Protocol::Rfc7662(ClientAuth::Bearer("key".into()))).1,
            format!("Bearer key {form} {json}")
        );
        let signed = Protocol::Rfc9701 {
            auth: ClientAuth::Bearer("key".into()),
            audience: id(),
        };
        assert_eq!(
            sent(signed),
            (
                Method::POST,
                format!("Bearer key {form} {SIGNED_ANSWER}"),
                "token=a.b%2Bc&token_type_hint=access_token".to_owned()
            )
        );
        assert_eq!(
            sent(Protocol::Authfort("key".into())),
            (
                Method::POST,
                format!("Bearer key {json} {json}"),
                r#"{"token":"a.b+c"}"#.to_owned()
            )
        );
        assert_eq!(
            sent(Protocol::AuthfortMe),
            (Method::GET, format!("Bearer a.b+c - {json}"), String::new())
        );
    }

    #[test]
    fn only_a_well_formed_no_means_inactive() {
        let rfc7662 = || Protocol::Rfc7662(ClientAuth::Bearer("key".into()));
        let banned = br#"{"detail":{"error":"user_banned"}}"#;
        let no = br#"{"active":false}"#;
        let status = |status| {
            Failure::Exchange(FetchError::Status {
                status,
                retry_after: None,
            })
        };
        let meaning = |protocol, status, body: &[u8]| {
            let status = StatusCode::from_u16(status).unwrap();
            endpoint(protocol).meaning(status, body)
        };
        assert_eq!(meaning(rfc7662(), 200, no), Ok(Answer::Inactive));
        assert_eq!(
            meaning(Protocol::AuthfortMe, 401, banned),
            Ok(Answer::Inactive)
        );
        assert_eq!(
            meaning(Protocol::AuthfortMe, 403, banned),
            Ok(Answer::Inactive)
        );
        assert_eq!(meaning(Protocol::AuthfortMe, 401, b""), Err(status(401)));
        assert_eq!(meaning(Protocol::AuthfortMe, 500, banned), Err(status(500)));
        for protocol in [rfc7662(), Protocol::Authfort("key".into())] {
            assert_eq!(meaning(protocol, 401, no), Err(Failure::Refused));
        }
        assert_eq!(meaning(rfc7662(), 403, no), Err(Failure::Refused));
        for other in [201, 204, 400, 404, 422, 429, 500, 503] {
            assert_eq!(meaning(rfc7662(), other, no), Err(status(other)), "{other}");
        }
        assert_eq!(
            meaning(rfc7662(), 302, no),
            Err(Failure::Exchange(FetchError::Redirect))
        );
        assert!(matches!(
            meaning(rfc7662(), 200, b"<html>"),
            Err(Failure::NoAnswer(_))
        ));
    }

    #[test]
    fn no_debug_shows_a_secret() {
        let asked = endpoint(Protocol::Authfort("canary".into()));
        let headers = asked.message("canary").unwrap().headers;
        let shown = format!("{asked:?} {headers:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
