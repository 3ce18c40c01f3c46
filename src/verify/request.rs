//! The way of one token: remembered, or verified by its issuer's keys; not revoked; still active.

use std::pin::pin;
use std::sync::Arc;

use super::digest::TokenDigest;
use super::introspection::settings::Mode;
use super::introspection::{Introspector, Subject};
use super::issuer::Issuer;
use super::verified::Known;
use super::waits::{Awaited, Waits};
use super::{Verification, Verifier};
use crate::domain::claims::{EventKind, EventRules, Principal, UnixTime};
use crate::domain::credential::BearerToken;
use crate::domain::jws::UnverifiedToken;
use crate::domain::policy::{Completeness, Demand, Liveness};
use crate::domain::reason::{DenyReason, OutageReason, Refusal};
use crate::domain::revocation::Revocation;

impl Verifier {
    /// Verifies a token, and asks its issuer whether it is still active where `liveness` or the
    /// issuer's own settings say so.
    ///
    /// A JWT is verified first: what does not verify, or was revoked, never reaches an issuer.
    /// A good token is worth nothing where `liveness` demands every replica's revocations, and they
    /// are not followed; a bad one is bad all the same. What it waited for is added to `waits`.
    pub async fn authenticate(
        &self,
        token: BearerToken<'_>,
        liveness: Liveness,
        now: UnixTime,
        waits: &mut Waits,
    ) -> Verification {
        let mut verification = self.authenticate_live(token, liveness, now, waits).await;
        if liveness.revocations == Completeness::Required
            && verification.outcome.is_ok()
            && !self.revocations.is_complete()
        {
            verification.outcome = Err(OutageReason::RevocationsBehind.into());
        }
        verification
    }

    async fn authenticate_live(
        &self,
        token: BearerToken<'_>,
        liveness: Liveness,
        now: UnixTime,
        waits: &mut Waits,
    ) -> Verification {
        let digest = match self.digest(token) {
            Ok(digest) => digest,
            Err(reason) => return Verification::of_nobody(reason),
        };
        if let Some(name) = self.opaque.issuer_of(token) {
            let opaque = self.authenticate_opaque(token, digest, name, liveness, now, waits);
            return Verification {
                outcome: opaque.await,
                issuer: Some(Arc::clone(name)),
            };
        }
        let verification = self.verify_digested(token, digest, now, waits).await;
        let Ok(principal) = &verification.outcome else {
            return verification;
        };
        let issuer = self.issuers.get(principal.issuer());
        let introspector = issuer.and_then(|issuer| issuer.introspector());
        let outcome = match (liveness.demand, introspector) {
            (Demand::Introspection, None) => Err(DenyReason::IntrospectionMissing.into()),
            (Demand::ByIssuer, None) => return verification,
            (Demand::ByIssuer, Some(introspector)) if introspector.mode() == Mode::ByRule => {
                return verification;
            }
            (Demand::ByIssuer | Demand::Introspection, Some(introspector)) => {
                let subject = Subject::Verified(Arc::clone(principal));
                let asked =
                    introspector.introspect(token, digest, subject, liveness.on_outage, now);
                waits.during(Awaited::Introspection, pin!(asked)).await
            }
        };
        Verification {
            outcome,
            ..verification
        }
    }

    /// The principal of a token that only its issuer can read.
    async fn authenticate_opaque(
        &self,
        token: BearerToken<'_>,
        digest: TokenDigest,
        issuer: &str,
        liveness: Liveness,
        now: UnixTime,
        waits: &mut Waits,
    ) -> Result<Arc<Principal>, Refusal> {
        let issuer = self.issuers.get(issuer);
        let asked = issuer.and_then(|issuer| Some((issuer, issuer.introspector()?)));
        let (issuer, introspector): (&Arc<Issuer>, &Introspector) =
            asked.ok_or(DenyReason::IntrospectionMissing)?;
        let subject = Subject::Opaque(Arc::clone(issuer.rules()));
        let asked = introspector.introspect(token, digest, subject, liveness.on_outage, now);
        let principal = waits.during(Awaited::Introspection, pin!(asked)).await?;
        self.revocations.check(token, &principal, now)?;
        Ok(principal)
    }

