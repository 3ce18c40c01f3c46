//! Which requests carry one credential, none, or too many.

use proptest::prelude::*;

use super::*;

type Field = (&'static str, &'static [u8]);
type Found = Result<Option<&'static str>, DenyReason>;

fn find(fields: &[Field], sources: &[TokenSource]) -> Found {
    BearerToken::find(&Headers::new(fields.to_vec()), sources)
        .map(|token| token.map(BearerToken::expose))
}

fn all_sources() -> [TokenSource; 3] {
    [
        TokenSource::Authorization,
        TokenSource::Cookie("access_token".into()),
        TokenSource::Header("x-jwt".into()),
    ]
}

#[test]
fn the_authorization_field_holds_one_bearer_token() {
    use DenyReason::{CredentialsSeveral, HeaderInvalid, TokenMalformed};
    let rows: &[(&[u8], Found)] = &[
        (b"Bearer a.b.c", Ok(Some("a.b.c"))),
        (b"bearer a.b.c", Ok(Some("a.b.c"))),
        (b"BEARER a.b.c", Ok(Some("a.b.c"))),
        (b" Bearer a.b.c ", Ok(Some("a.b.c"))),
        (b"\tBearer a.b.c\t", Ok(Some("a.b.c"))),
        (b"Bearer AZaz09-._~+/==", Ok(Some("AZaz09-._~+/=="))),
        (b"", Ok(None)),
        (b"   ", Ok(None)),
        (b"Basic dXNlcjpwYXNz", Ok(None)),
        (b"DPoP a.b.c", Ok(None)),
        (b"Negotiate YII=", Ok(None)),
        (b"Digest username=\"a\", realm=\"b\"", Ok(None)),
        (b"BearerX a.b.c", Ok(None)),
        (b"Bearer:a.b.c", Ok(None)),
        (b"a.b.c", Ok(None)),
        (b"Token Bearer a.b.c", Ok(None)),
        (b"Bearer", Err(TokenMalformed)),
        (b"Bearer ", Err(TokenMalformed)),
        (b"Bearer  a.b.c", Err(TokenMalformed)),
        (b"Bearer a.b.c d", Err(TokenMalformed)),
        (b"Bearer a.b.c;x", Err(TokenMalformed)),
        (b"Bearer \"a.b.c\"", Err(TokenMalformed)),
        (b"Bearer a=b", Err(TokenMalformed)),
        (b"Bearer ==", Err(TokenMalformed)),
        (b"Bearer {}", Err(TokenMalformed)),
        (b"Bearer a,b", Err(CredentialsSeveral)),
        (b"Bearer a,", Err(CredentialsSeveral)),
        (b"Bearer a, Bearer b", Err(CredentialsSeveral)),
        (b"Bearer a,Basic b", Err(CredentialsSeveral)),
        (b"Basic b, Bearer a", Err(CredentialsSeveral)),
        (b"Basic b,bearer a", Err(CredentialsSeveral)),
        (b",Bearer a", Err(CredentialsSeveral)),
        (b"Bearer\ta", Err(HeaderInvalid)),
        (b"Bearer a\0", Err(HeaderInvalid)),
        (b"Bearer a\n", Err(HeaderInvalid)),
        (b"Bearer a\r\nX: y", Err(HeaderInvalid)),
        (b"Bearer \xc3\xa9", Err(HeaderInvalid)),
        (b"Bearer a\xff", Err(HeaderInvalid)),
        (b"Basic \x7f", Err(HeaderInvalid)),
    ];
    for (value, expected) in rows {
        let headers = Headers::new(vec![("Authorization", value)]);
        let found = BearerToken::find(&headers, &[TokenSource::Authorization]);
        assert_eq!(
            found.map(|t| t.map(BearerToken::expose)),
            *expected,
            "{:?}",
            String::from_utf8_lossy(value)
        );
    }
}

#[test]
fn a_cookie_holds_a_token() {
    use DenyReason::{CredentialsSeveral, HeaderInvalid, TokenMalformed};
    let cookie = [TokenSource::Cookie("access_token".into())];
    let rows: &[(&[&[u8]], Found)] = &[
        (&[b"access_token=a.b.c"], Ok(Some("a.b.c"))),
        (&[b"x=1; access_token=a.b.c; y=2"], Ok(Some("a.b.c"))),
        (&[b"x=1;access_token=a.b.c;y=2"], Ok(Some("a.b.c"))),
        (&[b"x=1", b"access_token=a.b.c"], Ok(Some("a.b.c"))),
        (
            &[b"name=J\xc3\xb6rg; access_token=a.b.c"],
            Ok(Some("a.b.c")),
        ),
        (&[b"access_token=a=="], Ok(Some("a=="))),
        (&[], Ok(None)),
        (&[b""], Ok(None)),
        (&[b"x=1; flag; =y"], Ok(None)),
        (&[b"access_token"], Ok(None)),
        (&[b"access_token="], Ok(None)),
        (&[b"access_token= ; x=1"], Ok(None)),
        (&[b"Access_Token=a.b.c"], Ok(None)),
        (&[b"xaccess_token=a; access_token2=b"], Ok(None)),
        (&[b"x=access_token=a"], Ok(None)),
        (
            &[b"access_token=a; access_token=b"],
            Err(CredentialsSeveral),
        ),
        (
            &[b"access_token=a; access_token=a"],
            Err(CredentialsSeveral),
        ),
        (&[b"access_token=a; access_token="], Err(CredentialsSeveral)),
        (
            &[b"access_token=a", b"access_token=b"],
            Err(CredentialsSeveral),
        ),
        (&[b"access_token=a,access_token=b"], Err(CredentialsSeveral)),
        (&[b"access_token=\"a.b.c\""], Err(TokenMalformed)),
        (&[b"access_token=Bearer a.b.c"], Err(TokenMalformed)),
        (&[b"access_token=a%2Eb"], Err(TokenMalformed)),
        (&[b"access_token=a\xc3\xa9"], Err(HeaderInvalid)),
        (&[b"access_token=a\0b"], Err(HeaderInvalid)),
    ];
    for (fields, expected) in rows {
        let headers = Headers::new(fields.iter().map(|field| ("cookie", *field)).collect());
        let found = BearerToken::find(&headers, &cookie).map(|t| t.map(BearerToken::expose));
        assert_eq!(found, *expected, "{fields:?}");
    }
}

