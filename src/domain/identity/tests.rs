//! What a request may carry, and what the upstream is told.

use std::borrow::ToOwned;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::claims::fixture;
use crate::domain::request::{Headers, Host, Method, RequestPath};

fn identity(names: &[&str]) -> IdentityHeaders {
    let headers = names
        .iter()
        .map(|name| (name.parse().unwrap(), ClaimPath::parse("sub").unwrap()))
        .collect();
    IdentityHeaders::new(headers, NonAscii::Percent, 4096)
}

fn request<'w>(fields: &[(&'w str, &'w [u8])], removal: HeaderRemoval) -> RequestContext<'w> {
    RequestContext {
        method: Method::parse("GET").unwrap(),
        host: Host::parse("example.com").unwrap(),
        path: RequestPath::parse_target("/").unwrap().0,
        query: None,
        headers: Headers::new(fields.to_vec()),
        client: None,
        client_principal: None,
        removal,
    }
}

#[test]
fn every_name_has_its_aliases_and_none_is_a_name() {
    let names = identity(&["x-auth-user", "user", "x-auth-user"]);
    assert_eq!(
        names.aliases().collect::<Vec<_>>(),
        ["x_auth_user", "x.auth.user"]
    );
    let odd = identity(&["x-user", "x_user"]);
    assert_eq!(odd.aliases().collect::<Vec<_>>(), ["x.user"]);
}

#[test]
fn aliases_are_refused_or_removed() {
    let identity = identity(&["x-auth-user", "x-auth-roles", "user"]);
    for name in [
        "x_auth_user",
        "X_Auth_User",
        "x.auth.user",
        "x-auth_user",
        "x_auth-user",
        "X.AUTH_ROLES",
        "x~auth~user",
    ] {
        let fields: &[(&str, &[u8])] = &[("accept", b"*/*"), (name, b"root")];
        let stuck = request(fields, HeaderRemoval::Unable);
        assert_eq!(
            identity.check_request(&stuck),
            Err(DenyReason::HeaderAlias),
            "{name}"
        );
        let free = request(fields, HeaderRemoval::Able);
        assert_eq!(identity.check_request(&free), Ok(()), "{name}");
        assert_eq!(
            identity.render(None, &free).unwrap().remove,
            [name.to_ascii_lowercase()]
        );
    }
    // Longer than the longest length that is told apart.
    let long = format!("x-{}", "long-".repeat(20));
    let identity = self::identity(&[&long]);
    for (name, expected) in [
        (long.replace('-', "_"), Err(DenyReason::HeaderAlias)),
        (long.replace("x-", "y-"), Ok(())),
        (format!("{long}x"), Ok(())),
    ] {
        let stuck = request(&[(&name, b"root")], HeaderRemoval::Unable);
        assert_eq!(identity.check_request(&stuck), expected, "{name}");
    }
    let identity = self::identity(&["x-auth-user", "x-auth-roles", "user"]);
    let repeated = request(
        &[("x_auth_user", b"a"), ("X_AUTH_USER", b"b")],
        HeaderRemoval::Able,
    );
    assert_eq!(identity.observed_aliases(&repeated), ["x_auth_user"]);
}

#[test]
fn the_names_themselves_and_unlike_names_pass() {
    let identity = identity(&["x-auth-user", "user"]);
    for name in [
        "x-auth-user",
        "X-Auth-User",
        "USER",
        "x-auth-users",
        "x_auth_use",
        "xauthuser",
        "x-auth-usee",
        "u_er",
    ] {
        for removal in [HeaderRemoval::Able, HeaderRemoval::Unable] {
            let request = request(&[(name, b"root")], removal);
            assert_eq!(identity.check_request(&request), Ok(()), "{name}");
            assert!(identity.observed_aliases(&request).is_empty(), "{name}");
        }
    }
}

#[test]
fn a_name_with_an_underscore_has_the_hyphen_as_alias() {
    let identity = identity(&["x_user"]);
    let stuck = request(&[("X-User", b"root")], HeaderRemoval::Unable);
    assert_eq!(identity.check_request(&stuck), Err(DenyReason::HeaderAlias));
}

#[test]
fn connection_must_not_name_identity() {
    let identity = identity(&["x-auth-user"]);
    let refused: &[&[u8]] = &[
        b"x-auth-user",
        b"X-Auth-User",
        b"close, X-Auth-User",
        b"close,x-auth-user ,te",
        b"x_auth_user",
        b"\tx.auth.user",
    ];
    let passed: &[&[u8]] = &[
        b"",
        b"close",
        b"keep-alive, upgrade",
        b"x-auth-userx",
        b"\"x-auth-user\"",
        b"\xff",
    ];
    for removal in [HeaderRemoval::Able, HeaderRemoval::Unable] {
        for value in refused {
            let request = request(&[("Connection", b"close"), ("connection", value)], removal);
            assert_eq!(
                identity.check_request(&request),
                Err(DenyReason::HopByHop),
                "{value:?}"
            );
        }
        for value in passed {
            assert_eq!(
                identity.check_request(&request(&[("connection", value)], removal)),
                Ok(()),
                "{value:?}"
            );
        }
    }
}

