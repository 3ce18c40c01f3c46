//! Keys and tokens for tests: a signer for every algorithm, and a way to build every malformed token.
//!
//! A key is known by its algorithm family and its `kid`: within one test process the same two give
//! the same key, so that a row of a table can name a key instead of carrying it. Nothing here knows
//! what Gatefort makes of a token.

mod material;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use gatefort::domain::algorithm::Algorithm;
use gatefort::verify::clock::{Clock as _, SystemClock};

use material::Material;

/// The issuer that [`claims`] names.
pub(crate) const ISSUER: &str = "https://issuer.test";

/// The audience that [`claims`] names.
pub(crate) const AUDIENCE: &str = "orders";

/// A 1024-bit RSA public key: too small to be believed (RFC 7518 §3.3 asks for 2048).
const WEAK_RSA_MODULUS: &str = "vVdphVWMTYWG8a_yMcfi9eJ2OdhWQ9JwK8T7mM3rXfA6mYUGbLy4b4lP0p4hVvD3n7oGk0l2h8x5E0mJc4kz0wQf3C5aW6dB1tR9uY7iOpLkJhGfDsAqWeRtYuIoPzXcVbNmQwErTyUiOpAsDfGhJkLzXcVbNm1234567890_-0";

/// A key that signs test tokens.
#[derive(Clone)]
pub(crate) struct TestKey {
    kid: Option<String>,
    algorithm: Algorithm,
    material: Material,
}

impl TestKey {
    /// The RS256 key of this id.
    pub(crate) fn rs256(kid: &str) -> Self {
        Self::new(Algorithm::Rs256, kid)
    }

    /// The PS256 key of this id: the same modulus as RS256's.
    pub(crate) fn ps256(kid: &str) -> Self {
        Self::new(Algorithm::Ps256, kid)
    }

    /// The ES256 key of this id.
    pub(crate) fn es256(kid: &str) -> Self {
        Self::new(Algorithm::Es256, kid)
    }

    /// The Ed25519 key of this id.
    pub(crate) fn eddsa(kid: &str) -> Self {
        Self::new(Algorithm::EdDsa, kid)
    }

    /// The key of this algorithm and id; an HMAC algorithm's secret is derived from the id.
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Self {
        let material = Material::of(algorithm, kid);
        Self {
            kid: Some(kid.to_owned()),
            algorithm,
            material,
        }
    }

    /// An HMAC key with exactly this secret and no id.
    pub(crate) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Self {
        assert!(
            algorithm.is_symmetric(),
            "{algorithm:?} is no HMAC algorithm"
        );
        Self {
            kid: None,
            algorithm,
            material: Material::Secret(secret.into()),
        }
    }

    /// The same key material under another id: a signature that only the wrong key would verify.
    pub(crate) fn with_kid(&self, kid: &str) -> Self {
        Self {
            kid: Some(kid.to_owned()),
            ..self.clone()
        }
    }

    /// The same key without an id: neither its JWK nor its header has a `kid`.
    pub(crate) fn without_kid(&self) -> Self {
        Self {
            kid: None,
            ..self.clone()
        }
    }

    /// The same key material signing by another algorithm of its family.
    pub(crate) fn with_algorithm(&self, algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            ..self.clone()
        }
    }

    /// The key's id.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm that it signs with.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public JWK (RFC 7517), with `use: sig` and `alg`; an HMAC key's holds its secret.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = self.material.jwk(self.algorithm);
        if let Some(kid) = &self.kid {
            jwk["kid"] = json!(kid);
        }
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm.name());
        jwk
    }

    /// The JWK with members added or replaced; a null removes one.
    pub(crate) fn jwk_with(&self, members: Value) -> Value {
        merged(self.jwk(), members)
    }

    /// A JWK that gives the private key away, as a careless issuer might publish it.
    ///
    /// For RSA the private exponent is made up: what matters is that the member is there.
    pub(crate) fn private_jwk(&self) -> Value {
        match self.material.private_part() {
            Some(d) => self.jwk_with(json!({ "d": d })),
            None => self.jwk(),
        }
    }

    /// The public key as PEM: the classic wrong HMAC secret (RFC 8725 §2.1).
    pub(crate) fn public_pem(&self) -> String {
        let body = STANDARD.encode(self.material.public_der());
        let lines: Vec<&str> = body
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
            .collect();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
    }

    /// The header of its tokens: `alg`, `typ: JWT` and, if the key has one, `kid`.
    pub(crate) fn header(&self) -> Value {
        let mut header = json!({"alg": self.algorithm.name(), "typ": "JWT"});
        if let Some(kid) = &self.kid {
            header["kid"] = json!(kid);
        }
        header
    }

    /// The header with members added or replaced; a null removes one.
    pub(crate) fn header_with(&self, members: Value) -> Value {
        merged(self.header(), members)
    }

    /// A token with its own header and these claims.
    pub(crate) fn mint(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    /// A token with this header and these claims, signed by the key's own algorithm whatever the header says.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_raw(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token of any bytes whatever, properly signed: duplicate names, broken JSON, non-objects.
    pub(crate) fn sign_raw(&self, header: &[u8], payload: &[u8]) -> String {
        self.sign_parts(&base64url(header), &base64url(payload))
    }

    /// A token of two parts taken as they are (padding, line breaks, wrong alphabet), properly signed.
    pub(crate) fn sign_parts(&self, header: &str, payload: &str) -> String {
        let input = format!("{header}.{payload}");
        let signature = self.signature(input.as_bytes());
        format!("{input}.{}", base64url(&signature))
    }

    /// The bare JWS signature of these bytes.
    pub(crate) fn signature(&self, input: &[u8]) -> Vec<u8> {
        self.material.sign(self.algorithm, input)
    }
}

