//! Revocation by push, at the built server: what is acknowledged is in force, and stays so over a crash.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use serde_json::{Value, json};

use crate::support::raw;
use crate::support::revoking::{Home, now, post, revoke};
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey};

/// Header fields, a body, and the status that they get.
type Attempt<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16);

#[test]
fn the_next_request_after_the_answer_is_refused() {
    let home = Home::new();
    let server = home.start();
    let until = now() + 600;
    let token = home.token(&json!({"sub": "ann", "sid": "s1", "jti": "j1"}));
    let other = home.token(&json!({"sub": "bob", "sid": "s2", "jti": "j2"}));
    assert_eq!(server.ask(&token), 200);
    for (number, kind) in ["jti", "sid", "sub"].into_iter().enumerate() {
        let value = format!("{kind}-{number}");
        let mine = home.token(&json!({"sub": "x", kind: value}));
        assert_eq!(server.ask(&mine), 200);
        let answer = server.revoke(&json!([{"iss": ISSUER, kind: value, "until": until}]));
        assert_eq!(answer["added"], 1);
        assert_eq!(server.ask(&mine), 401, "{kind}");
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let digest: String = digest.as_ref().iter().map(|o| format!("{o:02x}")).collect();
    server.revoke(&json!([{"iss": ISSUER, "token_digest": digest, "until": until}]));
    assert_eq!(server.ask(&token), 401);
    assert_eq!(server.ask(&other), 200);
    // `before` spares what is newer.
    let old = home.token(&json!({"sub": "cat", "iat": now() - 10}));
    server.revoke(&json!([{"iss": ISSUER, "sub": "cat", "before": now() - 5, "until": until}]));
    assert_eq!(server.ask(&old), 401);
    assert_eq!(server.ask(&home.token(&json!({"sub": "cat"}))), 200);
    // A key, even for a token that does not say which key it is.
    let header = home.key.without_kid().header();
    let now = now();
    let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "dan", "iat": now, "exp": now + 60});
    let anonymous = home.key.sign(&header, &claims);
    assert_eq!(server.ask(&anonymous), 200);
    server.revoke(&json!([{"iss": ISSUER, "kid": "push", "until": until}]));
    for token in [&anonymous, &other] {
        assert_eq!(server.ask(token), 401);
    }
    assert_eq!(server.status()["entries"], 6);
    assert_eq!(server.denied("token_revoked"), 7);
}

