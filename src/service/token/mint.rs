//! `gatefort token mint`: signs tokens for development, with a key of its own or a given one.
//!
//! The key set that goes with the key is written beside it, for `jwks_file`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::Args;
use serde_json::{Map, Value, json};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::TokenError;
use crate::domain::claims::UnixTime;
use crate::service::output;
use crate::service::signing::{SigningError, SigningKey};
use crate::verify::clock::{Clock, SystemClock};

/// `gatefort token mint`.
#[derive(Debug, Clone, Args)]
pub(super) struct MintArguments {
    /// The `iss`.
    #[arg(long, value_name = "ISSUER")]
    issuer: String,
    /// The `sub`.
    #[arg(long, value_name = "SUBJECT")]
    subject: String,
    /// An `aud`; may be repeated.
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,
    /// A role, in `roles`; may be repeated.
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// The `scope`, with spaces between several.
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Any claim, over those above: NAME=VALUE, the value as JSON or else as text; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = claim)]
    claim: Vec<(String, Value)>,
    /// How long it lives: a number with s, m, h or d. Negative for one that has expired.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime, allow_hyphen_values = true)]
    expires: Lifetime,
    /// The private key: PKCS#8 in PEM, of the curve P-256. Made if it is not there; its JWK Set is written to
    /// FILE.jwks.json.
    #[arg(long, value_name = "FILE", default_value = "gatefort-dev-key.pem")]
    key: PathBuf,
    /// Prints JSON with the token, its claims and the JWK Set.
    #[arg(long)]
    json: bool,
}

/// How long a token lives from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    Ahead(Duration),
    Past(Duration),
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub(in crate::service) enum MintError {
    /// A file cannot be read or written.
    #[error("{}: {cause}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The key is of another kind.
    #[error("{}: not a private key of the curve P-256 as PKCS#8 in PEM: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one", .0.display())]
    Key(PathBuf),
    /// No key or token was made.
    #[error("{0}")]
    Signing(#[from] SigningError),
}

pub(super) fn run(arguments: &MintArguments) -> Result<(), TokenError> {
    let key = key(&arguments.key)?;
    let set = json!({ "keys": [key.public()] });
    let beside = beside(&arguments.key);
    fs::write(&beside, format!("{set:#}\n")).map_err(|cause| MintError::File {
        file: beside.clone(),
        cause,
    })?;
    let claims = claims(arguments, SystemClock.now());
    let token = key.sign(&claims).map_err(MintError::from)?;
    output::print(|out| {
        if arguments.json {
            return writeln!(
                out,
                "{:#}",
                json!({"token": token, "claims": claims, "jwks": set})
            );
        }
        writeln!(out, "{token}")
    })?;
    if !arguments.json {
        let _unheard = writeln!(
            io::stderr(),
            "signed with {}; `jwks_file: {}` lets Gatefort verify it. Not for production.",
            arguments.key.display(),
            beside.display()
        );
    }
    Ok(())
}

/// The key of a file, or a new one that is written there for its owner alone.
fn key(file: &Path) -> Result<SigningKey, MintError> {
    let failed = |cause| MintError::File {
        file: file.to_path_buf(),
        cause,
    };
    if fs::exists(file).map_err(failed)? {
        let bad = || MintError::Key(file.to_path_buf());
        let der = PrivatePkcs8KeyDer::from_pem_file(file).map_err(|_| bad())?;
        return SigningKey::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| bad());
    }
    let (key, pkcs8) = SigningKey::generate_pkcs8()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut out = options.open(file).map_err(failed)?;
    out.write_all(pem(&pkcs8).as_bytes()).map_err(failed)?;
    Ok(key)
}

/// RFC 7468 §10.
fn pem(pkcs8: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(pkcs8);
    let mut lines = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push('\n');
    }
    lines + "-----END PRIVATE KEY-----\n"
}

/// Where the key set of a key stands.
fn beside(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".jwks.json");
    name.into()
}

fn claims(arguments: &MintArguments, UnixTime(now): UnixTime) -> Value {
    let expires = match arguments.expires {
        Lifetime::Ahead(time) => now.saturating_add(time.as_secs()),
        Lifetime::Past(time) => now.saturating_sub(time.as_secs()),
    };
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("iss", json!(arguments.issuer));
    set("sub", json!(arguments.subject));
    match arguments.audience.as_slice() {
        [] => None,
        [only] => set("aud", json!(only)),
        several => set("aud", json!(several)),
    };
    if !arguments.role.is_empty() {
        set("roles", json!(arguments.role));
    }
    if let Some(scope) = &arguments.scope {
        set("scope", json!(scope));
    }
    set("iat", json!(now.min(expires)));
    set("exp", json!(expires));
    for (name, value) in &arguments.claim {
        set(name, value.clone());
    }
    Value::from(claims)
}

fn claim(text: &str) -> Result<(String, Value), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_text| Value::from(value));
    Ok((name.to_owned(), value))
}

fn lifetime(text: &str) -> Result<Lifetime, &'static str> {
    const FORM: &str = "write a number with s, m, h or d, such as 15m";
    let (is_past, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 24 * 3600,
        _ => return Err(FORM),
    };
    let number = text
        .get(..text.len() - 1)
        .and_then(|number| number.parse::<u32>().ok());
    let time = Duration::from_secs(u64::from(number.ok_or(FORM)?) * unit);
    Ok(if is_past {
        Lifetime::Past(time)
    } else {
        Lifetime::Ahead(time)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_a_unit() {
        for (text, seconds) in [("30s", 30), ("15m", 900), ("1h", 3600), ("2d", 172_800)] {
            assert_eq!(
                lifetime(text),
                Ok(Lifetime::Ahead(Duration::from_secs(seconds)))
            );
            let past = format!("-{text}");
            assert_eq!(
                lifetime(&past),
                Ok(Lifetime::Past(Duration::from_secs(seconds)))
            );
        }
        for bad in ["", "1", "h", "1.5h", "--1h", "99999999999h", "1é"] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_json_or_text() {
        assert_eq!(claim("mfa=true"), Ok(("mfa".to_owned(), json!(true))));
        assert_eq!(
            claim("tenant=acme"),
            Ok(("tenant".to_owned(), json!("acme")))
        );
        assert_eq!(claim("a=b=c"), Ok(("a".to_owned(), json!("b=c"))));
        assert!(claim("alone").is_err());
    }
}
