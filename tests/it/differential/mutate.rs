//! Tokens that are nearly good: changed as texts, or changed before they are signed with the right key.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::tokens::{AUDIENCE, ISSUER, TestKey, base64url};

/// Makes them, the same ones from the same seed.
pub(super) struct Mutator {
    state: u64,
    now: u64,
    /// What was made before, to take parts from.
    before: [String; 4],
}

/// Members that some verifier looks at.
const HEADER_NAMES: &[&str] = &[
    "alg", "typ", "kid", "crit", "b64", "zip", "enc", "cty", "jwk", "jku", "x5c", "x5u", "x5t",
    "nonce", "url", "ALG", "x",
];
const CLAIM_NAMES: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "scope",
    "cnf",
    "nonce",
    "events",
    "azp",
    "client_id",
    "Exp",
    "aud ",
    "x",
];

/// Texts between the members of a JSON object that may be white space, and some that may not.
const SPACES: &[&str] = &[
    " ", "\n", "\t", "\r\n", "\u{b}", "\u{a0}", "\u{feff}", "\0", "/**/", "//\n",
];

/// Characters of tokens, and of what tokens are confused by.
const OCTETS: &[u8] = b"ABCXYZabcxyz0189-_.=+/ \n\t\0{}\"%,;:~";

pub(super) fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// The parts of a token for people.
pub(super) fn shown(token: &str) -> String {
    let parts = token
        .split('.')
        .take(2)
        .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default());
    let parts: Vec<_> = parts
        .map(|part| String::from_utf8_lossy(&part).into_owned())
        .collect();
    format!("{} in {token}", parts.join(" . "))
}

impl Mutator {
    pub(super) fn new(seed: u64, now: u64) -> Self {
        Self {
            state: seed | 1,
            now,
            before: Default::default(),
        }
    }

