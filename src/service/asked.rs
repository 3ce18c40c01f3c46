//! A request that somebody wants explained: typed, pasted as a curl line, or sent as JSON.

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::authorizer::{Authorizer, Verdict};
use crate::domain::credential::TokenSource;
use crate::domain::explanation::{Explanation, Reader};
use crate::domain::reason::DenyReason;
use crate::domain::request::{HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath};

/// A request to be explained. Its `Debug` shows no header's value and no token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The method; `GET` where it is not said.
    #[serde(default = "get")]
    pub(super) method: String,
    /// The host that the client asks for.
    #[serde(default)]
    pub(super) host: String,
    /// The request target: path and query.
    #[serde(default = "root")]
    pub(super) path: String,
    /// Header fields, in order.
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    /// A bare token, put where the configuration looks for one first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
}

/// Why a curl line is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CurlError {
    /// A quote is not closed.
    #[error("a quote of the curl line is not closed")]
    Quote,
    /// It is not a curl line.
    #[error("the line does not begin with `curl`")]
    NotCurl,
    /// An option that changes the request in a way that is not read here, or is no option of curl's.
    #[error(
        "the option `{0}` of the curl line is not understood: leave it out, or say by options what it does"
    )]
    Option(String),
    /// An option lacks its value.
    #[error("the option `{0}` of the curl line lacks its value")]
    Value(String),
    /// A header without a colon.
    #[error("a header of the curl line is not `Name: value`")]
    Header,
    /// No URL, or more than one.
    #[error("the curl line must name exactly one URL")]
    Url,
}

/// curl's options that take no value and change nothing that is decided on.
const SWITCHES: &[&str] = &[
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-k",
    "--insecure",
    "-v",
    "--verbose",
    "-i",
    "--include",
    "-L",
    "--location",
    "-f",
    "--fail",
    "--compressed",
    "-g",
    "--globoff",
    "-N",
    "--no-buffer",
    "-#",
    "--http1.1",
    "--http2",
    "--http2-prior-knowledge",
    "-4",
    "-6",
    "--path-as-is",
    "-O",
];

/// curl's options whose value changes nothing that is decided on.
const IGNORED: &[&str] = &[
    "-o",
    "--output",
    "-m",
    "--max-time",
    "--connect-timeout",
    "-w",
    "--write-out",
    "--cacert",
    "--resolve",
    "--connect-to",
    "-x",
    "--proxy",
    "--retry",
    "--cert",
    "--key",
    "-c",
    "--cookie-jar",
];

/// curl's options for a body, which make the method POST.
const BODIES: &[&str] = &[
    "-d",
    "--data",
    "--data-raw",
    "--data-binary",
    "--data-ascii",
    "--data-urlencode",
    "--json",
    "-F",
    "--form",
];

fn get() -> String {
    "GET".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

impl Asked {
    /// Reads a curl line as a shell would.
    ///
    /// # Errors
    /// What is not understood is not guessed.
    pub(super) fn curl(line: &str) -> Result<Self, CurlError> {
        // A line break after a backslash is how browsers copy long ones.
        let line = line.replace("\\\r\n", " ").replace("\\\n", " ");
        let words = shlex::split(line.trim()).ok_or(CurlError::Quote)?;
        let mut words = words.into_iter();
        if words.next().as_deref() != Some("curl") {
            return Err(CurlError::NotCurl);
        }
        let (mut method, mut urls, mut headers) = (None, Vec::new(), Vec::new());
        let mut by_body = "GET";
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                urls.push(word);
                continue;
            }
            let (option, attached) = apart(&word);
            if SWITCHES.contains(&option) && attached.is_none() {
                continue;
            }
            if matches!(option, "-I" | "--head") {
                by_body = "HEAD";
                continue;
            }
            // Several switches in one word, as in `-sSk`.
            let is_switch = |letter| {
                SWITCHES.iter().any(|switch| {
                    switch.strip_prefix('-').and_then(|s| s.parse().ok()) == Some(letter)
                })
            };
            if !word.starts_with("--") && word.chars().skip(1).all(is_switch) {
                continue;
            }
            let value = attached.map(str::to_owned).or_else(|| words.next());
            let value = value.ok_or_else(|| CurlError::Value(option.to_owned()))?;
            match option {
                "-X" | "--request" => method = Some(value),
                "--url" => urls.push(value),
                "-H" | "--header" => headers.push(field(&value)?),
                "-b" | "--cookie" => headers.push(("cookie".to_owned(), value)),
                "-A" | "--user-agent" => headers.push(("user-agent".to_owned(), value)),
                "-e" | "--referer" => headers.push(("referer".to_owned(), value)),
                "--oauth2-bearer" => {
                    headers.push(("authorization".to_owned(), format!("Bearer {value}")));
                }
                _ if BODIES.contains(&option) => by_body = "POST",
                _ if IGNORED.contains(&option) => {}
                _ => return Err(CurlError::Option(option.to_owned())),
            }
        }
        let [url] = <[String; 1]>::try_from(urls).map_err(|_none_or_several| CurlError::Url)?;
        let (host, path) = target(&url);
        // `-H Host:` is what is sent, whatever the URL says.
        let named = headers
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case("host"))
            .map(|at| headers.remove(at).1);
        Ok(Self {
            method: method.unwrap_or_else(|| by_body.to_owned()),
            host: named.unwrap_or(host),
            path,
            headers,
            token: None,
        })
    }

    /// How the request is decided, as a gateway that passes everything on would ask.
    pub(super) async fn explain(self, authorizer: &Authorizer) -> Explanation {
        let asked = self.with_token(&authorizer.token_sources);
        match asked.context() {
            Ok(request) => authorizer.explain(&request).await,
            Err(reason) => {
                let verdict = Verdict::unreadable(reason);
                authorizer.account_for(None, &verdict, Reader::Asker)
            }
        }
    }

    /// With the bare token where it is looked for.
    fn with_token(mut self, sources: &[TokenSource]) -> Self {
        if let Some(token) = self.token.take() {
            let token = token.trim();
            self.headers.push(match sources.first() {
                None | Some(TokenSource::Authorization) => {
                    ("authorization".to_owned(), format!("Bearer {token}"))
                }
                Some(TokenSource::Cookie(name)) => ("cookie".to_owned(), format!("{name}={token}")),
                Some(TokenSource::Header(name)) => (name.to_string(), token.to_owned()),
            });
        }
        self
    }

    fn context(&self) -> Result<RequestContext<'_>, DenyReason> {
        let (path, query) = RequestPath::parse_target(&self.path)?;
        let fields = self.headers.iter();
        Ok(RequestContext {
            method: Method::parse(&self.method)?,
            host: Host::parse(&self.host)?,
            path,
            query,
            headers: Headers::new(
                fields
                    .map(|(name, value)| (name.as_str(), value.as_bytes()))
                    .collect(),
            ),
            client: None,
            client_principal: None,
            removal: HeaderRemoval::Unable,
        })
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// Host and target of a URL, as they stand in it: nothing is normalised before it is judged.
fn target(url: &str) -> (String, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split('#').next().unwrap_or_default();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(at);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let target = if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("/{target}")
    };
    (host.to_owned(), target)
}

