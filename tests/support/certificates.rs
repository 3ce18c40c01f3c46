//! Certificates that a test's gateways and servers show each other.

use std::fs;
use std::path::Path;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair, SanType,
};

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
        let loopback = "127.0.0.1".parse().expect("an address");
        self.issue(
            "gatefort",
            vec![SanType::IpAddress(loopback), dns("gatefort")],
        )
    }

    /// A certificate for a client with this URI among its names.
    pub(crate) fn client(&self, uri: &str) -> Pair {
        let uri = Ia5String::try_from(uri).expect("ASCII");
        self.issue("client", vec![SanType::URI(uri)])
    }

    fn issue(&self, common_name: &str, names: Vec<SanType>) -> Pair {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.subject_alt_names = names;
        let key = KeyPair::generate().expect("a key");
        let issuer: &Issuer<'static, KeyPair> = &self.0;
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
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

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("a DNS name"))
}
