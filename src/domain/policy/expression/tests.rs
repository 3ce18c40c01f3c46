//! What expressions can ask, and what is found out about them at load.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::analysis::Names;
use super::*;
use crate::domain::claims::fixture;
use crate::domain::policy::tests::request;
use crate::domain::request::Headers;

fn claims() -> serde_json::Value {
    json!({
        "sub": "ann", "email": "ann@example.com", "roles": ["admin", "editor"], "mfa_enabled": true, "ver": 3,
        "level": 2.5, "big": u64::MAX, "minus": -1, "nothing": null, "tenant": {"id": "acme", "tags": ["x", "y"]},
        "empty": [], "https://example.com/x": "odd"
    })
}

fn check(source: &str) -> Result<(), DenyReason> {
    let mut request = request("GET", "API.example.com:443", "/orders/%61cme?x=1");
    request.headers = Headers::new(vec![
        ("X-Tenant", b"acme"),
        ("x-twice", b"a"),
        ("X-Twice", b"b"),
        ("x-utf8", "é".as_bytes()),
        ("authorization", b"Bearer secret"),
        ("cookie", b"access_token=secret"),
    ]);
    request.client = Some(IpAddr::from([192, 0, 2, 7]));
    Expression::compile(source)
        .unwrap()
        .check(&fixture::principal_with(claims()), &request)
}

#[test]
fn true_holds_false_does_not_and_anything_else_is_an_error() {
    for source in [
        "true",
        "claims.mfa_enabled == true",
        "claims.mfa_enabled",
        "claims['sub'] == 'ann'",
        "claims['https://example.com/x'] == 'odd'",
        "'admin' in claims.roles",
        "claims.roles.exists(r, r == 'editor') && !('root' in claims.roles)",
        "claims.roles.all(r, size(r) > 3)",
        "claims.roles.exists_one(r, r == 'admin')",
        "claims.roles.filter(r, r.startsWith('a')).size() == 1",
        "claims.roles.map(r, r.upperAscii()) == ['ADMIN', 'EDITOR']",
        "claims.ver >= 3 && claims.ver < 4u && claims.ver == 3.0",
        "claims.level > 2 && claims.big > 9223372036854775807u && claims.minus < 0",
        "claims.nothing == null && has(claims.nothing)",
        "claims.tenant.id == 'acme' && 'x' in claims.tenant.tags && claims.tenant['tags'][1] == 'y'",
        "!has(claims.absent) && has(claims.tenant.id) && !has(claims.tenant.absent)",
        "claims.?absent.orValue('none') == 'none' && claims.?tenant.?id.orValue('') == 'acme'",
        "claims[?'absent'].hasValue() == false",
        "'sub' in claims && !('absent' in claims)",
        "size(claims) == 12 && claims.exists(k, k == 'sub')",
        "claims.email.endsWith('@example.com') && claims.email.matches('^[a-z]+@')",
        "claims.email.split('@')[1] == 'example.com'",
        "request.method == 'GET' && request.host == 'api.example.com'",
        "request.path == '/orders/acme' && request.query == 'x=1'",
        "request.path.startsWith('/orders/' + claims.tenant.id)",
        "request['path'].contains('orders') && 'path' in request",
        "request.client_ip == '192.0.2.7' && !has(request.client_principal)",
        "request.headers['x-tenant'] == claims.tenant.id",
        "request.headers['x-twice'] == 'a, b'",
        "request.headers['x-utf8'] == 'é'",
        "!('x-absent' in request.headers) && !has(request.headers.absent)",
        "request.headers.exists(name, name == 'x-tenant')",
        "!request.headers.exists(name, name == 'authorization' || name == 'cookie')",
        "size(request) == 6",
        "type(claims.ver) == int && string(claims.ver) == '3' && int('7') == 7",
        "optional.of(1).value() == 1 && strings.quote('a') == '\"a\"'",
        "claims.mfa_enabled ? claims.ver > 1 : false",
        "claims.absent == 1 || claims.ver == 3",
        "[1, 2].exists(claims, claims == 2)",
        "{'a': claims.sub}['a'] == 'ann'",
    ] {
        assert_eq!(check(source), Ok(()), "{source}");
    }
    for source in [
        "false",
        "claims.ver == 4",
        "claims.sub == 'Ann'",
        "claims.ver != 3",
        "'adm' in claims.roles",
        "claims.empty.exists(x, true)",
    ] {
        assert_eq!(check(source), Err(DenyReason::ConditionFalse), "{source}");
    }
    for source in [
        "claims.absent == 1",
        "claims.absent != 1",
        "!claims.absent",
        "claims.sub",
        "claims.ver",
        "claims.roles",
        "claims.nothing",
        "claims.ver + 1 == 'x' || claims.absent",
        "claims.roles.contains('admin')",
        "claims.sub > 1",
        "request.client_principal == 'x'",
        "request.headers['x-absent'] == ''",
        "claims.ver / 0 == 1",
        "claims.roles[7] == 'x'",
        "claims.sub && claims.mfa_enabled",
    ] {
        assert_eq!(check(source), Err(DenyReason::ConditionError), "{source}");
    }
}