/// A compact JWS of any three byte strings, signed by nobody.
pub(crate) fn compact(header: &[u8], payload: &[u8], signature: &[u8]) -> String {
    format!(
        "{}.{}.{}",
        base64url(header),
        base64url(payload),
        base64url(signature)
    )
}

/// A JWK Set of these keys' public halves.
pub(crate) fn jwks<'k>(keys: impl IntoIterator<Item = &'k TestKey>) -> Value {
    json!({"keys": keys.into_iter().map(TestKey::jwk).collect::<Vec<_>>()})
}

/// A 1024-bit RSA key as a JWK.
pub(crate) fn weak_rsa_jwk(kid: &str) -> Value {
    json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": WEAK_RSA_MODULUS, "e": "AQAB"})
}

/// Good claims of a subject: [`ISSUER`], [`AUDIENCE`], issued now, good for ten minutes.
pub(crate) fn claims(subject: &str) -> Value {
    let now = now();
    json!({
        "iss": ISSUER,
        "sub": subject,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 600,
    })
}

/// [`claims`] with members added or replaced; a null removes one.
pub(crate) fn claims_with(subject: &str, members: Value) -> Value {
    merged(claims(subject), members)
}

/// What an AuthFort server puts into an access token, member for member.
pub(crate) fn authfort_claims(email: &str, roles: &[&str]) -> Value {
    let now = now();
    json!({
        "sub": "66d7ef99-cf4d-49d5-a3fb-8da1db5b4121",
        "email": email,
        "name": "Ann",
        "roles": roles,
        "ver": 0,
        "sid": "6eca4883-51bd-4d87-a22b-ea5ca44b3d69",
        "mfa_enabled": false,
        "iat": now,
        "exp": now + 900,
        "iss": "authfort",
    })
}

/// `members` laid over `base`; a null removes the member.
pub(crate) fn merged(mut base: Value, members: Value) -> Value {
    let (Value::Object(into), Value::Object(from)) = (&mut base, members) else {
        panic!("both must be JSON objects");
    };
    for (name, value) in from {
        if value.is_null() {
            into.remove(&name);
        } else {
            into.insert(name, value);
        }
    }
    base
}

/// Seconds since 1970, by the clock that Gatefort itself uses.
pub(crate) fn now() -> u64 {
    SystemClock.now().0
}

/// Base64url without padding (RFC 7515 §2).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Random bytes, as unguessable junk.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

#[test]
fn every_signature_verifies_with_the_exported_key() {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ECDSA_P384_SHA384_FIXED,
        ECDSA_P521_SHA512_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
        RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
        RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    };
    let decode = |value: &Value| {
        URL_SAFE_NO_PAD
            .decode(value.as_str().expect("a string"))
            .expect("base64url")
    };
    for algorithm in Algorithm::ALL {
        let key = TestKey::new(algorithm, "self-test");
        let jwk = key.jwk();
        let token = key.mint(&claims("ann"));
        let (input, signature) = token.rsplit_once('.').expect("three parts");
        let signature = decode(&json!(signature));
        let rsa = |parameters| {
            RsaPublicKeyComponents {
                n: decode(&jwk["n"]),
                e: decode(&jwk["e"]),
            }
            .verify(parameters, input.as_bytes(), &signature)
            .is_ok()
        };
        let ec = |curve: &'static dyn VerificationAlgorithm| {
            let point = [vec![4], decode(&jwk["x"]), decode(&jwk["y"])].concat();
            UnparsedPublicKey::new(curve, point)
                .verify(input.as_bytes(), &signature)
                .is_ok()
        };
        let verified = match algorithm {
            Algorithm::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => rsa(&RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => rsa(&RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => rsa(&RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => rsa(&RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => rsa(&RSA_PSS_2048_8192_SHA512),
            Algorithm::Es256 => ec(&ECDSA_P256_SHA256_FIXED),
            Algorithm::Es384 => ec(&ECDSA_P384_SHA384_FIXED),
            Algorithm::Es512 => ec(&ECDSA_P521_SHA512_FIXED),
            Algorithm::Es256k => ec(&ECDSA_P256K1_SHA256_FIXED),
            Algorithm::EdDsa => UnparsedPublicKey::new(&ED25519, decode(&jwk["x"]))
                .verify(input.as_bytes(), &signature)
                .is_ok(),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                let secret = TestKey::hmac(algorithm, &decode(&jwk["k"]));
                secret.signature(input.as_bytes()) == signature
            }
        };
        assert!(verified, "{algorithm:?}");
    }
}
