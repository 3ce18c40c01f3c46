//! Certificates that a test's gateways, servers and issuers show each other.

use std::fs;
use std::path::Path;

use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

/// Who vouches.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A chain and its key, as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) certificate: String,
    /// The key.
    pub(crate) key: String,
}

impl Authority {
    /// A new one.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Its own certificate, as PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a Gatefort at loopback.
    pub(crate) fn server(&self) -> Pair {
        self.issue(&named(["127.0.0.1", "gatefort"]))
    }

    /// A certificate for a client with this URI among its names.
    pub(crate) fn client(&self, uri: &str) -> Pair {
        let mut params = named([]);
        let uri = Ia5String::try_from(uri).expect("ASCII");
        params.subject_alt_names.push(SanType::URI(uri));
        self.issue(&params)
    }

    /// A certificate for this name or address.
    pub(crate) fn vouch_for(&self, name: &str) -> Pair {
        self.issue(&named([name]))
    }

    /// A certificate for this name or address that has expired.
    pub(crate) fn vouched_for(&self, name: &str) -> Pair {
        let mut params = named([name]);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Pair {
    /// Writes `NAME.crt` and `NAME.key`, each in one step.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        put(folder, &format!("{name}.key"), &self.key);
        put(folder, &format!("{name}.crt"), &self.certificate);
    }

    /// Both in one text.
    pub(crate) fn pem(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }
}

/// Replaces a file in one step.
pub(crate) fn put(folder: &Path, name: &str, content: &str) {
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, content).expect("the folder can be written");
    fs::rename(new, folder.join(name)).expect("a file can be renamed");
}

/// What a certificate for these names and addresses says.
fn named<const N: usize>(names: [&str; N]) -> CertificateParams {
    CertificateParams::new(names.map(str::to_owned)).expect("names")
}