/// `Name: value`.
pub(super) fn field(text: &str) -> Result<(String, String), CurlError> {
    let (name, value) = text.split_once(':').ok_or(CurlError::Header)?;
    let name = name.trim();
    if name.parse::<http::HeaderName>().is_err() {
        return Err(CurlError::Header);
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// An option, and the value that is written in the same word: `-XGET`, `--request=GET` is none of curl's.
fn apart(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") || word.len() <= 2 {
        return (word, None);
    }
    match word.split_at_checked(2) {
        Some((option @ ("-X" | "-H" | "-b" | "-d" | "-A" | "-e" | "-o" | "-m"), value)) => {
            (option, Some(value))
        }
        Some(_) | None => (word, None),
    }
}

/// The origin of a URL, for comparing with `Host`.
pub(super) fn authority_of(origin: &str) -> Option<String> {
    let uri: Uri = origin.parse().ok()?;
    uri.authority().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Asked {
        Asked {
            method: method.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            token: None,
        }
    }

    #[test]
    fn curl_lines_as_people_paste_them() {
        for (line, expected) in [
            (
                "curl https://a.example/x?y=1#z",
                asked("GET", "a.example", "/x?y=1", &[]),
            ),
            ("curl a.example", asked("GET", "a.example", "/", &[])),
            (
                "curl -sSk -XPUT 'http://a.example:8080/../b' -H 'Authorization: Bearer t' -o /dev/null",
                asked(
                    "PUT",
                    "a.example:8080",
                    "/../b",
                    &[("Authorization", "Bearer t")],
                ),
            ),
            (
                "curl 'https://a/x' \\\n  -H \"X-A: b: c\" \\\n  -b 'access_token=t' \\\n  --data-raw '{\"a\":1}' --compressed",
                asked(
                    "POST",
                    "a",
                    "/x",
                    &[("X-A", "b: c"), ("cookie", "access_token=t")],
                ),
            ),
            (
                "curl --url https://u:p@a/ -H Host:b --oauth2-bearer t -I",
                asked("HEAD", "b", "/", &[("authorization", "Bearer t")]),
            ),
            ("curl 'https://a?q=/'", asked("GET", "a", "/?q=/", &[])),
        ] {
            assert!(Asked::curl(line) == Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        for (line, error) in [
            ("curl 'https://a", CurlError::Quote),
            ("wget https://a", CurlError::NotCurl),
            ("", CurlError::NotCurl),
            ("curl", CurlError::Url),
            ("curl a b", CurlError::Url),
            ("curl a -H", CurlError::Value("-H".to_owned())),
            ("curl a -H x", CurlError::Header),
            ("curl a -u x:y", CurlError::Option("-u".to_owned())),
            ("curl a --fly x", CurlError::Option("--fly".to_owned())),
        ] {
            assert!(Asked::curl(line) == Err(error), "{line}");
        }
    }

    #[test]
    fn a_token_goes_where_it_is_looked_for() {
        let with = |sources: &[TokenSource]| {
            let asked = Asked {
                token: Some(" t\n".to_owned()),
                ..asked("GET", "a", "/", &[])
            };
            asked.with_token(sources).headers
        };
        let field = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(with(&[]), field("authorization", "Bearer t"));
        assert_eq!(
            with(&[TokenSource::Cookie("c".into())]),
            field("cookie", "c=t")
        );
        assert_eq!(
            with(&[TokenSource::Header("x-t".into())]),
            field("x-t", "t")
        );
    }
}
