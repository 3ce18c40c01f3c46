//! Reading a `Host` field or `:authority` into a host that rules can be compared with.
//!
//! Knows no DNS and no IDNA: a name that is not ASCII has to arrive in its `xn--` form.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use super::Host;
use crate::domain::reason::DenyReason;

/// The longest name that DNS can hold in text form (RFC 1035 §2.3.4), and the longest label.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

impl<'w> Host<'w> {
    /// Reads a `Host` field or `:authority`: `host [":" port]` (RFC 9110 §7.2).
    ///
    /// The port is dropped, whichever it is: a gateway's own port says nothing about the resource.
    ///
    /// # Errors
    /// [`DenyReason::HostInvalid`] for anything but one name or address: user information, a list,
    /// an encoding, a bad port, an empty label.
    pub fn parse(host: &'w str) -> Result<Self, DenyReason> {
        read(host).map(Self).ok_or(DenyReason::HostInvalid)
    }

    /// The normalised host.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn read(host: &str) -> Option<Cow<'_, str>> {
    if let Some(bracketed) = host.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        check_port(port)?;
        let canonical = format!("[{}]", address.parse::<Ipv6Addr>().ok()?);
        return Some(match host.strip_suffix(port) {
            Some(same) if same == canonical => Cow::Borrowed(same),
            _ => Cow::Owned(canonical),
        });
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    check_port(port)?;
    // One trailing dot means "the root of DNS", as every name does here.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > MAX_NAME {
        return None;
    }
    let (mut label, mut has_upper) = (0, false);
    for byte in name.bytes() {
        match byte {
            b'.' if label == 0 => return None,
            b'.' => label = 0,
            _ if is_label_char(byte) && label < MAX_LABEL => label += 1,
            _other => return None,
        }
        has_upper |= byte.is_ascii_uppercase();
    }
    if label == 0 {
        return None;
    }
    Some(if has_upper {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    })
}

/// Letters, digits and hyphen (RFC 1123 §2.1), and the underscore that container networks use.
const fn is_label_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Nothing, or a colon and a port from 1 to 65535.
fn check_port(port: &str) -> Option<()> {
    let Some(digits) = port.strip_prefix(':') else {
        return port.is_empty().then_some(());
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u16 = plain.then(|| digits.parse().ok()).flatten()?;
    (number != 0).then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_normalised() {
        for (host, expected) in [
            ("api.example.com", "api.example.com"),
            ("API.Example.COM", "api.example.com"),
            ("api.example.com.", "api.example.com"),
            ("api.example.com:443", "api.example.com"),
            ("api.example.com:1", "api.example.com"),
            ("api.example.com:65535", "api.example.com"),
            ("API.example.com.:8443", "api.example.com"),
            ("xn--caf-dma.example", "xn--caf-dma.example"),
            ("my_service", "my_service"),
            ("localhost:8080", "localhost"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[::1]:8080", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[2001:DB8::A]:443", "[2001:db8::a]"),
            ("[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"),
        ] {
            assert_eq!(
                Host::parse(host).as_ref().map(Host::as_str),
                Ok(expected),
                "{host:?}"
            );
        }
    }

    #[test]
    fn whatever_is_not_one_plain_host_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = "a.".repeat(128);
        for host in [
            "",
            ".",
            "..",
            ":",
            ":80",
            ".example.com",
            "example..com",
            "example.com..",
            "a b",
            " a",
            "a ",
            "a\t",
            "a\0",
            "a\r\nb",
            "user@example.com",
            "a@b:80",
            "a,b",
            "a.example,b.example",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "a%2eb",
            "a;b",
            "café.example",
            "ａ.example",
            "a:b",
            "a:",
            "a:0",
            "a:65536",
            "a:99999999",
            "a:+80",
            "a:-1",
            "a: 80",
            "a:80:80",
            "a:８０",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[::1]:0",
            "[]",
            "[127.0.0.1]",
            "[fe80::1%eth0]",
            "[[::1]]",
            "a[::1]",
            "*",
            "*.example.com",
            "http://a",
            &long_label,
            &long_name,
        ] {
            assert_eq!(Host::parse(host), Err(DenyReason::HostInvalid), "{host:?}");
        }
    }

    #[test]
    fn a_host_in_normal_form_is_borrowed() {
        for host in ["api.example.com:443", "api.example.com.", "[::1]:80"] {
            assert!(
                matches!(Host::parse(host), Ok(Host(Cow::Borrowed(_)))),
                "{host}"
            );
        }
    }

    proptest! {
        #[test]
        fn reading_is_total_and_idempotent(host in "[ -~é]{0,12}|[a-zA-Z0-9.:\\[\\]-]{0,20}") {
            if let Ok(read) = Host::parse(&host) {
                prop_assert_eq!(Host::parse(read.as_str()), Ok(read.clone()));
            }
        }

        #[test]
        fn case_port_and_dot_make_no_difference(
            name in "[a-z0-9]{1,8}(\\.[a-z0-9]{1,8}){0,3}", port in 1u16.., upper in any::<bool>(), dot in any::<bool>(),
        ) {
            let cased = if upper { name.to_ascii_uppercase() } else { name.clone() };
            let variant = format!("{cased}{}:{port}", if dot { "." } else { "" });
            prop_assert_eq!(Host::parse(&variant), Host::parse(&name));
        }
    }
}
