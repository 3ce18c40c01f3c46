//! `tls` of a listener.

use std::path::PathBuf;

use super::fault::Fault;
use super::files::Files;
use super::notes::Notes;
use super::read::{At, Setting, mapping};
use super::shapes::{list, text};
use super::values::file;
use crate::service::tls::{ClientAuth, ClientIdentities, ClientIdentity, TlsSettings};

mapping! {
    /// `tls` of a listener. The files are reread when they change.
    RawTls ("a mapping with the keys `cert_file` and `key_file`") {
        /// Our certificate, and those between it and the clients' trust anchors (PEM). Required.
        cert_file: At<PathBuf> = file,
        /// Its private key (PEM, without a passphrase); may be the same file. Required.
        key_file: At<PathBuf> = file,
        /// The trust anchors of clients (PEM): who has no certificate from them cannot connect.
        /// Default none: everyone who reaches the listener can.
        client_ca_file: At<PathBuf> = file,
        /// Which of those clients may ask: `spiffe://...` and other URIs, DNS names, IP addresses (each among the
        /// Subject Alternative Names), or `CN=...`. Default all of them.
        client_identities: At<Vec<At<String>>> = list(text),
    }
}

/// What `tls` means; nothing where it is absent, and where it has a problem.
pub(super) fn from_raw(
    raw: Setting<RawTls>,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<TlsSettings> {
    let raw = raw.into_given()?;
    for (key, setting, advice) in [
        (
            "cert_file",
            &raw.cert_file,
            "write where our certificate is, as in cert_file: /etc/gatefort/tls.crt",
        ),
        (
            "key_file",
            &raw.key_file,
            "write where its private key is, as in key_file: /etc/gatefort/tls.key",
        ),
    ] {
        if setting.is_absent() {
            notes.error(Fault::Missing { key, advice }, &raw.spot);
        }
    }
    let list = match raw.client_identities {
        Setting::Given(at) => Some((identities(&at.value, notes), at.spot)),
        Setting::Absent => None,
        Setting::Bad => return None,
    };
    let clients = match (raw.client_ca_file, list) {
        (Setting::Given(file), list) => Some(ClientAuth {
            ca_file: files.resolve(&file.value),
            identities: list.map(|(identities, _)| identities),
        }),
        (Setting::Absent, None) => None,
        (Setting::Absent, Some((_, spot))) => {
            notes.error(Fault::IdentitiesWithoutCa, &spot);
            return None;
        }
        (Setting::Bad, _) => return None,
    };
    let settings = TlsSettings {
        cert_file: files.resolve(&raw.cert_file.into_value()?),
        key_file: files.resolve(&raw.key_file.into_value()?),
        clients,
    };
    if let Err(error) = settings.check() {
        let problem = error.to_string();
        notes.error(Fault::TlsFiles { problem }, &raw.spot);
    }
    Some(settings)
}

/// A list of names of clients.
pub(super) fn identities(list: &[At<String>], notes: &mut Notes<'_>) -> ClientIdentities {
    let mut names = Vec::with_capacity(list.len());
    for at in list {
        match ClientIdentity::parse(&at.value) {
            Some(name) => names.push(name),
            None => notes.error(Fault::ClientIdentity { found: at.shown() }, &at.spot),
        }
    }
    ClientIdentities::new(names)
}
