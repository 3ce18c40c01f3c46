//! The corpus of path tricks, and the properties that hold for every path.

use proptest::prelude::*;

use super::*;

/// Targets that are read, with the path they are read as.
const READ: &[(&str, &str)] = &[
    // Plain paths.
    ("/", "/"),
    ("/a", "/a"),
    ("/a/", "/a/"),
    ("/a/b/c", "/a/b/c"),
    ("/a/b/c/", "/a/b/c/"),
    ("/Admin", "/Admin"),
    ("/a.b", "/a.b"),
    ("/.well-known/jwks.json", "/.well-known/jwks.json"),
    ("/a/.hidden", "/a/.hidden"),
    ("/a..b", "/a..b"),
    ("/..a", "/..a"),
    ("/a..", "/a.."),
    ("/...", "/..."),
    ("/a/.../b", "/a/.../b"),
    ("/~user", "/~user"),
    ("/a:b", "/a:b"),
    ("/a@b", "/a@b"),
    ("/a!$&'()*+,=b", "/a!$&'()*+,=b"),
    ("/*", "/*"),
    ("/**", "/**"),
    // The query is split off at the first `?`.
    ("/a?", "/a"),
    ("/a?b=c", "/a"),
    ("/a?/public", "/a"),
    ("/a?b?c", "/a"),
    ("/?a", "/"),
    ("/a?../..", "/a"),
    ("/a?%2e%2e%2f", "/a"),
    ("/a?x=%23", "/a"),
    ("/a?x=%00", "/a"),
    ("/a?x=a;b", "/a"),
    ("/a?x=//b", "/a"),
    ("/a?x=%zz", "/a"),
    ("/a?x=é", "/a"),
    // Unreserved characters are decoded.
    ("/%61dmin", "/admin"),
    ("/%41dmin", "/Admin"),
    ("/%7Euser", "/~user"),
    ("/%7euser", "/~user"),
    ("/a%2Db", "/a-b"),
    ("/a%2eb", "/a.b"),
    ("/a%5Fb", "/a_b"),
    ("/%30", "/0"),
    ("/%2e%2e%2e", "/..."),
    // And so are the other characters that may stand in a segment.
    ("/admin%3Ax", "/admin:x"),
    ("/admin%3ax", "/admin:x"),
    ("/a%40b", "/a@b"),
    ("/a%21b", "/a!b"),
    ("/a%24b", "/a$b"),
    ("/a%26b", "/a&b"),
    ("/a%27b", "/a'b"),
    ("/a%28%29", "/a()"),
    ("/a%2Ab", "/a*b"),
    ("/a%2Bb", "/a+b"),
    ("/a%2Cb", "/a,b"),
    ("/a%3Db", "/a=b"),
    // The others stay encoded, in upper case.
    ("/a%20b", "/a%20b"),
    ("/a%3Fb", "/a%3Fb"),
    ("/a%3fb", "/a%3Fb"),
    ("/a%22b", "/a%22b"),
    ("/a%3c%3e", "/a%3C%3E"),
    ("/a%5b0%5d", "/a%5B0%5D"),
    ("/a%5e", "/a%5E"),
    ("/a%60", "/a%60"),
    ("/a%7b%7c%7d", "/a%7B%7C%7D"),
    ("/caf%C3%A9", "/caf%C3%A9"),
    ("/caf%c3%a9", "/caf%C3%A9"),
    ("/%E2%82%AC", "/%E2%82%AC"),
    ("/%f0%9f%98%80", "/%F0%9F%98%80"),
    ("/%EF%BC%8F", "/%EF%BC%8F"),
    ("/100%25", "/100%25"),
    ("/100%25x", "/100%25x"),
    ("/100%25/a", "/100%25/a"),
    ("/100%25a", "/100%25a"),
    ("/100%25az", "/100%25az"),
    ("/%25%C3%A9", "/%25%C3%A9"),
    // What browsers leave raw is encoded.
    ("/a|b", "/a%7Cb"),
    ("/a[0]", "/a%5B0%5D"),
    ("/{a}", "/%7Ba%7D"),
    ("/a^b", "/a%5Eb"),
    ("/a\"b", "/a%22b"),
    ("/<a>", "/%3Ca%3E"),
    ("/a`b", "/a%60b"),
];

