//! A file of cases as written: every key, what it holds and its default.

use std::time::Duration;

use serde_json::Value as Json;

use crate::domain::algorithm::Algorithm;
use crate::service::config::read::{At, mapping};
use crate::service::config::shapes::{
    Named, Switch, choice, count, duration, list, names, switch, text,
};
use crate::service::config::values::{RawSource, algorithm, source};

use super::Verdict;
use super::values::{
    RawAnswer, RawCaseToken, RawExpected, address, answer, case_token, expected, fields, object,
    reason,
};

mapping! {
    /// A file of cases: requests, and what the configuration must make of each.
    RawCases ("a mapping with the key `cases`") {
        /// The host of every request that names none; default `localhost`.
        host: At<String> = text,
        /// The issuer of every token that names none; default the only one of the configuration.
        issuer: At<String> = text,
        /// The cases. Required.
        cases: At<Vec<RawCase>> = list(RawCase::read),
    }
}

mapping! {
    /// A case.
    RawCase ("a mapping with the keys `name`, `request` and `expect`") {
        /// What it shows, in one sentence; each has its own. Required.
        name: At<String> = text,
        /// The request. Required.
        request: RawRequest = RawRequest::read,
        /// The token that it carries: a mapping such as {claims: {sub: ann, roles: [admin]}}; `none` (default);
        /// `unread`, one that nobody has looked at.
        token: At<RawCaseToken> = case_token,
        /// What the issuer says when it is asked whether the token is active: its answer, such as {active: true},
        /// or `unavailable` (default).
        introspection: At<RawAnswer> = answer,
        /// What must come of it. Required.
        expect: RawExpect = RawExpect::read,
        /// What was seen when the case was recorded, if it was.
        recorded: RawRecorded = RawRecorded::read,
    }
}

mapping! {
    /// `request` of a case.
    RawRequest ("a mapping such as {path: /orders}") {
        /// The method; default `GET`.
        method: At<String> = text,
        /// The host; default that of the file.
        host: At<String> = text,
        /// The path as the client sends it, perhaps with a query. Required.
        path: At<String> = text,
        /// Further header fields: a value, or a list of values for a field that is repeated.
        headers: At<Vec<Named<At<Vec<String>>>>> = names(fields),
        /// The client's address, where the gateway says it; default none.
        client: At<std::net::IpAddr> = address,
    }
}

mapping! {
    /// `token` of a case. It is signed with a key that is made for the run and thrown away.
    RawMint ("`none`, `unread`, or a mapping such as {claims: {sub: ann}}") {
        /// Its issuer, one of the configuration's; default that of the file.
        issuer: At<String> = text,
        /// Its claims, added to those that every token of the issuer has (`iss`, `iat`, `exp`, `aud` where audiences
        /// are configured, `sub`, and what the issuer's profile or token type demands); null removes one.
        claims: At<serde_json::Map<String, Json>> = object,
        /// How long it still lives; default `5m`.
        expires_in: At<Duration> = duration,
        /// Whether it has expired, an hour ago; default `false`.
        expired: At<Switch> = switch,
        /// The algorithm that signs it; default the first of ES256, EdDSA, RS256 and so on that the issuer allows.
        alg: At<Algorithm> = algorithm,
        /// The key id in its header; default that of the issuer's key.
        kid: At<String> = text,
        /// The `typ` in its header; default `at+jwt` where the issuer demands that, else `JWT`.
        typ: At<String> = text,
        /// `good` (default), or `wrong`: by a key that is not the issuer's.
        signature: At<Signature> = choice(&[("good", Signature::Good), ("wrong", Signature::Wrong)]),
        /// Whether it is no JWT, so that its issuer must be asked about it; default `false`.
        opaque: At<Switch> = switch,
        /// The text itself, whatever it is; no other key but `place` goes with it.
        raw: At<String> = text,
        /// The reason for which every configuration refuses it; no other key goes with it.
        refused: At<&'static str> = reason,
        /// Where it stands: `authorization`, `{cookie: NAME}` or `{header: NAME}`; default the first place of
        /// the configuration's `token.from`.
        place: At<RawSource> = source,
    }
}

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// The issuer's key.
    Good,
    /// Another.
    Wrong,
}

mapping! {
    /// `expect` of a case: all of what is written must hold.
    RawExpect ("a mapping such as {verdict: allow}") {
        /// `allow`, `deny` or `unavailable`. Required.
        verdict: At<Verdict> = choice(&Verdict::NAMES),
        /// The reason's code, as in the decision log.
        reason: At<&'static str> = reason,
        /// The rule that decides: its name, else its path, or its place counted from 1.
        rule: At<String> = text,
        /// The status that the gateway's HTTP door answers, as in `/forward-auth`: 200, 400, 401, 403 or 503.
        status: At<usize> = count,
        /// The identity headers that the service behind gets: the exact value, or null for none.
        headers: At<Vec<Named<At<RawExpected>>>> = names(expected),
    }
}

mapping! {
    /// `recorded` of a case: what is known of the request that it was made of.
    RawRecorded ("a mapping such as {at: '2026-01-31T12:00:00Z', claims: [sub]}") {
        /// When it was (RFC 3339).
        at: At<String> = text,
        /// How many differences like it were seen.
        count: At<usize> = count,
        /// The claims that were looked at: those that are not among the token's were not in it. What a rule asks
        /// beyond them cannot be said.
        claims: At<Vec<At<String>>> = super::values::names_of,
        /// The request's headers that were looked at.
        headers: At<Vec<At<String>>> = super::values::names_of,
        /// What the other configuration said.
        candidate: RawExpect = RawExpect::read,
    }
}