    /// Verifies a JWT by its issuer's keys, and against the revocations in force.
    pub async fn verify(&self, token: BearerToken<'_>, now: UnixTime) -> Verification {
        match self.digest(token) {
            Ok(digest) => {
                let mut untold = Waits::default();
                self.verify_digested(token, digest, now, &mut untold).await
            }
            Err(reason) => Verification::of_nobody(reason),
        }
    }

    /// The digest of a token that is worth one.
    pub(super) fn digest(&self, token: BearerToken<'_>) -> Result<TokenDigest, DenyReason> {
        if token.expose().len() > self.max_token_size {
            return Err(DenyReason::TokenTooLarge);
        }
        Ok(self.digests.digest(token))
    }

    async fn verify_digested(
        &self,
        token: BearerToken<'_>,
        digest: TokenDigest,
        now: UnixTime,
        waits: &mut Waits,
    ) -> Verification {
        let verification = self.verify_by_keys(token, digest, now, waits).await;
        // After whatever else may vouch for the token, and for each decision anew.
        let outcome = verification.outcome.and_then(|principal| {
            self.revocations.check(token, &principal, now)?;
            Ok(principal)
        });
        Verification {
            outcome,
            issuer: verification.issuer,
        }
    }

    /// The issuer is chosen by the exact `iss`, the key by `kid` within that issuer's keys. Only a
    /// token that nothing but its signature could fail costs a key lookup, or a wait. One that was
    /// verified before costs neither, as long as it lives and its key is in force.
    async fn verify_by_keys(
        &self,
        token: BearerToken<'_>,
        digest: TokenDigest,
        now: UnixTime,
        waits: &mut Waits,
    ) -> Verification {
        if let Some(known) = self.verified.get(digest) {
            let verification = known.verify(now);
            if verification.as_ref().is_none_or(|now| now.outcome.is_err()) {
                self.verified.forget(digest);
            }
            if let Some(verification) = verification {
                return verification;
            }
        }
        let named = UnverifiedToken::parse(token, self.max_token_size).and_then(|token| {
            let issuer = self.issuers.get(token.issuer()?);
            Ok((token, issuer.ok_or(DenyReason::IssuerUnknown)?))
        });
        let (token, issuer) = match named {
            Ok(named) => named,
            Err(reason) => return Verification::of_nobody(reason),
        };
        let outcome = match token.check(issuer.rules(), now) {
            Ok(token) => {
                let verified = pin!(issuer.keys().verify(token));
                waits.during(Awaited::Keys, verified).await.map(Arc::new)
            }
            Err(reason) => Err(reason.into()),
        };
        if let Ok(principal) = &outcome {
            self.verified.insert(digest, principal, issuer);
        }
        Verification {
            issuer: Some(Arc::clone(&issuer.rules().issuer)),
            outcome,
        }
    }

    /// Verifies a token about an event with its issuer's keys; what it revokes is not yet in force.
    ///
    /// # Errors
    /// The token is bad, or the issuer's keys are not there.
    pub async fn verify_event(
        &self,
        text: BearerToken<'_>,
        kind: EventKind,
        rules: &EventRules,
        now: UnixTime,
    ) -> Result<Vec<Revocation>, Refusal> {
        let token = UnverifiedToken::parse(text, self.max_token_size)?;
        let issuer = self.issuers.get(token.issuer()?);
        let issuer = issuer.ok_or(DenyReason::IssuerUnknown)?;
        let event = token.check_event(issuer.rules(), kind, rules, now)?;
        issuer.keys().verify_statement(event).await
    }
}

impl Verification {
    /// A token that names no configured issuer.
    fn of_nobody(reason: DenyReason) -> Self {
        Self {
            issuer: None,
            outcome: Err(reason.into()),
        }
    }
}

impl Known {
    /// What verification would find now; `None` where it must be asked.
    fn verify(self, now: UnixTime) -> Option<Verification> {
        if !self.issuer.keys().vouch_for(&self.principal) {
            return None;
        }
        Some(Verification {
            issuer: Some(Arc::clone(self.principal.issuer())),
            outcome: match self.principal.check_alive(now) {
                Ok(()) => Ok(self.principal),
                Err(reason) => Err(reason.into()),
            },
        })
    }
}