/// Targets that are refused.
const REFUSED: &[&str] = &[
    // Not in origin form.
    "",
    "*",
    "?",
    "?/a",
    "a",
    "a/b",
    "admin",
    " /a",
    "http://example.com/a",
    "HTTP://example.com/a",
    "example.com:443",
    "//example.com/a",
    "\\a",
    "%2Fa",
    "./a",
    "../a",
    "#/a",
    // Empty segments.
    "//",
    "///",
    "//a",
    "/a//b",
    "/a//",
    "/a/b//c",
    "//admin/x",
    // Dot segments, in every encoding.
    "/.",
    "/..",
    "/./",
    "/../",
    "/a/.",
    "/a/..",
    "/a/./b",
    "/a/../b",
    "/public/../admin",
    "/../../etc/passwd",
    "/%2e",
    "/%2E",
    "/%2e%2e",
    "/.%2e",
    "/%2e.",
    "/%2E%2E/",
    "/a/%2e/b",
    "/a/%2e%2e/b",
    "/a/.%2E/b",
    "/a/%2E./b",
    "/a/..?x",
    // Encoded separators.
    "/a%2fb",
    "/a%2Fb",
    "/%2f",
    "/%2F%2F",
    "/a%2f..%2fb",
    "/a/..%2fb",
    "/a/%2e%2e%2fb",
    "/a\\b",
    "/a\\..\\b",
    "/a%5cb",
    "/a%5Cb",
    "/..%5cadmin",
    "/\\example.com",
    // Path parameters.
    "/a;b",
    "/a;",
    "/;",
    "/..;/admin",
    "/public;/../admin",
    "/a;jsessionid=1/b",
    "/a%3bb",
    "/a%3Bb",
    "/..%3b/admin",
    // Fragments.
    "/a#",
    "/a#b",
    "/x#/public",
    "/x%23",
    "/x%23/public",
    "/x?a#b",
    "/#?a",
    // Control characters, raw and encoded.
    "/a\0",
    "/a\0b",
    "/a\tb",
    "/a\nb",
    "/a\r\nb",
    "/a\x1bb",
    "/a\x7fb",
    "/a%00",
    "/a%00.html",
    "/a%01",
    "/a%09b",
    "/a%0a",
    "/a%0d%0aSet-Cookie:x",
    "/a%1F",
    "/a%7f",
    "/a%7F",
    "/a%C2%80",
    "/a%C2%85",
    "/a%c2%9f",
    "/a?b\0",
    "/a?b\r\n",
    "/a?b\tc",
    // Spaces and bytes that no client may send raw.
    "/a b",
    "/a ",
    "/ ",
    "/a?b c",
    "/é",
    "/caf\u{e9}/x",
    "/\u{ff0f}admin",
    "/\u{2025}/admin",
    "/\u{202e}nimda",
    // Broken encodings.
    "/%",
    "/a%",
    "/a%2",
    "/a%zz",
    "/a%2g",
    "/a%g2",
    "/a%%",
    "/a%%32%66",
    "/a%2%66",
    "/a%-1",
    "/a%+1",
    "/a% 1",
    "/a%u002f",
    "/a%u2215",
    "/a%0",
    "/a%/b",
    // Double encodings.
    "/a%252fb",
    "/a%252Fb",
    "/%252e%252e",
    "/%252e%252e%252fadmin",
    "/a%255c",
    "/a%2500",
    "/a%2541",
    "/a%25252f",
    "/a%25%32%66",
    "/a%25%32f",
    "/a%252%66",
    "/100%25ab",
    // Encodings that are not UTF-8: overlong, surrogates, cut off, Latin-1.
    "/%c0%ae",
    "/%c0%ae%c0%ae/admin",
    "/%c0%af",
    "/%e0%80%af",
    "/%f0%80%80%af",
    "/%c1%9c",
    "/%ed%a0%80",
    "/%c3",
    "/%c3/%a9",
    "/caf%e9",
    "/%ff",
    "/%fe%ff",
    "/%80",
    "/%f4%90%80%80",
    "/%f8%80%80%80%af",
];

fn read(target: &str) -> Result<String, DenyReason> {
    RequestPath::parse_target(target).map(|(path, _)| path.as_str().to_owned())
}