#[test]
fn a_batch_says_of_each_item_what_is_wrong() {
    let home = Home::new();
    let server = home.start();
    let until = now() + 600;
    let batch = json!([
        {"iss": ISSUER, "sub": "a", "until": until},
        {"iss": ISSUER, "sub": "a", "until": until},
        {"iss": "https://misspelt.test", "sub": "a", "until": until},
        {"iss": ISSUER, "sub": "a", "sid": "b", "until": until},
        {"iss": ISSUER, "sub": "old", "until": 1},
        "a",
    ]);
    let answer = server.revoke(&batch);
    let errors = answer["errors"].as_array().unwrap();
    let places: Vec<_> = errors
        .iter()
        .map(|error| error["index"].as_u64().unwrap())
        .collect();
    assert_eq!(places, [2, 3, 5]);
    assert_eq!(
        (&answer["added"], &answer["known"], &answer["ended"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let status = server.status();
    assert_eq!(
        status,
        json!({"entries": 1, "max_entries": 100_000, "evicted": 0, "file": "good"})
    );
    let page = raw::exchange(server.admin(), &raw::get("/status", &[])).unwrap();
    let page: Value = serde_json::from_slice(&page.body).unwrap();
    assert_eq!(page["revocations"], status);
    let metrics = raw::exchange(server.admin(), &raw::get("/metrics", &[])).unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("\ngatefort_revocations 1\n"), "{metrics}");
}

#[test]
fn who_does_not_know_the_secret_learns_and_changes_nothing() {
    let home = Home::new();
    let server = home.start();
    let good = format!("Bearer {}", home.secret);
    let longer = format!("{good}x");
    let json_type = ("content-type", "application/json");
    let item =
        json!({"revocations": [{"iss": ISSUER, "sub": "a", "until": now() + 60}]}).to_string();
    let item = item.as_bytes();
    let large = vec![b' '; 1024 * 1024 + 1];
    let cases: &[Attempt<'_>] = &[
        (&[json_type], item, 401),
        (&[json_type, ("authorization", "Bearer wrong")], item, 401),
        (&[json_type, ("authorization", &longer)], item, 401),
        (&[json_type, ("authorization", "Bearer ")], item, 401),
        (&[json_type, ("authorization", "Basic YTpi")], item, 401),
        (
            &[
                json_type,
                ("authorization", &good),
                ("authorization", &good),
            ],
            item,
            401,
        ),
        (&[json_type], &large, 401),
        (&[("authorization", &good)], item, 415),
        (
            &[("content-type", "text/plain"), ("authorization", &good)],
            item,
            415,
        ),
        (&[json_type, ("authorization", &good)], b"[]", 400),
        (&[json_type, ("authorization", &good)], b"{}", 400),
        (
            &[json_type, ("authorization", &good)],
            b"{\"revocations\": {}}",
            400,
        ),
        (
            &[json_type, ("authorization", &good)],
            b"{\"revocations\": [], \"x\": 1}",
            400,
        ),
        (
            &[json_type, ("authorization", &good)],
            b"{\"revocations\": [], \"revocations\": []}",
            400,
        ),
        (&[json_type, ("authorization", &good)], &large, 413),
    ];
    for (headers, body, status) in cases {
        let answer = post(server.admin(), "/revocations", headers, body).unwrap();
        assert_eq!(answer.status(), *status, "{headers:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), *status == 401);
    }
    assert_eq!(server.status()["entries"], 0);
    let unknown = raw::exchange(server.admin(), &raw::get("/revocations", &[])).unwrap();
    assert_eq!(unknown.status(), 401);
    for path in ["/healthz", "/readyz", "/metrics", "/status"] {
        let answer = post(server.admin(), path, &[("authorization", &good)], b"").unwrap();
        assert_eq!(answer.status(), 405, "{path}");
    }
    let log = server.process.stop();
    assert!(!log.contains(&home.secret), "{log}");
    // Not configured is not there.
    let server = home.start_with("");
    for path in [
        "/revocations",
        "/revocations/events",
        "/revocations/backchannel-logout",
    ] {
        let answer = post(
            server.admin(),
            path,
            &[json_type, ("authorization", &good)],
            item,
        )
        .unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let server = home.start_with("revocation: {secret_file: @DIR@/secret}");
    let answer = post(server.admin(), "/revocations/events", &[json_type], item).unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(server.status()["file"], "none");
}

#[test]
fn a_crash_loses_nothing_that_was_acknowledged() {
    const BATCH: usize = 50;
    const BATCHES: usize = 10_000 / BATCH;
    const SENDERS: usize = 4;
    let home = Arc::new(Home::new());
    let until = now() + 600;
    let batch = move |number: usize| -> Value {
        let item =
            |item| json!({"iss": ISSUER, "sub": format!("u{number}-{item}"), "until": until});
        (0..BATCH).map(item).collect()
    };
    let mut acknowledged: Vec<usize> = Vec::new();
    // Killed early, in the middle and late; each time on the same file.
    for (round, enough) in [3, BATCHES / 3, BATCHES * 2 / 3].into_iter().enumerate() {
        let mut server = home.start();
        let (send, answers) = channel();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (send, admin, secret) = (send.clone(), server.admin(), home.secret.clone());
                thread::spawn(move || {
                    for number in (sender..BATCHES).step_by(SENDERS) {
                        let number = round * BATCHES + number;
                        match revoke(admin, &secret, &batch(number)) {
                            Ok(answer) if answer.status() == 200 => send.send(number).unwrap(),
                            Ok(_) | Err(_) => return,
                        }
                    }
                })
            })
            .collect();
        drop(send);
        acknowledged.extend(answers.iter().take(enough));
        server.process.kill();
        senders
            .into_iter()
            .for_each(|sender| sender.join().unwrap());
        // What was answered between the last look and the end.
        acknowledged.extend(answers.iter());
        let server = home.start();
        for &number in &acknowledged {
            let answer = server.revoke(&batch(number));
            assert_eq!(
                answer["known"], BATCH,
                "round {round}: batch {number} of {acknowledged:?}"
            );
        }
        let last = acknowledged.last().unwrap();
        let token = home.token(&json!({"sub": format!("u{last}-{}", BATCH - 1)}));
        assert_eq!(server.ask(&token), 401);
    }
}

#[test]
fn an_issuer_revokes_by_its_own_word() {
    let home = Home::new();
    let server = home.start();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let logout = |key: &TestKey, typ: &str, claims: &Value| {
        let token = key.sign(&key.header_with(json!({"typ": typ})), claims);
        let body = format!("logout_token={token}");
        post(
            server.admin(),
            "/revocations/backchannel-logout",
            &form,
            body.as_bytes(),
        )
        .unwrap()
    };
    let secevent = [("content-type", "application/secevent+jwt")];
    let event = |key: &TestKey, claims: &Value| {
        let token = key.sign(&key.header_with(json!({"typ": "secevent+jwt"})), claims);
        let answer = post(
            server.admin(),
            "/revocations/events",
            &secevent,
            token.as_bytes(),
        )
        .unwrap();
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (
            answer.status(),
            body["err"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let ann = home.token(&json!({"sub": "ann", "sid": "s1"}));
    let frame = json!({"iss": ISSUER, "aud": "gatefort", "iat": now(), "jti": "e1"});
    let with = |members: &Value| {
        let mut claims = frame.clone();
        for (name, value) in members.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let ended = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let stranger = TestKey::es256("stranger").with_kid("push");
    let good = with(&json!({"sid": "s1", "events": ended}));
    for (key, typ, claims) in [
        (&stranger, "logout+jwt", &good),
        (&home.key, "at+jwt", &good),
        (
            &home.key,
            "logout+jwt",
            &with(&json!({"sid": "s1", "events": ended, "aud": AUDIENCE})),
        ),
        (&home.key, "logout+jwt", &with(&json!({"sid": "s1"}))),
    ] {
        assert_eq!(logout(key, typ, claims).status(), 400, "{typ} {claims}");
        assert_eq!(server.ask(&ann), 200);
    }
    assert_eq!(logout(&home.key, "logout+jwt", &good).status(), 200);
    assert_eq!(server.ask(&ann), 401);

    let user = json!({"format": "iss_sub", "iss": ISSUER, "sub": "bob"});
    let disabled = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
    let good = with(&json!({"sub_id": user, "events": {disabled: {}}}));
    let bob = home.token(&json!({"sub": "bob", "iat": now() - 5}));
    let refusals = [
        (&stranger, good.clone(), "authentication_failed"),
        (&stranger.with_kid("unknown"), good.clone(), "invalid_key"),
        (
            &home.key,
            with(&json!({"iss": "https://other.test"})),
            "invalid_issuer",
        ),
        (
            &home.key,
            with(&json!({"aud": "other", "events": {disabled: {}}})),
            "invalid_audience",
        ),
        (
            &home.key,
            with(&json!({"sub_id": "bob", "events": {disabled: {}}})),
            "invalid_request",
        ),
    ];
    for (key, claims, code) in &refusals {
        assert_eq!(event(key, claims), (400, (*code).to_owned()), "{claims}");
    }
    let answer = post(
        server.admin(),
        "/revocations/events",
        &secevent,
        b"no token",
    )
    .unwrap();
    assert_eq!(
        (answer.status(), answer.header("content-language")),
        (400, Some("en"))
    );
    assert_eq!(server.ask(&bob), 200);
    assert_eq!(event(&home.key, &good), (202, String::new()));
    assert_eq!(server.ask(&bob), 401);
    // The account is enabled again: what was issued since then passes.
    assert_eq!(
        server.ask(&home.token(&json!({"sub": "bob", "iat": now() + 5}))),
        200
    );
    // An event is no access token, whatever else it says.
    let token = home.key.sign(&home.key.header_with(json!({"typ": "secevent+jwt"})), &with(&json!({
        "sub": "eve", "aud": [AUDIENCE, "gatefort"], "exp": now() + 60, "events": {disabled: {}},
    })));
    assert_eq!(server.ask(&token), 401);
    assert_eq!(server.denied("token_revoked"), 2);
    assert_eq!(server.denied("token_type_mismatch"), 1);
}