#[test]
fn every_header_is_there_with_a_value_or_without() {
    let identity = IdentityHeaders::new(
        [
            ("x-auth-user", "sub"),
            ("x-auth-email", "email"),
            ("x-auth-roles", "realm.roles"),
        ]
        .into_iter()
        .map(|(name, claim)| (name.parse().unwrap(), ClaimPath::parse(claim).unwrap()))
        .collect(),
        NonAscii::Percent,
        4096,
    );
    let request = request(
        &[("x-auth-user", b"root"), ("x-auth-email", b"root@x")],
        HeaderRemoval::Unable,
    );
    let shown = |principal: Option<&Principal>| -> Vec<(String, Option<String>)> {
        let identity = identity.render(principal, &request).unwrap();
        identity
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    value.map(|value| str::from_utf8(value).unwrap().to_owned()),
                )
            })
            .collect()
    };
    let ann = fixture::principal_with(
        json!({"sub": "ann", "email": null, "realm": {"roles": ["a", "b"]}}),
    );
    let row = |name: &str, value: Option<&str>| (name.to_owned(), value.map(ToOwned::to_owned));
    assert_eq!(
        shown(Some(&ann)),
        [
            row("x-auth-user", Some("ann")),
            row("x-auth-email", None),
            row("x-auth-roles", Some("a,b"))
        ]
    );
    assert_eq!(
        shown(None),
        [
            row("x-auth-user", None),
            row("x-auth-email", None),
            row("x-auth-roles", None)
        ]
    );
}

#[test]
fn an_unsafe_claim_denies() {
    let identity = identity(&["x-auth-user"]);
    let mallory = fixture::principal_with(json!({"sub": "a\r\nX-Auth-Roles: admin"}));
    assert_eq!(
        identity.values(Some(&mallory)),
        Err(DenyReason::IdentityUnsafe)
    );
}

#[test]
fn values_are_made_once_and_never_by_others() {
    let (ours, theirs) = (identity(&["x-auth-user"]), identity(&["x-other-user"]));
    let ann = fixture::principal_with(json!({"sub": "ann"}));
    let first = ours.values(Some(&ann)).unwrap();
    assert!(Arc::ptr_eq(&first, &ours.values(Some(&ann)).unwrap()));
    let foreign = theirs.values(Some(&ann)).unwrap();
    let names: Vec<_> = foreign.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-other-user"]);
    let bob = fixture::principal_with(json!({"sub": "bob"}));
    assert_ne!(ours.values(Some(&bob)).unwrap(), first);
    assert_ne!(ours.values(None).unwrap(), first);
    assert_eq!(ours.values(Some(&ann.clone())).unwrap(), first);
}

#[test]
fn more_than_there_is_room_for_is_not_kept() {
    let headers = (0..100)
        .map(|n| {
            (
                format!("x-{n}").parse().unwrap(),
                ClaimPath::parse("sub").unwrap(),
            )
        })
        .collect();
    let identity = IdentityHeaders::new(headers, NonAscii::Percent, 4096);
    let ann = fixture::principal_with(json!({"sub": "a".repeat(100)}));
    let values = identity.values(Some(&ann)).unwrap();
    assert_eq!(values.len(), 100);
    assert!(!Arc::ptr_eq(&values, &identity.values(Some(&ann)).unwrap()));
    let bob = fixture::principal_with(json!({"sub": "bob"}));
    let values = self::identity(&["x-auth-user"]).values(Some(&bob)).unwrap();
    let before = bob.weight();
    values.keep_answer(&vec![0; bob.room()]);
    assert_eq!((values.answer(), bob.weight()), (None, before));
    values.keep_answer(b"short");
    assert_eq!(values.answer(), Some(b"short".as_slice()));
    assert!(bob.weight() < before, "nothing more will be kept");
}

proptest! {
    #[test]
    fn every_mix_of_separators_is_an_alias(separators in proptest::collection::vec("[-_.]", 3), upper in any::<bool>()) {
        let identity = identity(&["x-auth-user-id"]);
        let words = ["x", "auth", "user", "id"];
        let mut name = words[0].to_owned();
        for (separator, word) in separators.iter().zip(&words[1..]) {
            name.push_str(separator);
            name.push_str(word);
        }
        if upper {
            name.make_ascii_uppercase();
        }
        let is_name = name.eq_ignore_ascii_case("x-auth-user-id");
        let verdict = identity.check_request(&request(&[(&name, b"root")], HeaderRemoval::Unable));
        prop_assert_eq!(verdict.is_ok(), is_name, "{}", name);
    }
}
