//! Gatefort tells any gateway whether a request may pass, and who is asking.
//!
//! # The flow
//!
//! ```text
//!  Envoy gRPC ──┐
//!  Envoy HTTP ──┤  read()                     decide()              write()
//!  nginx ───────┼────────► RequestContext ────────────► Verdict ────────────► wire answer
//!  Traefik ─────┤
//!  Caddy, HAProxy, Apache
//!
//!  decide():  rule      = rules.find(request)       the first that matches; none = Deny
//!             token     = BearerToken::find(..)     exactly one, from the configured places
//!             principal = verifier.verify(token)    issuer by `iss`, key by `kid` within it;
//!                                                   introspection where rule or issuer say so
//!             rule.admit(principal)                 roles, scopes, claims, condition
//!             Grant                                 identity headers for the upstream
//! ```
//!
//! | Decision | about | Envoy gRPC | Envoy HTTP | nginx | Traefik, Caddy, HAProxy, Apache |
//! |---|---|---|---|---|---|
//! | Allow | | OK | 200 | 200 | 200 |
//! | Deny: no or bad credentials | the caller | UNAUTHENTICATED, 401 | 401 | 401 | 401 |
//! | Deny: not enough rights | the caller | PERMISSION_DENIED, 403 | 403 | 403 | 403 |
//! | Deny: unreadable | the caller | INVALID_ARGUMENT, 400 | 400 | 403 | 400 |
//! | Unavailable | us | UNAVAILABLE, 503 | 403 | 503 | 503 |
//!
//! # The floors
//!
//! A file names its own floor and those below it, never one above.
//!
//! | floor | what it holds | what it refuses to know |
//! |---|---|---|
//! | [`domain`] | request, token, claims, keys, rules, identity, reasons | I/O, clocks, protocols |
//! | [`verify`] | the same questions with I/O: issuers and their key caches, revocations | rules, gateways |
//! | [`authorizer`] | the heart: request in, verdict out | wires |
//! | [`telemetry`] | the decision log and the metrics | what a wire looks like |
//! | [`gateway`] | the doors: `read` and `write` for each wire | sockets, configuration files |
//! | [`service`] | the process: command line, configuration, listeners, drain, admin | |
//!
//! # Invariants
//!
//! 1. Only `authorizer.rs` makes a [`Grant`](authorizer::Grant); only verification makes a
//!    [`Principal`](domain::claims::Principal); only the Envoy door makes a `CheckResponse`.
//!    (`tests/it/tidy.rs`: `one_file_makes_a_grant_and_one_makes_a_check_response`)
//! 2. Timeout, cancellation, panic and half-loaded state are never Allow.
//!    (`tests/it/authorizer.rs`: `a_panic_is_unavailable`, `a_decision_past_its_deadline_is_unavailable`)
//! 3. Nothing in `domain` awaits, reads a clock, logs, or knows a protocol.
//!    (`tests/it/tidy.rs`: `the_domain_does_no_io_and_reads_no_clock`)
//! 4. The issuer is chosen by `iss` from the configuration, then the key by `kid` within it.
//!    (`tests/support/cases.rs`: `key_of_another_issuer`, `embedded_jwk_is_ignored`, `jku_is_ignored`)
//! 5. The algorithm must be allowed by the issuer and fit the key.
//!    (`tests/support/cases.rs`: the rows under "Algorithms")
//! 6. A failed or empty refresh, or a bad reload, never removes what worked; beyond `max_stale` it
//!    is Unavailable. (`tests/it/keys/`, `tests/it/reload.rs`)
//! 7. Nothing keyed by caller input is unbounded; nothing a caller sends makes us call an issuer
//!    more often than the stated rate. (`tests/it/keys/`)
//! 8. Token text exists only in the verifier; never in a log, `Debug`, metric or answer.
//!    (`tests/it/cases.rs`: `every_row_over_every_http_door`)
//! 9. What a withdrawn key signed is refused after the next good refresh, remembered tokens included.
//!    (`tests/it/keys/`, `src/verify/tests/verified.rs`)
//!    What an issuer said of a token is not believed past the token's `exp`.
//!    (`src/verify/tests/introspection.rs`: `a_cached_answer_does_not_outlive_its_token`)
//! 10. Every identity header is set or removed on every Allow, with its `_` and `.` aliases.
//!     (`tests/support/cases.rs`: the rows `spoof_...`)
//! 11. No path of any listener answers 2xx except an Allow and the admin's own pages.
//!     (`tests/it/cases.rs`: `no_unknown_path_is_answered_with_success`)
//! 12. Nothing is configured by a query parameter; each endpoint fixes where the original request
//!     is read from. (`tests/support/cases.rs`: `query_cannot_choose_a_policy`, `spoof_forwarded_uri`)
//! 13. A revocation that was acknowledged is in force for the next decision, and over a crash.
//!     (`tests/it/revocations.rs`: `the_next_request_after_the_answer_is_refused`,
//!     `a_crash_loses_nothing_that_was_acknowledged`) Where a rule demands that other replicas'
//!     revocations are known, and they are not, it allows nobody.
//!     (`tests/it/redis.rs`: `who_must_follow_and_cannot_gives_no_verdict_within_max_lag`)
//! 14. An explanation is of the decision that was made, by the functions that made it, and shows an onlooker no
//!     token and no claim that the configuration does not name.
//!     (`tests/it/cases.rs`: `every_row_against_decide`; `src/domain/claims/explain.rs`, `src/domain/policy/explain.rs`)

pub mod authorizer;
pub mod domain;
pub mod gateway;
pub mod service;
pub mod telemetry;
pub mod verify;
