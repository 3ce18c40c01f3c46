//! What the crypto library itself takes for one verification, measured beside the servers.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::scene::{Scene, Signature};
use crate::system;
use crate::tokens;

/// A parsed public key and something that it signed.
#[derive(Debug)]
pub(crate) struct Verification {
    key: ParsedPublicKey,
    input: Vec<u8>,
    signature: Vec<u8>,
}

impl Verification {
    /// A key of the scene, and what it signs in a token of the usual length.
    pub(crate) fn of(scene: &Scene, signature: Signature) -> Self {
        let key = scene.key(signature);
        let token = key.mint(&tokens::claims("ann"));
        let (input, _) = token.rsplit_once('.').expect("a token has three parts");
        let pem = key.public_pem();
        let base64: String = pem.lines().filter(|line| !line.contains('-')).collect();
        let der = STANDARD.decode(base64).expect("PEM holds base64");
        let parsed = match signature {
            Signature::Rs256 => ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der),
            Signature::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der),
        };
        Self {
            key: parsed.expect("the key is well formed"),
            input: input.as_bytes().to_vec(),
            signature: key.signature(input.as_bytes()),
        }
    }

    /// The processor time of one verification, as the mean of so many.
    pub(crate) fn cost(&self, count: u32) -> Duration {
        let begun = system::own_thread();
        for _ in 0..count {
            let verified = self.key.verify_sig(&self.input, &self.signature);
            verified.expect("the signature is good");
        }
        (system::own_thread() - begun) / count
    }
}
