//! What the process keeps of what it was sent.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::Ipv4Addr;

use serde_json::json;

use crate::support::raw;
use crate::support::server::Gatefort;
use crate::support::tokens::{AUDIENCE, ISSUER, TestKey, claims};

#[test]
fn what_is_remembered_of_a_token_is_not_the_token() {
    const TOKENS: usize = 400;
    let key = TestKey::es256("memory");
    let configuration = format!(
        "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
issuers: [{{issuer: '{ISSUER}', audiences: [{AUDIENCE}], jwks: {}}}]
rules: [{{path: /**, allow: authenticated}}]
",
        json!({"keys": [key.jwk()]})
    );
    let server = Gatefort::start(&configuration, "/readyz");
    let subject = |number: usize| format!("canary-{number:03}-user");
    let tokens: Vec<_> = (0..TOKENS)
        .map(|number| key.mint(&claims(&subject(number))))
        .collect();
    for token in &tokens {
        let authorization = format!("Bearer {token}");
        let question = raw::get("/ext-authz/x", &[("authorization", &authorization)]);
        let door = (Ipv4Addr::LOCALHOST, server.http).into();
        assert_eq!(raw::exchange(door, &question).unwrap().status(), 200);
    }
    let remembered = server.metric("gatefort_token_cache_entries");
    assert_eq!(remembered, u64::try_from(TOKENS).unwrap());

    let found = |texts: &[String]| {
        let (same, _) = texts[0].split_at(7);
        let seen = seen_in_memory(server.process_id(), same, texts[0].len() - same.len());
        let is_seen = |text: &&String| {
            text.strip_prefix(same)
                .is_some_and(|rest| seen.contains(rest.as_bytes()))
        };
        texts.iter().filter(is_seen).count()
    };
    // Whose tokens they were is remembered: the search finds what is there.
    let subjects: Vec<_> = (0..TOKENS).map(subject).collect();
    assert_eq!(found(&subjects), TOKENS);
    // Of the tokens themselves, those are left that lay in the buffers of the last connections.
    let left = found(&tokens);
    assert!(left < TOKENS / 10, "{left} of {TOKENS} tokens");
}

/// What follows a text wherever it stands in a process's memory, so many octets of it.
fn seen_in_memory(process: u32, text: &str, length: usize) -> BTreeSet<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let mut seen = BTreeSet::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, rest) = line.split_once('-').unwrap();
        let bounds = [from, rest.split(' ').next().unwrap()];
        let [from, to] = bounds.map(|bound| u64::from_str_radix(bound, 16).unwrap());
        let mut octets = vec![0; usize::try_from(to - from).unwrap()];
        memory.seek(SeekFrom::Start(from)).unwrap();
        // Some regions are the kernel's own and cannot be read.
        if memory.read_exact(&mut octets).is_err() {
            continue;
        }
        let first = text.as_bytes()[0];
        let mut at = 0;
        while let Some(next) = octets[at..].iter().position(|octet| *octet == first) {
            at += next;
            if octets[at..].starts_with(text.as_bytes()) {
                let rest = &octets[at + text.len()..];
                seen.insert(rest[..rest.len().min(length)].to_vec());
            }
            at += 1;
        }
    }
    seen
}