#[test]
fn a_header_that_is_not_text_is_an_error_where_it_is_read() {
    let mut request = request("GET", "a", "/");
    request.headers = Headers::new(vec![("x-blocked", b"\xff"), ("x-ok", b"1")]);
    let ann = fixture::principal_with(claims());
    for (source, verdict) in [
        (
            "!('x-blocked' in request.headers)",
            Err(DenyReason::ConditionError),
        ),
        (
            "request.headers.all(name, name != 'x-blocked')",
            Err(DenyReason::ConditionError),
        ),
        ("request.headers['x-ok'] == '1'", Ok(())),
        ("request.path == '/'", Ok(())),
    ] {
        assert_eq!(
            Expression::compile(source).unwrap().check(&ann, &request),
            verdict,
            "{source}"
        );
    }
}

#[test]
fn names_that_there_are_not_are_found_at_load() {
    let problem = |source: &str| Expression::compile(source).unwrap_err();
    let at = |column| Position { line: 1, column };
    assert_eq!(
        problem("claim.sub == 'a'"),
        ExpressionError::UnknownVariable {
            at: at(1),
            name: "claim".into()
        }
    );
    assert_eq!(
        problem("true &&\n  token.sub == 'a'"),
        ExpressionError::UnknownVariable {
            at: Position { line: 2, column: 3 },
            name: "token".into()
        }
    );
    for source in [
        "x",
        ".claims.sub == 'a'",
        "claims.roles.exists(r, s == r)",
        "claims.roles.exists(r, true) && r == 1",
        "has(jwt.sub)",
    ] {
        assert!(
            matches!(problem(source), ExpressionError::UnknownVariable { .. }),
            "{source}: {:?}",
            problem(source)
        );
    }
    for source in [
        "request.uri == '/'",
        "request['uri'] == '/'",
        "has(request.uri)",
        "request.?uri.hasValue()",
        "'uri' in request",
        "request.Path == ''",
    ] {
        assert!(
            matches!(problem(source), ExpressionError::UnknownField { .. }),
            "{source}: {:?}",
            problem(source)
        );
    }
    for source in [
        "lower(claims.sub) == 'a'",
        "claims.sub.lower() == 'a'",
        "split(claims.sub, '@')[0] == 'a'",
        "claims.sub.split()[0] == 'a'",
        "size() == 1",
        "now() > 1",
        "timestamp('2026-01-01T00:00:00Z') < timestamp('2027-01-01T00:00:00Z')",
        "optional.some(1).hasValue()",
        "has(claims)  || true || has(claims, 1)",
        "claims.roles.exists(r)",
        "base64.decode('YQ==') == b'a'",
    ] {
        let problem = problem(source);
        assert!(
            matches!(
                problem,
                ExpressionError::UnknownFunction { .. }
                    | ExpressionError::Syntax { .. }
                    | ExpressionError::UnknownVariable { .. }
            ),
            "{source}: {problem:?}"
        );
    }
    assert_eq!(
        problem("split(claims.sub, '@')[0] == 'a'").to_string(),
        "1:6: there is no function `split` that is called like this: x.split(a, b (the last may be left out))"
    );
    assert!(matches!(
        problem("Foo{a: 1} == 1"),
        ExpressionError::MessageType { .. }
    ));
    assert!(matches!(
        problem("request.headers['X-Tenant'] == ''"),
        ExpressionError::HeaderCase { .. }
    ));
    for name in ["authorization", "Cookie", "proxy-authorization"] {
        let source = format!("request.headers['{name}'] != ''");
        assert!(
            matches!(problem(&source), ExpressionError::CredentialHeader { .. }),
            "{source}"
        );
    }
    for source in [
        "'a'",
        "1",
        "claims.ver + 1",
        "-claims.ver",
        "[true]",
        "{'a': true}",
        "null",
    ] {
        assert!(
            matches!(problem(source), ExpressionError::NotACondition { .. }),
            "{source}"
        );
    }
    for source in [
        "claims.sub.matches('(')",
        "matches(claims.sub, '[')",
        "claims.sub.matches(claims.pattern)",
        "claims.sub.matches('a' + 'b')",
    ] {
        assert!(
            matches!(problem(source), ExpressionError::Regex { .. }),
            "{source}"
        );
    }
}

