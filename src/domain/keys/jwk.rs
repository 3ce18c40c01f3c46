//! One JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2): read strictly, checked, parsed for verification.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Map, Value};

use super::super::algorithm::Algorithm;
use super::super::json;
use super::super::jws::is_readable_kid;
use super::verifying::Curve;
use super::weakness::{is_roca, is_weak_ed25519};
use super::{KeyError, SkippedKey, VerifyingKey};

/// What every RSA key can serve unless its `alg` says less.
const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// The members that only a private or secret key has (RFC 7518 §6.2.2, §6.3.2, §6.4; `priv`: AKP keys).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Reads a key from its JSON text.
pub(super) fn parse(text: &[u8]) -> Result<VerifyingKey, SkippedKey> {
    let members = json::parse_object(text).map_err(|error| SkippedKey {
        kid: None,
        reason: error.into(),
    })?;
    let key = Jwk(&members);
    key.read().map_err(|reason| SkippedKey {
        kid: key.kid().ok().flatten().map(String::from),
        reason,
    })
}

/// The members of a key. An optional member that is null counts as absent: some serializers write it so.
struct Jwk<'m>(&'m Map<String, Value>);

impl<'m> Jwk<'m> {
    fn read(&self) -> Result<VerifyingKey, KeyError> {
        let kty = self.text("kty")?.ok_or(KeyError::KeyType)?;
        if kty == "oct" {
            return Err(KeyError::Symmetric);
        }
        if PRIVATE_MEMBERS.iter().any(|name| self.has(name)) {
            return Err(KeyError::Private);
        }
        let kid = self.kid()?.map(Box::from);
        self.check_purpose()?;
        match kty {
            "RSA" => self.rsa(kid),
            "EC" => self.ec(kid),
            "OKP" => self.okp(kid),
            _ => Err(KeyError::KeyType),
        }
    }

    fn kid(&self) -> Result<Option<&'m str>, KeyError> {
        match self.text("kid").map_err(|_mistyped| KeyError::Kid)? {
            Some(kid) if !is_readable_kid(kid) => Err(KeyError::Kid),
            kid => Ok(kid),
        }
    }

    /// RFC 7517 §4.2, §4.3: where the key says what it is for, that must be verifying.
    fn check_purpose(&self) -> Result<(), KeyError> {
        if self.text("use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(KeyError::Use);
        }
        match self.0.get("key_ops") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Array(operations)) if operations.iter().any(|op| op == "verify") => Ok(()),
            Some(_) => Err(KeyError::KeyOps),
        }
    }

    fn rsa(&self, kid: Option<Box<str>>) -> Result<VerifyingKey, KeyError> {
        let modulus = self.octets("n")?;
        let exponent = self.octets("e")?;
        // Some libraries write a sign octet first (RFC 7518 §6.3.1.1); the number is the same.
        let modulus = without_leading_zeros(&modulus);
        let exponent = without_leading_zeros(&exponent);
        check_rsa(modulus, exponent)?;
        match self.pinned(&RSA_ALGORITHMS)? {
            Some(algorithm) => VerifyingKey::from_rsa(kid, modulus, exponent, &[algorithm]),
            None => VerifyingKey::from_rsa(kid, modulus, exponent, &RSA_ALGORITHMS),
        }
    }

    fn ec(&self, kid: Option<Box<str>>) -> Result<VerifyingKey, KeyError> {
        let curve = self
            .text("crv")?
            .and_then(Curve::from_name)
            .ok_or(KeyError::Curve)?;
        self.pinned(&[curve.algorithm])?;
        let x = self.octets("x")?;
        let y = self.octets("y")?;
        if x.len() != curve.coordinate || y.len() != curve.coordinate {
            return Err(KeyError::Point);
        }
        VerifyingKey::from_point(kid, curve, &x, &y)
    }

    fn okp(&self, kid: Option<Box<str>>) -> Result<VerifyingKey, KeyError> {
        if self.text("crv")? != Some("Ed25519") {
            return Err(KeyError::Curve);
        }
        self.pinned(&[Algorithm::EdDsa])?;
        let x: [u8; 32] = self
            .octets("x")?
            .try_into()
            .map_err(|_wrong_length| KeyError::Point)?;
        if is_weak_ed25519(&x) {
            return Err(KeyError::Point);
        }
        VerifyingKey::from_ed25519(kid, &x)
    }

    /// The key's `alg`, which must be one of these.
    fn pinned(&self, fitting: &[Algorithm]) -> Result<Option<Algorithm>, KeyError> {
        let Some(name) = self.text("alg")? else {
            return Ok(None);
        };
        let algorithm = Algorithm::from_name(name).ok_or(KeyError::AlgorithmUnknown)?;
        if fitting.contains(&algorithm) {
            Ok(Some(algorithm))
        } else {
            Err(KeyError::AlgorithmMismatch)
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    fn text(&self, name: &'static str) -> Result<Option<&'m str>, KeyError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(KeyError::Member(name)),
        }
    }

    fn octets(&self, name: &'static str) -> Result<Vec<u8>, KeyError> {
        self.text(name)?
            .and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok())
            .filter(|octets| !octets.is_empty())
            .ok_or(KeyError::Member(name))
    }
}

fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), KeyError> {
    let Some((first, rest)) = modulus.split_first() else {
        return Err(KeyError::RsaSize);
    };
    let bits = rest.len() * 8 + (u8::BITS - first.leading_zeros()) as usize;
    if !(2048..=8192).contains(&bits) {
        return Err(KeyError::RsaSize);
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|octet| octet & 1 == 1);
    // Five octets hold 2^32, the largest exponent that is cheap to verify with; it is even, so four do.
    if exponent.len() > 4 || exponent == [1] || !is_odd(exponent) || !is_odd(modulus) {
        return Err(KeyError::RsaUnsound);
    }
    if is_roca(modulus) {
        return Err(KeyError::RsaFactorable);
    }
    Ok(())
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}
