//! `gatefort token inspect`: the header and the claims, said to be what they are: words, until somebody verifies them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use clap::Args;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::TokenError;
use crate::domain::claims::UnixTime;
use crate::domain::credential::BearerToken;
use crate::domain::reason::Refusal;
use crate::service::config::Config;
use crate::service::output;
use crate::verify::Verifier;
use crate::verify::clock::{Clock, SystemClock};
use crate::verify::settings::{IssuerSettings, KeySource};

/// `gatefort token inspect`.
#[derive(Debug, Clone, Args)]
pub(super) struct InspectArguments {
    /// The token; `-` or nothing reads it from standard input, which keeps it out of the shell's history.
    #[arg(value_name = "TOKEN", default_value = "-", hide_default_value = true)]
    token: String,
    /// Verifies it as this configuration says, with the keys that stand in files or in the configuration.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// The longest token that is looked at, in bytes: four times what any door takes.
const LONGEST: u64 = 4 * 1024 * 1024;

/// How long keys in files may take to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than access tokens live that can be withdrawn by letting them end.
const LONG_LIFE: u64 = 24 * 3600;

/// What a token says.
struct Said {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

pub(super) async fn run(arguments: &InspectArguments) -> Result<bool, TokenError> {
    let text = text(&arguments.token)?;
    let token = bare(&text);
    let Said { header, claims } = read(token)?;
    let now = SystemClock.now();
    let verified = match &arguments.config {
        None => None,
        Some(file) => Some(verify(token, &claims, file, now).await?),
    };
    let verdict = match &verified {
        None => "NOT VERIFIED: anyone can have written this".to_owned(),
        Some(Ok(issuer)) => format!("verified with the keys of {issuer}"),
        Some(Err(problem)) => format!("DOES NOT VERIFY: {problem}"),
    };
    let times = times(&claims, now);
    let warnings = warnings(&header, &claims, now);
    output::print(|out| {
        if arguments.json {
            let answer = json!({
                "verdict": verdict, "verified": matches!(verified, Some(Ok(_))), "header": header,
                "claims": claims, "times": times, "warnings": warnings,
            });
            return writeln!(out, "{answer:#}");
        }
        writeln!(out, "JWT, {verdict}\n")?;
        writeln!(out, "header {:#}", Value::from(header))?;
        writeln!(out, "claims {:#}\n", Value::from(claims))?;
        for time in &times {
            writeln!(out, "{time}")?;
        }
        for warning in &warnings {
            writeln!(out, "warning: {warning}")?;
        }
        Ok(())
    })?;
    Ok(!matches!(verified, Some(Err(_))))
}

fn text(given: &str) -> Result<String, TokenError> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    let mut input = io::stdin().lock().take(LONGEST);
    input.read_to_string(&mut text).map_err(TokenError::Read)?;
    Ok(text)
}

/// The token of what people paste: a header's value, or its whole line.
fn bare(text: &str) -> &str {
    let text = text.trim();
    text.rsplit([' ', '\t']).next().unwrap_or(text)
}

fn read(token: &str) -> Result<Said, TokenError> {
    let parts: Vec<&str> = token.split('.').collect();
    match parts.as_slice() {
        [header, claims, _signature] => Ok(Said {
            header: object(
                header,
                "the header is no JSON object in base64url: this is no JWT",
            )?,
            claims: object(
                claims,
                "the claims are no JSON object in base64url: this is no JWT of claims",
            )?,
        }),
        [_, _, _, _, _] => Err(TokenError::NotAToken(
            "this is an encrypted token (JWE, five parts): nobody but its audience can read it, and Gatefort takes none",
        )),
        _ => Err(TokenError::NotAToken(
            "this is no JWT (three parts with dots between): an opaque token, which only its issuer can read (see `introspection`)",
        )),
    }
}

fn object(part: &str, problem: &'static str) -> Result<Map<String, Value>, TokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('='));
    let bytes = bytes.map_err(|_| TokenError::NotAToken(problem))?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::NotAToken(problem))
}

/// The issuer whose keys verify it, or why none do. Asks nobody.
async fn verify(
    token: &str,
    claims: &Map<String, Value>,
    file: &Path,
    now: UnixTime,
) -> Result<Result<Arc<str>, String>, TokenError> {
    let config = Config::load(file)?;
    let named = claims
        .get("iss")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let issuer = config
        .issuers
        .into_iter()
        .find(|issuer| *issuer.rules.issuer == *named);
    let Some(issuer) = issuer else {
        return Ok(Err(
            "issuer_unknown: no issuer of the configuration has its `iss`".to_owned(),
        ));
    };
    if !is_local(&issuer) {
        return Ok(Err("the keys of its issuer are not in files: take `gatefort explain`, or ask a running Gatefort".to_owned()));
    }
    let end = CancellationToken::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let verifier = Verifier::start(vec![issuer], config.max_token_size, clock, &end)?;
    let _in_time = timeout(PATIENCE, verifier.settled()).await;
    let outcome = verifier.verify(BearerToken::new(token), now).await.outcome;
    end.cancel();
    Ok(match outcome {
        Ok(principal) => Ok(Arc::clone(principal.issuer())),
        Err(Refusal::Deny(denial)) => Err(denial.reason.code().to_owned()),
        Err(Refusal::Unavailable(outage)) => Err(outage.reason.code().to_owned()),
    })
}

const fn is_local(issuer: &IssuerSettings) -> bool {
    match issuer.keys {
        KeySource::File(_) | KeySource::Inline(_) | KeySource::Secret(_) => true,
        KeySource::Discovery(_) | KeySource::Url(_) | KeySource::None => false,
    }
}

