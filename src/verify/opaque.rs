//! Which issuer an opaque token is shown to: by its prefix, or the one issuer that takes the rest.
//!
//! Never by trying: a token that is shown to another issuer has been given away.

use std::sync::Arc;

use super::StartError;
use super::settings::Opaque;
use crate::domain::credential::BearerToken;

/// The issuers of opaque tokens.
#[derive(Debug, Clone, Default)]
pub(super) struct OpaqueRoutes {
    /// No prefix begins with another.
    prefixes: Vec<(Box<str>, Arc<str>)>,
    rest: Option<Arc<str>>,
}

impl OpaqueRoutes {
    /// Adds an issuer.
    ///
    /// # Errors
    /// Another issuer claims some of the same tokens.
    pub(super) fn add(&mut self, issuer: &Arc<str>, opaque: &Opaque) -> Result<(), StartError> {
        let taken = |other: &Arc<str>| StartError::OpaqueTwice {
            issuer: Arc::clone(issuer),
            other: Arc::clone(other),
        };
        match opaque {
            Opaque::None => {}
            Opaque::Rest => {
                if let Some(other) = &self.rest {
                    return Err(taken(other));
                }
                self.rest = Some(Arc::clone(issuer));
            }
            Opaque::Prefix(prefix) => {
                let overlaps = |(known, _): &&(Box<str>, Arc<str>)| {
                    known.starts_with(&**prefix) || prefix.starts_with(&**known)
                };
                if let Some((_, other)) = self.prefixes.iter().find(overlaps) {
                    return Err(taken(other));
                }
                self.prefixes.push((prefix.clone(), Arc::clone(issuer)));
            }
        }
        Ok(())
    }

    /// The issuer of a token that is no JWT, if one is configured.
    pub(super) fn issuer_of(&self, token: BearerToken<'_>) -> Option<&Arc<str>> {
        let text = token.expose();
        let by_prefix = self
            .prefixes
            .iter()
            .find(|(prefix, _)| text.starts_with(&**prefix));
        if let Some((_, issuer)) = by_prefix {
            return Some(issuer);
        }
        self.rest.as_ref().filter(|_| !may_be_jwt(text))
    }
}

/// Whether a token has the form of a JWS or a JWE (RFC 7516 §9): those have issuers of their own.
fn may_be_jwt(text: &str) -> bool {
    matches!(text.bytes().filter(|octet| *octet == b'.').count(), 2 | 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(issuers: &[(&str, Opaque)]) -> Result<OpaqueRoutes, StartError> {
        let mut routes = OpaqueRoutes::default();
        for (name, opaque) in issuers {
            routes.add(&Arc::from(*name), opaque)?;
        }
        Ok(routes)
    }

    #[test]
    fn a_token_is_shown_to_its_own_issuer_only() {
        let prefix = |text: &str| Opaque::Prefix(text.into());
        let routes = routes(&[
            ("a", prefix("a_")),
            ("b", prefix("b.")),
            ("none", Opaque::None),
            ("rest", Opaque::Rest),
        ])
        .unwrap();
        for (token, expected) in [
            ("a_1", Some("a")),
            ("a_1.2.3", Some("a")),
            ("b.1", Some("b")),
            ("A_1", Some("rest")),
            ("x", Some("rest")),
            ("x.y", Some("rest")),
            ("x.y.z", None),
            ("v.w.x.y.z", None),
            ("u.v.w.x.y.z", Some("rest")),
        ] {
            let found = routes.issuer_of(BearerToken::new(token));
            assert_eq!(found.map(|name| &**name), expected, "{token}");
        }
    }

    #[test]
    fn without_a_claim_nobody_is_asked() {
        let routes = routes(&[("a", Opaque::Prefix("a_".into()))]).unwrap();
        assert!(routes.issuer_of(BearerToken::new("junk")).is_none());
    }

    #[test]
    fn no_token_has_two_issuers() {
        let prefix = |text: &str| Opaque::Prefix(text.into());
        for (one, two) in [
            (Opaque::Rest, Opaque::Rest),
            (prefix("a"), prefix("ab")),
            (prefix("ab"), prefix("a")),
            (prefix("a"), prefix("a")),
        ] {
            assert!(matches!(
                routes(&[("one", one), ("two", two)]),
                Err(StartError::OpaqueTwice { .. })
            ));
        }
    }
}
