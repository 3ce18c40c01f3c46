//! Whether what compares secrets tells by its time how much of a secret was right.
//!
//! As dudect does it: two classes of input in random order, the slowest tenth left out, Welch's t-test. A difference of
//! a few nanoseconds shows among many measurements, and so does what else a shared machine does; so this is run by hand:
//!
//! ```text
//! cargo test --test it -- --ignored --nocapture timing
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatefort::domain::algorithm::Algorithm;
use gatefort::domain::claims::{Audiences, ClaimPath, Profile, TokenRules, TokenType, UnixTime};
use gatefort::domain::credential::BearerToken;
use gatefort::domain::jws::UnverifiedToken;
use gatefort::domain::keys::KeySet;
use gatefort::service::config::BearerSecret;
use serde_json::json;

use crate::support::tokens::{self, ISSUER, TestKey, base64url, claims};

/// How often each class is measured.
const MEASUREMENTS: usize = 200_000;

/// From there on dudect calls two means different.
const DIFFERENT: f64 = 10.0;

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Welch's t of the times that an action takes with one input and with the other, which it finds in the same place.
fn t(inputs: [&[u8]; 2], action: impl Fn(&[u8])) -> f64 {
    let mut times = [Vec::new(), Vec::new()];
    let mut input = inputs[0].to_vec();
    let mut random = 1_u32;
    while times.iter().any(|times| times.len() < MEASUREMENTS) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let class = usize::from(random & 1 == 1);
        input.copy_from_slice(inputs[class]);
        let start = Instant::now();
        action(black_box(&input));
        times[class].push(start.elapsed().as_nanos());
    }
    let [a, b] = times.map(|mut times| {
        times.sort_unstable();
        times.truncate(times.len() * 9 / 10);
        let count = times.len() as f64;
        let mean = times.iter().sum::<u128>() as f64 / count;
        let squares = times.iter().map(|time| (*time as f64 - mean).powi(2));
        (mean, squares.sum::<f64>() / (count - 1.0) / count)
    });
    (a.0 - b.0) / (a.1 + b.1).sqrt()
}

#[test]
#[ignore = "statistics: by hand, on a machine that does nothing else"]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn what_compares_secrets_takes_as_long_whatever_was_right() {
    // What leaks, so that the method is known to see it.
    let secret = b"a-secret-of-the-tests";
    let (first, last) = (b"b-secret-of-the-tests", b"a-secret-of-the-testz");
    let leak = t([first, last], |sent| {
        let same = secret.iter().zip(sent).all(|(a, b)| a == b);
        assert!(!black_box(same));
    });

    // The secret of the revocations, of which digests are compared.
    let bearer = BearerSecret::new(secret);
    let bearer = t([first, last], |sent| assert!(!bearer.is(sent)));

    // The signature of a token with a shared secret.
    let key = TestKey::new(Algorithm::Hs256, "timing");
    let secret = key.jwk()["k"].as_str().map(decoded).unwrap();
    let keys = KeySet::from_secret(&secret).unwrap();
    let rules = Arc::new(TokenRules {
        issuer: ISSUER.into(),
        profile: Profile::Generic,
        algorithms: [Algorithm::Hs256].into_iter().collect(),
        audiences: Audiences::Any,
        clock_skew: std::time::Duration::ZERO,
        token_type: TokenType::Lenient,
        required_claims: Vec::new(),
        roles_claim: ClaimPath::parse("roles").unwrap(),
    });
    let now = UnixTime(tokens::now());
    let good = key.sign(&json!({"alg": "HS256"}), &claims("ann"));
    let (input, signature) = good.rsplit_once('.').unwrap();
    let wrong_at = |place: usize| {
        let mut signature = decoded(signature);
        signature[place] ^= 1;
        format!("{input}.{}", base64url(&signature))
    };
    let (first, last) = (wrong_at(0), wrong_at(31));
    let signature = t([first.as_bytes(), last.as_bytes()], |token| {
        let token = BearerToken::new(std::str::from_utf8(token).unwrap());
        let token = UnverifiedToken::parse(token, 16 * 1024).unwrap();
        let checked = token.check(&rules, now).unwrap();
        assert!(checked.verify(keys.iter()).is_err());
    });

    println!("t: {leak:.1} where it leaks, {bearer:.1} bearer secret, {signature:.1} signature");
    assert!(leak.abs() > DIFFERENT, "the method sees nothing");
    assert!(bearer.abs() < DIFFERENT && signature.abs() < DIFFERENT);
}