/// The times that it names, as people read them.
fn times(claims: &Map<String, Value>, UnixTime(now): UnixTime) -> Vec<String> {
    let named = [("iat", "issued"), ("nbf", "not before"), ("exp", "expires")];
    let mut lines = Vec::new();
    for (claim, word) in named {
        let Some(at) = claims.get(claim).and_then(Value::as_u64) else {
            continue;
        };
        let far = if at >= now {
            format!("in {}", span(at - now))
        } else {
            format!("{} ago", span(now - at))
        };
        lines.push(format!("{word:<10} {} ({far})", date(at)));
    }
    lines
}

/// A time as HTTP writes it (RFC 9110 §5.6.7), whose years have four digits.
fn date(at: u64) -> String {
    const YEAR_10000: u64 = 253_402_300_800;
    if at >= YEAR_10000 {
        return format!("second {at}");
    }
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(at))
}

/// A length of time in its two largest units.
fn span(seconds: u64) -> String {
    let units = [
        (seconds / 86400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let told: Vec<String> = units
        .iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if told.is_empty() {
        "0s".to_owned()
    } else {
        told.join(" ")
    }
}

/// What makes it a bad token, or one that Gatefort would not take.
fn warnings(
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
    UnixTime(now): UnixTime,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |text: &str| warnings.push(text.to_owned());
    let number = |claim: &str| claims.get(claim).and_then(Value::as_u64);
    match header.get("alg").and_then(Value::as_str) {
        None => warn("no `alg`: refused"),
        Some(alg) if alg.eq_ignore_ascii_case("none") => warn("`alg` is none: nobody signed it"),
        Some(alg) if alg.starts_with("HS") => {
            warn("signed with a shared secret: whoever verifies it can also make it")
        }
        Some(_) => {}
    }
    if header.contains_key("crit") {
        warn("`crit` names extensions, of which Gatefort knows none: refused");
    }
    for name in ["jwk", "jku", "x5u", "x5c"] {
        if header.contains_key(name) {
            warn(&format!(
                "`{name}` says where to find a key: never believed"
            ));
        }
    }
    match number("exp") {
        None => warn("no `exp` in seconds: refused"),
        Some(exp) if exp <= now => warn("it has expired"),
        Some(exp) if exp.saturating_sub(number("iat").unwrap_or(now)) > LONG_LIFE => {
            warn("it lives longer than a day: nothing but revocation ends it sooner");
        }
        Some(_) => {}
    }
    if number("nbf").is_some_and(|nbf| nbf > now) {
        warn("it is not valid yet");
    }
    if !claims.contains_key("iss") {
        warn("no `iss`: refused");
    }
    if !claims.contains_key("aud") {
        warn("no `aud`: taken only where the configuration says `audiences: any`, or of AuthFort");
    }
    if claims.contains_key("nonce") || claims.contains_key("at_hash") {
        warn("this looks like an ID token: it is for the client that logged in, not for an API");
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &Value, claims: &Value) -> String {
        let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    #[test]
    fn a_token_is_found_in_what_people_paste() {
        for text in [
            "a.b.c\n",
            " Bearer a.b.c",
            "Authorization: Bearer a.b.c\r\n",
        ] {
            assert_eq!(bare(text), "a.b.c");
        }
    }

    #[test]
    fn what_is_no_jwt_is_said_to_be_what_it_is() {
        for (text, said) in [
            ("a.b.c.d.e", "encrypted"),
            ("opaque", "opaque token"),
            ("!.e30.x", "header"),
            ("e30.W10.x", "claims"),
        ] {
            let problem = read(text).err().unwrap().to_string();
            assert!(problem.contains(said), "{text}: {problem}");
        }
    }

    #[test]
    fn warnings_say_what_is_wrong() {
        let now = 1_000_000;
        for (header, claims, said) in [
            (json!({"alg": "NoNe"}), json!({}), "nobody signed it"),
            (json!({"alg": "HS256"}), json!({}), "shared secret"),
            (json!({"alg": "RS256", "crit": []}), json!({}), "`crit`"),
            (
                json!({"alg": "RS256", "jku": "https://evil"}),
                json!({}),
                "`jku`",
            ),
            (json!({"alg": "RS256"}), json!({"exp": "soon"}), "no `exp`"),
            (json!({"alg": "RS256"}), json!({"exp": now}), "expired"),
            (
                json!({"alg": "RS256"}),
                json!({"exp": now + 90_000}),
                "longer than a day",
            ),
            (
                json!({"alg": "RS256"}),
                json!({"nbf": now + 1}),
                "not valid yet",
            ),
            (json!({"alg": "RS256"}), json!({"nonce": "n"}), "ID token"),
        ] {
            let Ok(read) = read(&token(&header, &claims)) else {
                panic!("{header}")
            };
            let warnings = warnings(&read.header, &read.claims, UnixTime(now)).join("\n");
            assert!(warnings.contains(said), "{header} {claims}: {warnings}");
        }
    }

    #[test]
    fn times_are_told_from_now() {
        let claims = json!({"exp": 1_000_090, "iat": 900_000});
        let told = times(claims.as_object().unwrap(), UnixTime(1_000_000)).join("\n");
        assert!(told.contains("(1d 3h ago)"), "{told}");
        assert!(told.contains("(in 1m 30s)"), "{told}");
        assert_eq!(span(0), "0s");
    }
}