#[test]
fn the_corpus_is_read_or_refused() {
    assert!(READ.len() + REFUSED.len() >= 200);
    for (target, path) in READ {
        assert_eq!(read(target).as_deref(), Ok(*path), "{target:?}");
    }
    for target in REFUSED {
        assert_eq!(read(target), Err(DenyReason::PathAmbiguous), "{target:?}");
    }
}

#[test]
fn the_query_starts_after_the_first_question_mark() {
    for (target, query) in [
        ("/a", None),
        ("/a?", Some("")),
        ("/a?b", Some("b")),
        ("/a?b?c=%2F", Some("b?c=%2F")),
        ("/a%3Fb", None),
    ] {
        assert_eq!(
            RequestPath::parse_target(target).unwrap().1,
            query,
            "{target}"
        );
    }
}

#[test]
fn a_path_in_normal_form_is_borrowed() {
    for target in ["/", "/a/b.c/", "/a?b", "/caf%C3%A9", "/a%20b", "/100%25"] {
        let (path, _) = RequestPath::parse_target(target).unwrap();
        assert!(matches!(path.0, Cow::Borrowed(_)), "{target}");
    }
}

#[test]
fn a_path_has_a_longest_length() {
    let longest = format!("/{}", "a".repeat(RequestPath::MAX_LENGTH - 1));
    assert!(read(&longest).is_ok());
    assert!(read(&format!("{longest}a")).is_err());
    assert!(
        read(&format!("{longest}?{longest}")).is_ok(),
        "the query is not the path"
    );
}

#[test]
fn segments_lie_between_slashes() {
    for (target, segments) in [
        ("/", vec![""]),
        ("/a", vec!["a"]),
        ("/a/", vec!["a", ""]),
        ("/a/b", vec!["a", "b"]),
    ] {
        let (path, _) = RequestPath::parse_target(target).unwrap();
        assert_eq!(path.segments().collect::<Vec<_>>(), segments, "{target}");
    }
}

/// Every byte percent-encoded, in upper or lower case.
fn encode_all(text: &str, upper: bool) -> String {
    let encode = |byte: u8| {
        if upper {
            format!("%{byte:02X}")
        } else {
            format!("%{byte:02x}")
        }
    };
    text.split('/')
        .map(|segment| segment.bytes().map(encode).collect::<String>())
        .collect::<Vec<_>>()
        .join("/")
}

proptest! {
    #[test]
    fn reading_is_total_and_idempotent(target in "/?[ -~é\0]{0,24}|(/|%|[0-9a-fA-F]|25|2e|2f|\\.|;|\\?|c3|a9){0,16}") {
        if let Ok((path, _)) = RequestPath::parse_target(&target) {
            let text = path.as_str();
            prop_assert!(text.starts_with('/'));
            prop_assert_eq!(RequestPath::parse_target(text), Ok((path.clone(), None)));
            prop_assert!(!text.contains("//") && !text.contains('\\') && !text.contains(';') && !text.contains('#'));
            prop_assert!(path.segments().all(|segment| !matches!(segment, "." | "..")));
        }
    }

    #[test]
    fn encoded_variants_agree(
        path in "(/[a-zA-Z0-9._~!$&'()*+,=:@-]{1,6}){1,4}/?".prop_filter("dots", |p| !p.split('/').any(|s| matches!(s, "." | ".."))),
        upper in any::<bool>(),
    ) {
        prop_assert_eq!(read(&encode_all(&path, upper)), Ok(path));
    }

    #[test]
    fn text_has_one_encoding(word in "[a-zàéß€\u{1F600} |^`<>{}\\[\\]\"]{1,8}", upper in any::<bool>()) {
        let encoded = encode_all(&format!("/{word}"), upper);
        let read = read(&encoded).unwrap();
        prop_assert_eq!(&read, &self::read(&encode_all(&format!("/{word}"), !upper)).unwrap());
        let raw: String = word.chars().map(|c| {
            let mut buffer = [0; 4];
            let text = c.encode_utf8(&mut buffer);
            if c == ' ' || !c.is_ascii() { encode_all(text, upper) } else { text.to_owned() }
        }).collect();
        prop_assert_eq!(read, self::read(&format!("/{raw}")).unwrap());
    }
}
