//! Who is at the other end of a TLS connection, as its certificate says, and who may be.

use std::fmt;
use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// One name that a client's certificate may carry. The kinds never match each other: whoever may put
/// any text into a Common Name must not become a SPIFFE workload by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientIdentity {
    /// A URI among the Subject Alternative Names (RFC 5280 §4.2.1.6), such as a SPIFFE ID.
    Uri(String),
    /// A DNS name among them, in lower case.
    Dns(String),
    /// An IP address among them.
    Ip(IpAddr),
    /// The subject's Common Name.
    CommonName(String),
}

/// A list of names of which a client's certificate must carry one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentities(Vec<ClientIdentity>);

/// What a connection's peer may do, by its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Peer {
    /// Ask.
    Listed,
    /// Nothing: its certificate is good, and names nobody who may ask.
    Unlisted,
    /// Ask, and revoke.
    Revoker,
}

impl ClientIdentity {
    /// Reads a name as the configuration writes it: `scheme://...`, `CN=...`, an IP address, or a DNS name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("CN=") {
            return (!name.is_empty()).then(|| Self::CommonName(name.to_owned()));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let good = !scheme.is_empty() && !rest.is_empty() && is_visible(text);
            return good.then(|| Self::Uri(text.to_owned()));
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Ip(address));
        }
        let is_dns = !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte));
        is_dns.then(|| Self::Dns(text.to_ascii_lowercase()))
    }

    fn is_of(&self, certificate: &X509Certificate<'_>) -> bool {
        if let Self::CommonName(name) = self {
            let mut names = certificate.subject().iter_common_name();
            return names.any(|found| found.as_str().is_ok_and(|found| found == name));
        }
        let Ok(Some(names)) = certificate.subject_alternative_name() else {
            return false;
        };
        names
            .value
            .general_names
            .iter()
            .any(|found| match (self, found) {
                (Self::Uri(uri), GeneralName::URI(found)) => uri == found,
                (Self::Dns(name), GeneralName::DNSName(found)) => name.eq_ignore_ascii_case(found),
                (Self::Ip(IpAddr::V4(ip)), GeneralName::IPAddress(found)) => ip.octets() == **found,
                (Self::Ip(IpAddr::V6(ip)), GeneralName::IPAddress(found)) => ip.octets() == **found,
                _ => false,
            })
    }
}

impl ClientIdentities {
    /// A list of these names.
    #[must_use]
    pub const fn new(names: Vec<ClientIdentity>) -> Self {
        Self(names)
    }

    /// Whether this certificate, which is verified already, carries one of the names.
    /// One that cannot be read carries none.
    pub(super) fn name(&self, certificate: &[u8]) -> bool {
        X509Certificate::from_der(certificate)
            .is_ok_and(|(_, certificate)| self.0.iter().any(|name| name.is_of(&certificate)))
    }
}

impl fmt::Display for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(name) | Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
            Self::CommonName(name) => write!(f, "CN={name}"),
        }
    }
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, string::Ia5String};

    use super::*;

    fn certificate(common_name: &str, names: &[SanType]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn text(text: &str) -> Ia5String {
        text.try_into().unwrap()
    }

    #[test]
    fn a_name_matches_its_own_kind_alone() {
        let uri = "spiffe://cluster.local/ns/edge/sa/envoy";
        let sans = certificate(
            "gateway",
            &[
                SanType::URI(text(uri)),
                SanType::DnsName(text("Edge.example.com")),
                SanType::IpAddress("192.0.2.7".parse().unwrap()),
            ],
        );
        let in_common_name = certificate(uri, &[SanType::DnsName(text("other.example.com"))]);
        let in_dns = certificate("x", &[SanType::DnsName(text("gateway"))]);
        let bare = certificate("192.0.2.7", &[]);
        for (name, yes, no) in [
            (uri, &sans, &in_common_name),
            ("edge.example.com", &sans, &in_common_name),
            ("EDGE.example.COM", &sans, &in_dns),
            ("192.0.2.7", &sans, &bare),
            ("CN=gateway", &sans, &in_dns),
            ("gateway", &in_dns, &sans),
        ] {
            let list = ClientIdentities::new(vec![ClientIdentity::parse(name).unwrap()]);
            assert!(list.name(yes), "{name}");
            assert!(!list.name(no), "{name}");
            assert!(
                !list.name(&yes[..yes.len() / 2]),
                "{name} of half a certificate"
            );
        }
        let prefix = ClientIdentity::parse("spiffe://cluster.local/ns/edge/sa/").unwrap();
        assert!(!ClientIdentities::new(vec![prefix]).name(&sans));
        assert!(!ClientIdentities::new(Vec::new()).name(&sans));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "CN=",
            "://x",
            "spiffe://",
            "a b",
            "spiffe://a/b c",
            "a/b",
            "O=x",
        ] {
            assert_eq!(ClientIdentity::parse(text), None, "{text}");
        }
        for text in ["spiffe://td/a", "CN=A b", "::1", "a.example", "*.a.example"] {
            assert_eq!(ClientIdentity::parse(text).unwrap().to_string(), text);
        }
    }
}
