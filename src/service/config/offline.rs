//! A configuration for a rehearsal: its rules as they are, and nothing that only the place has where it will run.
//!
//! A policy test has no secrets, no certificates and no issuer to ask: what the file says of them is
//! replaced by stand-ins, which nobody is ever shown or asked with.

use secrecy::SecretString;

use super::raw::{RawConfig, RawIntrospection, RawIssuer};
use super::read::{At, Setting, Spot};

/// A public key whose private half is published (RFC 7517 §A.1, §A.2): it only says that there is one.
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"stand-in",
"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

/// As long as any secret must be.
const SECRET: &str = "stand-in-stand-in-stand-in-stand-in-stand-in-stand-in-stand-in-!";

impl RawConfig {
    /// Replaces what is not there where a file is only tried.
    pub(super) fn take_offline(&mut self) {
        self.listen = Setting::Absent;
        self.revocation = Setting::Absent;
        self.tracing = Setting::Absent;
        if let Setting::Given(keys) = &mut self.keys {
            keys.snapshot_dir = Setting::Absent;
        }
        if let Setting::Given(issuers) = &mut self.issuers {
            for issuer in &mut issuers.value {
                issuer.take_offline();
            }
        }
    }
}

impl RawIssuer {
    fn take_offline(&mut self) {
        self.ca_file = Setting::Absent;
        self.client_cert_file = Setting::Absent;
        if self.jwks.is_absent()
            && let Setting::Given(file) = &self.jwks_file
        {
            self.jwks = Setting::Given(file.with(SecretString::from(JWKS)));
            self.jwks_file = Setting::Absent;
        }
        take_secret_offline(&mut self.secret, &mut self.secret_file, &self.spot);
        if let Setting::Given(RawIntrospection {
            spot,
            secret,
            secret_file,
            ..
        }) = &mut self.introspection
        {
            take_secret_offline(secret, secret_file, spot);
        }
    }
}

/// A secret that is in a file, or in a variable that is not set, is any secret.
fn take_secret_offline<F>(
    secret: &mut Setting<At<SecretString>>,
    file: &mut Setting<At<F>>,
    spot: &Spot,
) {
    let is_elsewhere = match (&*secret, &*file) {
        (Setting::Absent, Setting::Given(_)) => true,
        (secret, Setting::Absent) => matches!(secret, Setting::Bad),
        (_, Setting::Given(_) | Setting::Bad) => false,
    };
    if is_elsewhere {
        *secret = Setting::Given(At {
            value: SecretString::from(SECRET),
            spot: spot.clone(),
            // Not written into the file: no warning is due.
            substituted: true,
        });
        *file = Setting::Absent;
    }
}
