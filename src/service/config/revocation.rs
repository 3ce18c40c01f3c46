//! `revocation`: who may revoke, what issuers may say themselves, and what is kept.

use std::num::NonZeroUsize;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use secrecy::ExposeSecret;

use crate::domain::claims::{Audiences, EventRules};
use crate::service::tls::ClientIdentities;
use crate::verify::revocations::{DEFAULT_MAX_ENTRIES, RevocationSettings};

use super::bounds::Bounds;
use super::caution::Caution;
use super::fan_out;
use super::fault::Fault;
use super::files::Files;
use super::key_source::{self, Given};
use super::notes::Notes;
use super::raw::RawRevocation;
use super::read::Setting;
use super::tls;
use super::values::RawAudiences;

/// What `revocation` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationConfig {
    /// What whoever revokes must know, if it has no certificate that says enough.
    pub secret: Option<BearerSecret>,
    /// Whose certificate is enough to revoke.
    pub clients: Option<ClientIdentities>,
    /// How much is kept, and where.
    pub list: RevocationSettings,
    /// What logout tokens and security event tokens must satisfy; they are not taken if absent.
    pub events: Option<EventRules>,
}

/// A secret that is compared and never shown: only its SHA-256 is kept.
#[derive(Clone)]
pub struct BearerSecret([u8; 32]);

/// Longer than any access token of a careful issuer lives, and few entries even so.
const DEFAULT_KEEP: Duration = Duration::from_secs(24 * 3600);

const KEEP: Bounds<Duration> = Bounds::of_time(
    Duration::from_secs(60),
    Duration::from_secs(366 * 24 * 3600),
    "an access token that outlives its revocation is accepted again, and none lives for a year",
);

const MAX_ENTRIES: Bounds<usize> = Bounds::of_number(
    1,
    10_000_000,
    "an empty list revokes nothing, and one of ten million takes some three gigabytes",
);

/// Under this a secret can be guessed by trying; `openssl rand -hex 16` gives twice as much.
const LEAST_SECRET: usize = 16;

impl BearerSecret {
    /// Takes a secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let mut octets = [0; 32];
        let digest = digest(&SHA256, secret);
        for (octet, from) in octets.iter_mut().zip(digest.as_ref()) {
            *octet = *from;
        }
        Self(octets)
    }

    /// Whether this is the secret: takes as long whatever is sent, and tells not even its length.
    #[must_use]
    pub fn is(&self, sent: &[u8]) -> bool {
        *self == Self::new(sent)
    }
}

impl PartialEq for BearerSecret {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for BearerSecret {}

impl std::fmt::Debug for BearerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerSecret([redacted])")
    }
}

impl RevocationConfig {
    /// What `revocation` means; nothing where it is absent, and where it has a problem.
    pub(super) fn from_raw(
        raw: &Setting<RawRevocation>,
        files: &Files,
        notes: &mut Notes<'_>,
    ) -> Option<Self> {
        let raw = raw.given()?;
        let secret = match key_source::secret(&raw.secret, &raw.secret_file, files, notes) {
            Given::Secret(secret, spot) => {
                let bytes = secret.expose_secret();
                if bytes.len() < LEAST_SECRET || !bytes.iter().all(u8::is_ascii_graphic) {
                    notes.error(Fault::BearerSecret, &spot);
                }
                Some(BearerSecret::new(bytes))
            }
            Given::Unreadable => None,
            Given::Nothing if !raw.client_identities.is_absent() => None,
            Given::Nothing => {
                let advice = "write where the secret is that whoever revokes must know, as in secret_file: /run/secrets/revocation, or add `client_identities`";
                notes.error(
                    Fault::Missing {
                        key: "secret_file",
                        advice,
                    },
                    &raw.spot,
                );
                None
            }
        };
        if let (Setting::Given(_), Setting::Given(at)) = (&raw.secret, &raw.secret_file) {
            notes.error(Fault::SecretTwice, &at.spot);
        }
        let clients = raw
            .client_identities
            .given()
            .map(|at| tls::identities(&at.value, notes));
        let keep = KEEP.check(&raw.keep, DEFAULT_KEEP, notes);
        let max_entries = MAX_ENTRIES.check(&raw.max_entries, DEFAULT_MAX_ENTRIES.get(), notes);
        let fan_out = fan_out::settings(&raw.fan_out, files, notes);
        let events = raw.audiences.given().map(|at| EventRules {
            audiences: match &at.value {
                RawAudiences::Any => Audiences::Any,
                RawAudiences::OneOf(names) => Audiences::OneOf(
                    names
                        .iter()
                        .map(|name| name.value.as_str().into())
                        .collect(),
                ),
            },
            keep,
        });
        if events.is_none()
            && let Some(at) = raw.keep.given()
        {
            notes.warn(Caution::KeepUnused, &at.spot);
        }
        Some(Self {
            secret,
            clients,
            list: RevocationSettings {
                max_entries: NonZeroUsize::new(max_entries)?,
                file: raw.file.given().map(|at| files.resolve(&at.value)),
                fan_out,
            },
            events,
        })
    }
}
