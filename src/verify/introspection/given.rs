//! An answer that is given beforehand, where no issuer may be asked: a policy test says what it would say.

use std::fmt;
use std::sync::{Arc, Mutex};

use secrecy::{ExposeSecret, SecretString};

use super::failure::Failure;
use super::locked;
use crate::domain::introspection::Answer;
use crate::verify::FetchError;

/// What an issuer says of one token, the last that was set; of every other it says nothing.
#[derive(Clone, Default)]
pub struct GivenAnswer(Arc<Mutex<Option<About>>>);

/// A token, and what is said of it.
struct About {
    token: SecretString,
    answer: Vec<u8>,
}

impl GivenAnswer {
    /// Sets what is said (RFC 7662 §2.2, whatever the endpoint's protocol) of a token.
    pub fn set(&self, token: &str, answer: Vec<u8>) {
        let token = SecretString::from(token);
        *locked(&self.0) = Some(About { token, answer });
    }

    /// What is said of a token; nothing is as if nobody could be reached.
    pub(super) fn about(&self, token: &SecretString) -> Result<Answer, Failure> {
        match &*locked(&self.0) {
            Some(about) if about.token.expose_secret() == token.expose_secret() => {
                Ok(Answer::rfc7662(&about.answer)?)
            }
            Some(_) | None => Err(FetchError::ConnectRefused.into()),
        }
    }
}

impl fmt::Debug for GivenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenAnswer([redacted])")
    }
}
