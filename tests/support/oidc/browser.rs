//! A person at a browser: cookies, redirects, the issuer's own forms.

use std::collections::BTreeMap;

use serde_json::Value;
use url::{Url, form_urlencoded};

use super::super::client::client;
use super::{OidcProvider, REDIRECT, RelyingParty};

/// How many redirects and forms a login may take.
const STEPS: usize = 12;

/// Somebody who is logged in.
pub(crate) struct Session {
    /// The access token for `urn:test:rs256`.
    pub(crate) access_token: String,
    id_token: String,
    browser: Browser,
}

/// Cookies, by name: a later one of a name replaces the earlier, whatever its path.
struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

/// A page, or where to go instead.
struct Page {
    url: Url,
    location: Option<Url>,
    text: String,
}

impl OidcProvider {
    /// Logs somebody in at a relying party.
    pub(crate) async fn log_in(&self, party: &RelyingParty, login: &str) -> Session {
        let mut browser = Browser {
            client: client(),
            cookies: BTreeMap::new(),
        };
        let question = form(&[
            ("client_id", &party.id),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", "openid"),
            ("resource", "urn:test:rs256"),
        ]);
        let start = Url::parse(&format!("{}/auth?{question}", self.url())).expect("a URL");
        let mut page = browser.get(&start).await;
        for _ in 0..STEPS {
            page = match page.location {
                Some(url) if url.as_str().starts_with(REDIRECT) => {
                    let (_, code) = url
                        .query_pairs()
                        .find(|(name, _)| name == "code")
                        .unwrap_or_else(|| panic!("a code in {url}"));
                    return self.redeem(party, &code, browser).await;
                }
                Some(url) => browser.get(&url).await,
                None if page.text.contains("value=\"login\"") => {
                    let answer = form(&[("prompt", "login"), ("login", login), ("password", "x")]);
                    browser.post(&page.url, answer).await
                }
                None if page.text.contains("value=\"consent\"") => {
                    browser
                        .post(&page.url, form(&[("prompt", "consent")]))
                        .await
                }
                None => panic!("an unknown page at {}: {}", page.url, page.text),
            };
        }
        panic!("no end of redirects");
    }

    async fn redeem(&self, party: &RelyingParty, code: &str, mut browser: Browser) -> Session {
        let url = Url::parse(&format!("{}/token", self.url())).expect("a URL");
        let body = form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("resource", "urn:test:rs256"),
            ("client_id", &party.id),
            ("client_secret", &party.secret),
        ]);
        let answer = browser.post(&url, body).await.text;
        let tokens: Value = serde_json::from_str(&answer).expect("JSON");
        let token = |name: &str| {
            let token = tokens[name].as_str();
            token.unwrap_or_else(|| panic!("{tokens}")).to_owned()
        };
        Session {
            access_token: token("access_token"),
            id_token: token("id_token"),
            browser,
        }
    }

    /// Logs somebody out; returns when the relying parties have been told.
    pub(crate) async fn log_out(&self, session: &mut Session) {
        let question = form(&[("id_token_hint", &session.id_token)]);
        let url = Url::parse(&format!("{}/session/end?{question}", self.url())).expect("a URL");
        let page = session.browser.get(&url).await;
        let secret = page
            .text
            .split("name=\"xsrf\" value=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_else(|| panic!("a form: {}", page.text));
        let confirm = url.join("/session/end/confirm").expect("a URL");
        let answer = form(&[("xsrf", secret), ("logout", "yes")]);
        let done = session.browser.post(&confirm, answer).await;
        let end = done.location.unwrap_or_else(|| panic!("{}", done.text));
        assert_eq!(end.path(), "/session/end/success");
    }
}

impl Browser {
    async fn get(&mut self, url: &Url) -> Page {
        self.send(self.client.get(url.clone())).await
    }

    async fn post(&mut self, url: &Url, body: String) -> Page {
        let kind = "application/x-www-form-urlencoded";
        let request = self.client.post(url.clone()).header("content-type", kind);
        self.send(request.body(body)).await
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = request.header("cookie", cookies.join("; "));
        let answer = request.send().await.expect("the issuer answers");
        for cookie in answer.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().expect("cookies are ASCII");
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let url = answer.url().clone();
        let location = answer.headers().get("location").map(|location| {
            let location = location.to_str().expect("a URL is ASCII");
            url.join(location).expect("a URL")
        });
        let text = answer.bytes().await.expect("a body");
        Page {
            url,
            location,
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}