#[test]
fn what_is_not_cel_is_shown_with_its_place() {
    let problem = Expression::compile("claims.sub == ")
        .unwrap_err()
        .to_string();
    assert!(
        problem.contains("1:15") && problem.contains('^'),
        "{problem}"
    );
    for source in [
        "",
        " ",
        "claims.",
        "claims.sub = 'a'",
        "claims.sub == 'a",
        "a b",
        "(",
        "claims.`a` == 1",
        "\0",
        "é",
    ] {
        assert!(
            matches!(
                Expression::compile(source),
                Err(ExpressionError::Syntax { .. })
            ),
            "{source:?}"
        );
    }
}

#[test]
fn every_listed_function_is_there() {
    for source in [
        "bool('true')",
        "bytes('a') == b'a'",
        "double('1') == 1.0",
        "dyn(1) == 1",
        "int('1') == 1",
        "matches('a', 'a')",
        "!optional.none().hasValue()",
        "optional.of(1).hasValue()",
        "!optional.ofNonZeroValue(0).hasValue()",
        "size('a') == 1",
        "string(1) == '1'",
        "strings.quote('a') != ''",
        "type(1) == int",
        "uint('1') == 1u",
        "'ab'.charAt(0) == 'a'",
        "'ab'.contains('a')",
        "'ab'.endsWith('b')",
        "'%s'.format([1]) == '1'",
        "'ab'.indexOf('b') == 1",
        "'ab'.indexOf('b', 1) == 1",
        "['a'].join() == 'a'",
        "['a'].join(',') == 'a'",
        "'ab'.lastIndexOf('b') == 1",
        "'ab'.lastIndexOf('b', 1) == 1",
        "'A'.lowerAscii() == 'a'",
        "'a'.matches('a')",
        "optional.none().or(optional.of(1)).value() == 1",
        "optional.none().orValue(1) == 1",
        "'a'.replace('a', 'b') == 'b'",
        "'aa'.replace('a', 'b', 1) == 'ba'",
        "'ab'.reverse() == 'ba'",
        "'a'.size() == 1",
        "'a,b'.split(',').size() == 2",
        "'a,b'.split(',', 1).size() == 1",
        "'a'.startsWith('a')",
        "'ab'.substring(1) == 'b'",
        "'ab'.substring(0, 1) == 'a'",
        "' a '.trim() == 'a'",
        "'a'.upperAscii() == 'A'",
        "optional.of(1).value() == 1",
    ] {
        assert_eq!(check(source), Ok(()), "{source}");
    }
}

#[test]
fn only_what_is_read_is_made() {
    let reads = |source: &str| Expression::compile(source).unwrap().reads;
    let some = |names: &[&str]| Names::Some(names.iter().map(|name| (*name).into()).collect());
    let only = reads(
        "claims.sub == 'a' && has(claims.tenant.id) && 'x' in claims.roles && claims.sub != ''",
    );
    assert_eq!(only.claims, some(&["sub", "tenant", "roles"]));
    assert!(!only.request && only.headers == Names::None);
    assert_eq!(reads("claims.exists(k, k == 'a')").claims, Names::All);
    assert_eq!(reads("claims[request.method] == 1").claims, Names::All);
    assert_eq!(reads("[1].exists(claims, claims == 1)").claims, Names::None);
    assert_eq!(
        reads("request.headers['x-a'] == request.headers.host").headers,
        some(&["x-a", "host"])
    );
    assert_eq!(reads("request.headers[claims.h] == ''").headers, Names::All);
    assert_eq!(reads("size(request) == 1").headers, Names::All);
    assert_eq!(reads("request.path == '/'").headers, Names::None);
}

