//! What a request says of itself: reading is total, has one result, and leaves nothing to be read in two ways.
#![no_main]

use gatefort::domain::request::{Host, Method, RequestPath};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Method::parse(text);
    if let Ok(host) = Host::parse(text) {
        let again = Host::parse(host.as_str()).expect("the normal form is a host");
        assert_eq!(again.as_str(), host.as_str());
        assert!(
            !host
                .as_str()
                .contains(|c: char| c.is_ascii_uppercase() || c.is_control())
        );
    }
    let Ok((path, query)) = RequestPath::parse_target(text) else {
        return;
    };
    // Encoding what browsers leave alone makes it longer.
    if path.as_str().len() <= RequestPath::MAX_LENGTH {
        let (again, no_query) =
            RequestPath::parse_target(path.as_str()).expect("the normal form is a path");
        assert_eq!(again.as_str(), path.as_str());
        assert_eq!(no_query, None);
    }
    assert_eq!(query, text.split_once('?').map(|(_, query)| query));
    assert!(path.as_str().starts_with('/'));
    let lower = path.as_str().to_ascii_lowercase();
    for ambiguous in ["%2f", "%5c", "%00", "//", "\\", ";", "#", "?"] {
        assert!(!lower.contains(ambiguous), "{path:?} holds {ambiguous}");
    }
    // Whoever decodes it once, or twice, sees the same segments, and none that leads elsewhere.
    let once = decoded(path.as_str().as_bytes());
    assert_eq!(
        once,
        decoded(text.split('?').next().expect("a part").as_bytes())
    );
    assert_eq!(once, decoded(&once), "{path:?} is encoded twice");
    let once = std::str::from_utf8(&once).expect("text");
    assert!(!once.contains(char::is_control));
    let seen: Vec<_> = once.split(['/', '\\']).skip(1).collect();
    assert_eq!(seen.len(), path.segments().count());
    assert!(!seen.iter().any(|segment| [".", ".."].contains(segment)));
});

/// What a server makes of a path that leaves alone what is not encoded rightly.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let octet = digits
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(octet.unwrap_or(*first));
        rest = if octet.is_some() { &after[2..] } else { after };
    }
    decoded
}
