//! Tokens for a rehearsal, signed with keys that nobody has seen before and nobody will see again.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretBox;
use serde_json::{Map, Value, json};

use crate::domain::algorithm::Algorithm;
use crate::domain::claims::{Audiences, Profile, TokenRules, TokenType, UnixTime};
use crate::service::config::cases::{Case, CaseToken, Form, Life, Minted, Signature};
use crate::service::signing::{SigningError, SigningKey};
use crate::verify::settings::{IssuerSettings, KeySource, Opaque};

/// Makes the tokens of one configuration's issuers.
#[derive(Debug)]
pub(super) struct Mint {
    issuers: Vec<Issuer>,
    /// Keys that are no issuer's.
    strangers: HashMap<Algorithm, SigningKey>,
}

#[derive(Debug)]
struct Issuer {
    rules: Arc<TokenRules>,
    opaque: Opaque,
    /// What signs where a case does not say.
    algorithm: Option<Algorithm>,
    keys: HashMap<Algorithm, SigningKey>,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub(in crate::service) enum MintError {
    /// There is no issuer.
    #[error("the configuration has no issuer that could sign a token")]
    NoIssuer,
    /// There are several issuers, and the case names none.
    #[error(
        "the configuration has several issuers: name one as `issuer` of the token or of the file: {0}"
    )]
    IssuerMissing(String),
    /// The issuer is not configured.
    #[error("the configuration has no issuer `{name}`: it has {known}")]
    IssuerUnknown {
        /// The issuer.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Nothing here signs like that.
    #[error("tokens cannot be signed with {0} here")]
    Unsignable(&'static str),
    /// The issuer has no opaque tokens.
    #[error(
        "the issuer has no opaque tokens: write `opaque: true` and `introspection` in the configuration"
    )]
    NotOpaque,
    /// The key or the signature failed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl Mint {
    /// Makes the keys that the cases need, and gives the public ones to the issuers in place of their own.
    pub(super) fn new(
        settings: &mut [IssuerSettings],
        cases: &[Case],
    ) -> Result<Self, SigningError> {
        let minted = || {
            cases.iter().filter_map(|case| match &case.token {
                CaseToken::Minted(minted) => Some(minted),
                CaseToken::None
                | CaseToken::Unread
                | CaseToken::Refused(_)
                | CaseToken::Raw { .. } => None,
            })
        };
        let mut issuers = Vec::with_capacity(settings.len());
        let mut strangers = HashMap::new();
        for settings in settings {
            let rules = Arc::clone(&settings.rules);
            let first = SigningKey::ALGORITHMS
                .into_iter()
                .find(|algorithm| rules.algorithms.contains(*algorithm));
            let asked = minted()
                .filter(|token| {
                    token
                        .issuer
                        .as_deref()
                        .is_none_or(|name| *name == *rules.issuer)
                })
                .filter_map(|token| token.algorithm)
                .filter(|algorithm| SigningKey::ALGORITHMS.contains(algorithm));
            let mut keys: HashMap<Algorithm, SigningKey> = HashMap::new();
            for algorithm in first.into_iter().chain(asked) {
                if keys.contains_key(&algorithm) {
                    continue;
                }
                let secret = keys.values().find_map(|key| key.shared(algorithm));
                let key = secret.map_or_else(|| SigningKey::generate(algorithm, "test"), Ok)?;
                keys.insert(algorithm, key);
            }
            settings.keys = source(&settings.keys, first, &keys);
            issuers.push(Issuer {
                rules,
                opaque: settings.opaque.clone(),
                algorithm: first,
                keys,
            });
        }
        for token in minted().filter(|token| token.signature == Signature::Wrong) {
            let used = issuers.iter().filter_map(|issuer| issuer.algorithm);
            for algorithm in token.algorithm.into_iter().chain(used) {
                if SigningKey::ALGORITHMS.contains(&algorithm)
                    && !strangers.contains_key(&algorithm)
                {
                    strangers.insert(algorithm, SigningKey::generate(algorithm, "wrong")?);
                }
            }
        }
        Ok(Self { issuers, strangers })
    }

    /// Gives every issuer one secret in place of its keys, so that claims alone are what is tried: for
    /// requests whose tokens were verified before.
    pub(super) fn of_claims(settings: &mut [IssuerSettings]) -> Result<Self, SigningError> {
        let mut issuers = Vec::with_capacity(settings.len());
        for settings in settings {
            let key = SigningKey::generate(Algorithm::Hs256, "claims")?;
            let secret = Box::<[u8]>::from(key.secret().unwrap_or_default());
            settings.keys = KeySource::Secret(SecretBox::from(secret));
            settings.rules = Arc::new(TokenRules {
                algorithms: std::iter::once(Algorithm::Hs256).collect(),
                ..TokenRules::clone(&settings.rules)
            });
            issuers.push(Issuer {
                rules: Arc::clone(&settings.rules),
                opaque: settings.opaque.clone(),
                algorithm: Some(Algorithm::Hs256),
                keys: HashMap::from([(Algorithm::Hs256, key)]),
            });
        }
        Ok(Self {
            issuers,
            strangers: HashMap::new(),
        })
    }

    /// What the tokens of an issuer must satisfy.
    pub(super) fn rules_of(&self, issuer: Option<&str>) -> Option<&TokenRules> {
        self.issuer(issuer).ok().map(|issuer| &*issuer.rules)
    }

    /// A token, and what its issuer answers when it is asked about it.
    pub(super) fn make(
        &self,
        minted: &Minted,
        answer: Option<&Map<String, Value>>,
        now: UnixTime,
    ) -> Result<(String, Option<Vec<u8>>), MintError> {
        let issuer = self.issuer(minted.issuer.as_deref())?;
        let claims = claims(&issuer.rules, minted, now)?;
        match minted.form {
            Form::Jwt => {
                let token = self.sign(issuer, minted, &Value::Object(claims))?;
                let answer = answer.map(|members| json!(members).to_string().into_bytes());
                Ok((token, answer))
            }
            Form::Opaque => {
                let prefix = match &issuer.opaque {
                    Opaque::Prefix(prefix) => &**prefix,
                    Opaque::Rest => "",
                    Opaque::None => return Err(MintError::NotOpaque),
                };
                let token = format!("{prefix}{}", random()?);
                // What is known of an opaque token is what its issuer says.
                let answer = answer.map(|members| {
                    let mut said = claims;
                    said.insert("token_type".to_owned(), "Bearer".into());
                    said.extend(members.clone());
                    Value::Object(said).to_string().into_bytes()
                });
                Ok((token, answer))
            }
        }
    }

    fn issuer(&self, name: Option<&str>) -> Result<&Issuer, MintError> {
        let known = || {
            let names: Vec<&str> = self
                .issuers
                .iter()
                .map(|issuer| &*issuer.rules.issuer)
                .collect();
            names.join(", ")
        };
        match (name, self.issuers.as_slice()) {
            (_, []) => Err(MintError::NoIssuer),
            (None, [only]) => Ok(only),
            (None, _) => Err(MintError::IssuerMissing(known())),
            (Some(name), issuers) => issuers
                .iter()
                .find(|issuer| *issuer.rules.issuer == *name)
                .ok_or_else(|| MintError::IssuerUnknown {
                    name: name.to_owned(),
                    known: known(),
                }),
        }
    }

    fn sign(&self, issuer: &Issuer, minted: &Minted, claims: &Value) -> Result<String, MintError> {
        let algorithm = minted.algorithm.or(issuer.algorithm);
        let keys = match minted.signature {
            Signature::Good => &issuer.keys,
            Signature::Wrong => &self.strangers,
        };
        let key = algorithm
            .and_then(|algorithm| keys.get(&algorithm))
            .ok_or_else(|| {
                MintError::Unsignable(
                    algorithm.map_or("any of its issuer's algorithms", Algorithm::name),
                )
            })?;
        // A wrong key under the right id: nothing but the signature may tell.
        let own = algorithm.and_then(|algorithm| issuer.keys.get(&algorithm));
        let kid = minted.kid.as_deref().or_else(|| own.map(SigningKey::id));
        let typ = match (&minted.typ, issuer.rules.token_type) {
            (Some(typ), _) => typ,
            (None, TokenType::AtJwt) => "at+jwt",
            (None, TokenType::Lenient) => "JWT",
        };
        Ok(key.sign_as(typ, kid, claims)?)
    }
}

