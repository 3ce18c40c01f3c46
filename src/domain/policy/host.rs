//! Host patterns: one host, or every host under a domain.

use std::fmt;

use crate::domain::request::Host;

/// Which hosts a rule is about.
///
/// `api.example.com` is that host alone. `*.example.com` is every host with one label or more before
/// `.example.com`, and not `example.com` itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(pub(super) Shape);

/// The two kinds of host pattern, in the normal form of request hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// This host.
    Exact(Box<str>),
    /// Every host that ends in a dot and this.
    Under(Box<str>),
}

/// Why a text is not a host pattern. The text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// It is a wildcard for everything.
    #[error("leave `hosts` out for any host")]
    Everything,
    /// It has a port.
    #[error("hosts are matched without their port: remove `{port}`")]
    Port {
        /// The port, with its colon.
        port: Box<str>,
    },
    /// It has a `*` that is not its first label.
    #[error("`*.` stands at the start, for one label or more: `*.example.com`")]
    Wildcard,
    /// It is not ASCII.
    #[error("write the host in its ASCII form (`xn--...`), as clients send it")]
    NotAscii,
    /// It is not a host name or address.
    #[error("not a host name or address; an IPv6 address stands in brackets")]
    Invalid,
}

impl HostPattern {
    /// Reads a pattern; see the type for its meaning.
    pub fn parse(pattern: &str) -> Result<Self, HostPatternError> {
        if matches!(pattern, "*" | "*." | "**") {
            return Err(HostPatternError::Everything);
        }
        if !pattern.is_ascii() {
            return Err(HostPatternError::NotAscii);
        }
        let suffix = pattern.strip_prefix("*.");
        let name = suffix.unwrap_or(pattern);
        if name.contains('*') {
            return Err(HostPatternError::Wildcard);
        }
        let host = Host::parse(name).map_err(|_invalid| HostPatternError::Invalid)?;
        let is_address = name.starts_with('[');
        if suffix.is_some() && is_address {
            return Err(HostPatternError::Invalid);
        }
        let after_address = name.rfind(']').map_or(0, |at| at + 1);
        if let Some(port) = name
            .get(after_address..)
            .and_then(|rest| rest.find(':').and_then(|at| rest.get(at..)))
        {
            return Err(HostPatternError::Port { port: port.into() });
        }
        let host = host.as_str().into();
        Ok(Self(match suffix {
            Some(_) => Shape::Under(host),
            None => Shape::Exact(host),
        }))
    }

    /// Whether a host matches.
    #[must_use]
    pub fn matches(&self, host: &Host<'_>) -> bool {
        match &self.0 {
            Shape::Exact(name) => host.as_str() == &**name,
            Shape::Under(domain) => domains_above(host.as_str()).any(|above| above == &**domain),
        }
    }

    /// Whether it is for every host under a domain.
    pub(super) const fn is_wildcard(&self) -> bool {
        matches!(self.0, Shape::Under(_))
    }

    /// Whether every host that the other pattern matches is matched by this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Shape::Exact(this), Shape::Exact(other)) => this == other,
            (Shape::Exact(_), Shape::Under(_)) => false,
            (Shape::Under(this), Shape::Exact(host)) => {
                domains_above(host).any(|above| above == &**this)
            }
            (Shape::Under(this), Shape::Under(other)) => {
                this == other || domains_above(other).any(|above| above == &**this)
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Exact(host) => f.write_str(host),
            Shape::Under(domain) => write!(f, "*.{domain}"),
        }
    }
}

/// The domains that a name lies under: `b.c` and `c` for `a.b.c`. An IPv6 address lies under none.
pub(super) fn domains_above(name: &str) -> impl Iterator<Item = &str> {
    let name = if name.starts_with('[') { "" } else { name };
    std::iter::successors(Some(name), |name| {
        name.split_once('.').map(|(_, above)| above)
    })
    .skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_whole_labels() {
        let rows: &[(&str, &[&str], &[&str])] = &[
            (
                "api.example.com",
                &["api.example.com", "API.example.com:443", "api.example.com."],
                &[
                    "example.com",
                    "x.api.example.com",
                    "api.example.com.evil",
                    "xapi.example.com",
                ],
            ),
            ("API.Example.COM.", &["api.example.com"], &[]),
            (
                "*.example.com",
                &["a.example.com", "a.b.example.com", "A.EXAMPLE.COM.:8443"],
                &[
                    "example.com",
                    "xexample.com",
                    "a.example.com.evil",
                    "example.com.a",
                ],
            ),
            ("[::1]", &["[::1]", "[0:0::1]:80"], &["[::2]"]),
            ("127.0.0.1", &["127.0.0.1:80"], &["127.0.0.11"]),
            ("*.com", &["example.com"], &["com"]),
        ];
        for (pattern, good, bad) in rows {
            let pattern = HostPattern::parse(pattern).unwrap();
            for host in *good {
                assert!(
                    pattern.matches(&Host::parse(host).unwrap()),
                    "{pattern} {host}"
                );
            }
            for host in *bad {
                assert!(
                    !pattern.matches(&Host::parse(host).unwrap()),
                    "{pattern} {host}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_a_pattern_says_why() {
        use HostPatternError::*;
        let port = |port: &str| Port { port: port.into() };
        for (pattern, error) in [
            ("*", Everything),
            ("*.", Everything),
            ("", Invalid),
            ("a..b", Invalid),
            ("*..a", Invalid),
            ("a b", Invalid),
            ("http://a", Invalid),
            ("a/b", Invalid),
            ("::1", Invalid),
            ("*.[::1]", Invalid),
            ("a.*", Wildcard),
            ("a.*.b", Wildcard),
            ("*a.b", Wildcard),
            ("*.*.b", Wildcard),
            ("café.example", NotAscii),
            ("a:443", port(":443")),
            ("*.a:443", port(":443")),
            ("[::1]:80", port(":80")),
        ] {
            assert_eq!(HostPattern::parse(pattern), Err(error), "{pattern:?}");
        }
    }

    #[test]
    fn covering_is_containment() {
        let covers = |a: &str, b: &str| {
            HostPattern::parse(a)
                .unwrap()
                .covers(&HostPattern::parse(b).unwrap())
        };
        for (a, b) in [
            ("a.b", "a.b"),
            ("*.b", "a.b"),
            ("*.b", "x.a.b"),
            ("*.b", "*.b"),
            ("*.b", "*.a.b"),
        ] {
            assert!(covers(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("a.b", "*.b"),
            ("*.a.b", "*.b"),
            ("*.b", "b"),
            ("*.b", "xb"),
            ("a.b", "b"),
        ] {
            assert!(!covers(a, b), "{a} {b}");
        }
    }
}