#[test]
fn a_header_of_ones_own_holds_the_bare_token() {
    use DenyReason::{CredentialsSeveral, HeaderInvalid, TokenMalformed};
    let header = [TokenSource::Header("x-jwt".into())];
    assert_eq!(find(&[("X-JWT", b"a.b.c")], &header), Ok(Some("a.b.c")));
    assert_eq!(find(&[("x-jwt", b" ")], &header), Ok(None));
    assert_eq!(
        find(&[("x-jwt", b"Bearer a.b.c")], &header),
        Err(TokenMalformed)
    );
    assert_eq!(find(&[("x-jwt", b"a,b")], &header), Err(CredentialsSeveral));
    assert_eq!(
        find(&[("x-jwt", b"a"), ("X-Jwt", b"a")], &header),
        Err(CredentialsSeveral)
    );
    assert_eq!(find(&[("x-jwt", b"\x01")], &header), Err(HeaderInvalid));
    assert_eq!(find(&[("x_jwt", b"a.b.c")], &header), Ok(None));
}

#[test]
fn every_place_is_looked_at_and_only_one_may_hold_a_token() {
    let sources = all_sources();
    let bearer: Field = ("authorization", b"Bearer a");
    let basic: Field = ("authorization", b"Basic a");
    let cookie: Field = ("cookie", b"access_token=b");
    let header: Field = ("x-jwt", b"c");
    assert_eq!(find(&[], &sources), Ok(None));
    assert_eq!(find(&[bearer], &sources), Ok(Some("a")));
    assert_eq!(find(&[cookie], &sources), Ok(Some("b")));
    assert_eq!(find(&[header], &sources), Ok(Some("c")));
    assert_eq!(find(&[basic, cookie], &sources), Ok(Some("b")));
    for fields in [
        &[bearer, bearer][..],
        &[bearer, basic],
        &[basic, bearer],
        &[bearer, cookie],
        &[cookie, header],
        &[bearer, header],
        &[bearer, cookie, header],
    ] {
        assert_eq!(
            find(fields, &sources),
            Err(DenyReason::CredentialsSeveral),
            "{fields:?}"
        );
    }
    assert_eq!(
        find(&[bearer, cookie], &sources[..1]),
        Ok(Some("a")),
        "a cookie nobody configured"
    );
    assert_eq!(
        find(&[("authorization", b"Bearer"), cookie], &sources),
        Err(DenyReason::TokenMalformed)
    );
}

#[test]
fn a_place_configured_twice_is_one_place() {
    let twice = [TokenSource::Authorization, TokenSource::Authorization];
    assert_eq!(
        find(&[("authorization", b"Bearer a")], &twice),
        Ok(Some("a"))
    );
}

#[test]
fn a_token_is_not_shown() {
    assert!(!format!("{:?}", BearerToken::new("secret")).contains("secret"));
}

proptest! {
    #[test]
    fn finding_is_total_and_yields_token68(
        authorization in proptest::option::of("(Bearer |bearer|Basic |,| |[!-~]){0,6}".prop_map(String::into_bytes)),
        cookie in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..24)),
        named in proptest::option::of("(access_token=|;|,| |a){0,6}".prop_map(String::into_bytes)),
    ) {
        let mut fields: Vec<(&str, &[u8])> = Vec::new();
        fields.extend(authorization.as_deref().map(|value| ("authorization", value)));
        fields.extend(cookie.as_deref().map(|value| ("cookie", value)));
        fields.extend(named.as_deref().map(|value| ("cookie", value)));
        if let Ok(Some(token)) = BearerToken::find(&Headers::new(fields), &all_sources()) {
            prop_assert!(token68(token.expose()).is_ok());
        }
    }

    /// A space before the scheme means nothing, and is looked at the long way.
    #[test]
    fn both_ways_to_look_find_the_same(
        value in "[Bb]earer |(Bearer |bearer|Basic |,| |=|[!-~é\u{1}]){0,6}".prop_map(String::into_bytes),
    ) {
        let found = |value: &[u8]| {
            let headers = Headers::new(vec![("authorization", value)]);
            from_authorization(&headers).map(|token| token.map(str::to_owned))
        };
        prop_assert_eq!(found(&value), found(&[b" ", value.as_slice()].concat()));
    }
}
