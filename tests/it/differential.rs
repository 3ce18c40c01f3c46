//! Whatever we accept, two verifiers that share no code with us accept too: `jose` and PyJWT, set to be strict.
//!
//! What only one of them refuses is asked about, for it may be us who are too lenient. CI tries fifty thousand
//! mutations; a million, by
//!
//! ```text
//! GATEFORT_MUTATIONS=1000000 cargo test --release --test it -- --nocapture differential
//! ```

mod mutate;

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gatefort::domain::algorithm::Algorithm;
use gatefort::domain::claims::{Audiences, ClaimPath, Profile, TokenRules, TokenType, UnixTime};
use gatefort::domain::credential::BearerToken;
use gatefort::domain::jws::UnverifiedToken;
use gatefort::domain::keys::{KeySet, Lookup};
use serde_json::{Value, json};

use crate::support::tokens::{self, AUDIENCE, ISSUER, TestKey};
use crate::support::tools;
use mutate::Mutator;

/// How many mutations where nobody says otherwise.
const FEW: usize = 50_000;

const SKEW: Duration = Duration::from_secs(30);

/// A key, and the two ways to verify with it.
struct Signer {
    key: TestKey,
    keys: KeySet,
}

impl Signer {
    fn new(algorithm: Algorithm) -> Self {
        let key = TestKey::new(algorithm, "differential");
        let keys = if algorithm.is_symmetric() {
            let secret = key.jwk()["k"].as_str().map(mutate::decoded);
            KeySet::from_secret(&secret.expect("a secret")).expect("long enough")
        } else {
            let set = tokens::jwks([&key]).to_string();
            KeySet::parse(set.as_bytes()).expect("a set").0
        };
        Self { key, keys }
    }

    /// Whether we accept a token, as the verifier does without its I/O.
    fn accepts(&self, text: &str, rules: &Arc<TokenRules>, now: UnixTime) -> bool {
        let verified = || {
            let token = UnverifiedToken::parse(BearerToken::new(text), 16 * 1024).ok()?;
            // The issuer is found by its exact name.
            (token.issuer().ok()? == ISSUER).then_some(())?;
            let token = token.check(rules, now).ok()?;
            match self.keys.find(token.kid(), token.algorithm()) {
                Lookup::Keys(keys) => token.verify(keys).ok(),
                Lookup::UnknownKid | Lookup::Unsuitable => None,
            }
        };
        verified().is_some()
    }

    /// What the other verifiers are told.
    fn question(&self, token: &str) -> Value {
        json!({
            "token": token, "key": self.key.jwk(), "algorithm": self.key.algorithm().name(),
            "issuer": ISSUER, "audience": AUDIENCE, "skew": SKEW.as_secs(),
        })
    }
}

/// Another verifier, in a process of its own.
struct Peer {
    name: &'static str,
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(name: &'static str, program: &str, script: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/peers");
        let mut child = Command::new(tools::find(program))
            .arg(folder.join(script))
            .env("GATEFORT_TEST_NODE", tools::folder().join("node"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            name,
            child,
            answers,
        }
    }

    /// Asks all at once, so that neither waits for the other; the answers in the order of the questions.
    fn ask(&mut self, questions: &Arc<Vec<String>>) -> Vec<String> {
        let mut input = self.child.stdin.take().expect("asked once");
        let asked = Arc::clone(questions);
        let writer = thread::spawn(move || {
            for question in asked.iter() {
                writeln!(input, "{question}").expect("it reads");
            }
        });
        let answers: Vec<_> = (&mut self.answers)
            .lines()
            .map(|line| line.expect("it writes"))
            .collect();
        writer.join().expect("no writer panics");
        assert_eq!(answers.len(), questions.len(), "{} ended early", self.name);
        answers
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only where it is gone already.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Refusals of one peer that are that peer's own, by how they begin, and why we accept all the same.
const THEIRS_ALONE: &[(&str, &str, &str)] = &[];

fn rules() -> Arc<TokenRules> {
    Arc::new(TokenRules {
        issuer: ISSUER.into(),
        profile: Profile::Generic,
        algorithms: Algorithm::ALL.into_iter().collect(),
        audiences: Audiences::OneOf(vec![AUDIENCE.into()]),
        clock_skew: SKEW,
        token_type: TokenType::Lenient,
        required_claims: Vec::new(),
        roles_claim: ClaimPath::parse("roles").expect("a path"),
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed, to repeat a run")]
fn what_we_accept_two_other_verifiers_accept() {
    let count =
        env::var("GATEFORT_MUTATIONS").map_or(FEW, |count| count.parse().expect("a number"));
    let seed = u64::from_le_bytes(tokens::random_bytes());
    println!("{count} mutations from the seed {seed}");
    let (rules, now) = (rules(), UnixTime(tokens::now()));
    // RSA signs slowly and its tokens are the same texts: fewer of those.
    let signers: Vec<_> = [
        (Algorithm::Es256, 8),
        (Algorithm::EdDsa, 8),
        (Algorithm::Hs256, 8),
        (Algorithm::Es384, 2),
        (Algorithm::Es512, 1),
        (Algorithm::Rs256, 1),
        (Algorithm::Ps256, 1),
    ]
    .into_iter()
    .flat_map(|(algorithm, share)| {
        let signer = Arc::new(Signer::new(algorithm));
        (0..share).map(move |_| Arc::clone(&signer))
    })
    .collect();
    let mut mutator = Mutator::new(seed, now.0);
    let mut accepted = BTreeMap::new();
    for turn in 0..count {
        let signer = &signers[turn % signers.len()];
        let token = mutator.token(&signer.key);
        if signer.accepts(&token, &rules, now) {
            accepted.insert(signer.question(&token).to_string(), token);
        }
    }
    println!("{} different ones accepted", accepted.len());
    assert!(accepted.len() > count / 50, "too few to compare");
    assert!(accepted.len() < count * 9 / 10, "too few were bad");

    let questions = Arc::new(accepted.into_keys().collect::<Vec<_>>());
    let mut differences = BTreeMap::new();
    for mut peer in [
        Peer::start("jose", "node", "jose.mjs"),
        Peer::start("PyJWT", "python", "pyjwt.py"),
    ] {
        for (question, answer) in questions.iter().zip(peer.ask(&questions)) {
            let is_theirs = |(name, begin, _): &&(&str, &str, &str)| {
                *name == peer.name && answer.starts_with(begin)
            };
            if answer != "ok" && THEIRS_ALONE.iter().find(is_theirs).is_none() {
                let example: Value = serde_json::from_str(question).expect("JSON");
                let entry = differences.entry(format!("{}: {answer}", peer.name));
                entry
                    .or_insert_with(|| {
                        (
                            0,
                            mutate::shown(example["token"].as_str().expect("a token")),
                        )
                    })
                    .0 += 1;
            }
        }
    }
    assert!(
        differences.is_empty(),
        "accepted by us alone: {differences:#?}"
    );
}
