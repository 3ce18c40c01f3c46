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
    let (again, no_query) =
        RequestPath::parse_target(path.as_str()).expect("the normal form is a path");
    assert_eq!(again.as_str(), path.as_str());
    assert_eq!(no_query, None);
    assert_eq!(query, text.split_once('?').map(|(_, query)| query));
    assert!(path.as_str().starts_with('/'));
    let lower = path.as_str().to_ascii_lowercase();
    for ambiguous in ["%2f", "%5c", "%00", "%25", "//", "\\", ";", "#", "?"] {
        assert!(!lower.contains(ambiguous), "{path:?} holds {ambiguous}");
    }
    assert!(
        path.segments()
            .all(|segment| segment != "." && segment != "..")
    );
});