/// What an issuer's keys are replaced by.
fn source(
    own: &KeySource,
    first: Option<Algorithm>,
    keys: &HashMap<Algorithm, SigningKey>,
) -> KeySource {
    if matches!(own, KeySource::None) {
        return KeySource::None;
    }
    let Some(key) = first.and_then(|first| keys.get(&first)) else {
        return KeySource::None;
    };
    match key.secret() {
        Some(secret) => KeySource::Secret(SecretBox::from(Box::<[u8]>::from(secret))),
        None => {
            let public: Vec<Value> = keys.values().filter_map(SigningKey::public).collect();
            KeySource::Inline(json!({ "keys": public }).to_string())
        }
    }
}

/// What every token of an issuer says, and what this one does.
fn claims(
    rules: &TokenRules,
    minted: &Minted,
    UnixTime(now): UnixTime,
) -> Result<Map<String, Value>, SigningError> {
    const HOUR: u64 = 3600;
    let (issued, expires) = match minted.life {
        Life::Left(left) => (now, now.saturating_add(left.as_secs())),
        Life::Expired => (now.saturating_sub(2 * HOUR), now.saturating_sub(HOUR)),
    };
    let mut claims = Map::new();
    let mut say = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    say("iss", json!(&*rules.issuer));
    say("iat", json!(issued));
    say("exp", json!(expires));
    say("sub", json!("user"));
    // Two cases with the same claims have two tokens.
    say("jti", json!(random()?));
    match &rules.audiences {
        Audiences::OneOf(audiences) => {
            say("aud", json!(audiences.first()));
        }
        Audiences::Any if rules.token_type == TokenType::AtJwt => {
            say("aud", json!("any"));
        }
        Audiences::Any => {}
    }
    if rules.token_type == TokenType::AtJwt {
        say("client_id", json!("client"));
    }
    if rules.profile == Profile::Authfort {
        say("email", json!("user@example.com"));
        say("roles", json!([]));
        say("ver", json!(0));
    }
    for (name, value) in &minted.claims {
        if value.is_null() {
            claims.remove(name);
        } else {
            claims.insert(name.clone(), value.clone());
        }
    }
    Ok(claims)
}

fn random() -> Result<String, SigningError> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_unspecified| SigningError::Randomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