#[test]
fn length_depth_and_loops_are_bounded() {
    let compile = Expression::compile;
    let long = |length: usize| format!("'{}' == ''", "a".repeat(length - 8));
    assert!(compile(&long(Expression::MAX_LENGTH)).is_ok());
    assert_eq!(
        compile(&long(Expression::MAX_LENGTH + 1)).unwrap_err(),
        ExpressionError::TooLong
    );
    assert!(
        compile(&vec!["claims.a"; 160].join(" || ")).is_ok(),
        "`||` is balanced"
    );
    let list = |length: usize| format!("claims.a in [{}]", vec!["'a'"; length].join(","));
    assert!(compile(&list(100)).is_ok());
    for source in [
        list(400),
        "(".repeat(65),
        vec!["1"; 60].join(" + ") + " == 1",
    ] {
        let problem = compile(&source).unwrap_err();
        assert_eq!(problem, ExpressionError::TooComplex, "{source}");
    }
    assert!(compile(&format!("{} == 1", vec!["1"; 40].join(" + "))).is_ok());
    assert!(compile("claims.a.exists(x, claims.b.exists(y, x == y))").is_ok());
    assert!(
        compile("claims.a.filter(x, true).map(x, x).filter(x, true).exists(x, true)").is_ok(),
        "one after the other"
    );
    assert!(matches!(
        compile("claims.a.exists(x, claims.b.exists(y, claims.c.exists(z, true)))"),
        Err(ExpressionError::TooManyLoops { .. })
    ));
}

#[test]
fn a_pattern_takes_time_in_proportion_to_the_text() {
    let caller = fixture::principal_with(json!({"sub": "a".repeat(100_000) + "!"}));
    // A backtracking engine would not come to an end before the sun does.
    for pattern in ["^(a+)+$", "^(a|aa)+$", "^(.*)*,(.*)*$"] {
        let expression = Expression::compile(&format!("claims.sub.matches('{pattern}')")).unwrap();
        let start = Instant::now();
        let verdict = expression.check(&caller, &request("GET", "h", "/"));
        assert_eq!(verdict, Err(DenyReason::ConditionFalse), "{pattern}");
        assert!(start.elapsed() < Duration::from_secs(5), "{pattern}");
    }
}

#[test]
fn no_text_overflows_the_stack() {
    // Half of what the threads of the runtime have.
    let stack = 1024 * 1024;
    let tries = std::thread::Builder::new()
        .stack_size(stack)
        .spawn(compile_the_nastiest)
        .unwrap();
    tries.join().unwrap();
}

fn compile_the_nastiest() {
    let nested = |open: &str, middle: &str, close: &str, count: usize| {
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    for count in [
        8, 16, 24, 32, 40, 47, 48, 64, 90, 96, 100, 128, 200, 380, 760, 2000,
    ] {
        for source in [
            nested("(", "true", ")", count),
            nested("[", "1", "]", count) + " == 1",
            nested("{1:", "1", "}", count) + " == 1",
            nested("!", "true", "", count),
            nested("-", "1", "", count) + " == 1",
            nested("size(", "'a'", ")", count) + " == 1",
            nested("claims[", "'a'", "]", count) + " == 1",
            nested("true ? true : ", "true", "", count),
            nested("claims.a ? ", "true", " : false", count),
            format!("claims{} == 1", ".a".repeat(count)),
            format!("claims{} == 1", "[0]".repeat(count)),
            format!("claims{} == 1", ".?a".repeat(count)),
            format!("'a'{} == 1", ".trim()".repeat(count)),
            format!("1{} == 1", "+1".repeat(count)),
            format!("1{} == 1", "*1".repeat(count)),
            format!("1{}", "==1".repeat(count)),
            format!("true{}", "&&true".repeat(count)),
            format!("[1]{} == 1", ".map(x,x)".repeat(count)),
            nested("[1].map(x,", "x", ")", count) + " == 1",
            "(".repeat(count),
            "a.".repeat(count),
            "'".repeat(count),
            "{".repeat(count),
        ] {
            if let Ok(expression) = Expression::compile(&source) {
                let _ = expression.check(
                    &fixture::principal_with(claims()),
                    &request("GET", "a", "/"),
                );
            }
        }
    }
}

#[test]
fn an_expression_is_shared_between_threads_and_shown_by_its_source() {
    fn shared<T: Send + Sync>(_: &T) {}
    let expression = Expression::compile("true").unwrap();
    shared(&expression);
    assert_eq!(expression.source(), "true");
    assert_eq!(format!("{expression:?}"), "Expression(\"true\")");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn compiling_and_checking_are_total(
        source in "[ -~é]{0,24}|(claims|request|\\.|sub|path|\\[|\\]|\\(|\\)|'| == | && |!|in|has|exists|,|x|1){0,10}",
    ) {
        if let Ok(expression) = Expression::compile(&source) {
            let _ = expression.check(&fixture::principal_with(claims()), &request("GET", "a", "/"));
        }
    }
}