    /// xorshift64: enough to be different, and the same again.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).expect("small")).expect("small")
    }

    fn one<'c, T: ?Sized>(&mut self, choices: &[&'c T]) -> &'c T {
        choices[self.below(choices.len())]
    }

    /// The next token.
    pub(super) fn token(&mut self, key: &TestKey) -> String {
        let mut header = self.document(
            json!({"alg": key.algorithm().name(), "kid": key.kid()}),
            HEADER_NAMES,
        );
        let now = self.now;
        let claims = json!({
            "iss": ISSUER, "sub": "ann", "aud": AUDIENCE, "iat": now - 60, "exp": now + 86_400, "jti": "j-1",
        });
        let mut payload = self.document(claims, CLAIM_NAMES);
        for document in [&mut header, &mut payload] {
            if self.below(8) == 0 {
                self.disturb(document);
            }
        }
        let [header, payload] = [header, payload].map(|document| self.encoded(&document));
        let mut token = key.sign_parts(&header, &payload);
        if self.below(3) == 0 {
            token = self.scratched(token);
        }
        let place = self.below(self.before.len());
        self.before[place].clone_from(&token);
        token
    }

    /// A JSON text with some members changed, added, removed, repeated or written in another way.
    fn document(&mut self, mut value: Value, names: &[&str]) -> Vec<u8> {
        for _ in 0..self.below(3) {
            let name = self.one(names);
            let members = value.as_object_mut().expect("an object");
            if self.below(4) == 0 {
                members.remove(name);
            } else {
                let odd = self.odd();
                members.insert(name.to_owned(), odd);
            }
        }
        let mut text = value.to_string();
        match self.below(12) {
            0 => {
                // A member twice, before or after the first.
                let (name, odd) = (self.one(names), self.odd());
                let member = format!("{}:{odd}", json!(name));
                text = match self.below(2) {
                    0 => format!("{{{member},{}", &text[1..]),
                    _ => format!("{},{member}}}", &text[..text.len() - 1]),
                };
            }
            1 => {
                // A name, written with an escape.
                let name = self.one(names);
                let (first, rest) = name.split_at(1);
                let escaped = format!("\"\\u{:04x}{rest}\"", u32::from(first.as_bytes()[0]));
                text = text.replacen(&json!(name).to_string(), &escaped, 1);
            }
            2 => {
                let (space, number) = (self.one(SPACES), self.below(4));
                text = match number {
                    0 => format!("{space}{text}"),
                    1 => format!("{text}{space}"),
                    2 => text.replacen(':', &format!(":{space}"), 1),
                    _ => text.replacen(',', &format!("{space},"), 1),
                };
            }
            3 => {
                // A number in another form.
                let later = self.now + 86_400;
                let forms = [
                    format!("{later}.0"),
                    format!("{later}.5"),
                    format!("{later}e0"),
                    format!("{}E3", later / 1000),
                    format!("+{later}"),
                    format!("0{later}"),
                    format!("-{later}"),
                    format!("\"{later}\""),
                    format!("{later}."),
                    "1e400".to_owned(),
                    "1e300".to_owned(),
                    "18446744073709551616".to_owned(),
                    "9007199254740993".to_owned(),
                    "0x7fffffff".to_owned(),
                    "Infinity".to_owned(),
                    "NaN".to_owned(),
                    "-0".to_owned(),
                ];
                let form = forms[self.below(forms.len())].clone();
                let number = [later, self.now - 60][self.below(2)].to_string();
                text = text.replacen(&number, &form, 1);
            }
            4 => {
                text = [
                    format!("[{text}]"),
                    format!("{text}{text}"),
                    format!("\"{text}\""),
                    format!("{{\"x\":{text}}}"),
                ][self.below(4)]
                .clone()
            }
            _ => {}
        }
        text.into_bytes()
    }

    /// A value of a type that its place may not have.
    fn odd(&mut self) -> Value {
        let now = self.now;
        let values = [
            json!(null),
            json!(true),
            json!(false),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(now + 3600),
            json!(now - 3600),
            json!(now as f64 + 7200.25),
            json!(u64::MAX),
            json!(""),
            json!("x"),
            json!(" "),
            json!(AUDIENCE),
            json!(ISSUER),
            json!([]),
            json!([AUDIENCE]),
            json!(["x", AUDIENCE]),
            json!([AUDIENCE, 1]),
            json!([[AUDIENCE]]),
            json!({}),
            json!({AUDIENCE: 1}),
            json!("a\u{0}b"),
            json!("é\u{202e}"),
            json!("JWT"),
            json!("at+jwt"),
            json!("none"),
            json!("HS256"),
            json!("RS256"),
            json!("ES256"),
            json!("differential"),
            json!(["exp"]),
            json!({"jkt": "x"}),
        ];
        values[self.below(values.len())].clone()
    }

    /// One octet changed, added or left out.
    fn disturb(&mut self, octets: &mut Vec<u8>) {
        if octets.is_empty() {
            return;
        }
        let place = self.below(octets.len());
        let octet = match self.below(2) {
            0 => OCTETS[self.below(OCTETS.len())],
            _ => octets[place] ^ (1 << self.below(8)),
        };
        match self.below(3) {
            0 => octets[place] = octet,
            1 => octets.insert(place, octet),
            _ => drop(octets.remove(place)),
        }
    }

    /// Base64url as it should be, mostly.
    fn encoded(&mut self, document: &[u8]) -> String {
        match self.below(60) {
            0 => URL_SAFE.encode(document),
            1 => STANDARD.encode(document),
            2 => format!("{}\n", base64url(document)),
            3 => String::new(),
            _ => base64url(document),
        }
    }

    /// A signed token, changed as a text.
    fn scratched(&mut self, token: String) -> String {
        let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        match self.below(6) {
            0 if parts.len() == 3 => {
                // A part of another token.
                let other = self.before[self.below(self.before.len())].clone();
                let place = self.below(3);
                let mut parts = parts;
                if let Some(part) = other.split('.').nth(place) {
                    part.clone_into(&mut parts[place]);
                }
                parts.join(".")
            }
            1 => {
                // The last character's neighbour: other unused bits.
                let mut octets = token.into_bytes();
                if let Some(last) = octets.last_mut() {
                    *last = last.wrapping_add(1);
                }
                String::from_utf8_lossy(&octets).into_owned()
            }
            2 => format!(
                "{token}{}",
                self.one(&["=", "==", ".", ".x", " ", "\n", "A", "%3D"])
            ),
            3 => token.replacen(['-', '_'], "+", 1),
            _ => {
                let mut octets = token.into_bytes();
                self.disturb(&mut octets);
                String::from_utf8_lossy(&octets).into_owned()
            }
        }
    }
}
