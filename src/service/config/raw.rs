//! The configuration as written: every key, what it holds, its default and why.
//!
//! This is the reference. It refuses to know what a setting does elsewhere, or whether two settings fit together.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::algorithm::Algorithm;
use crate::domain::claims::{Profile, TokenType};
use crate::domain::identity::NonAscii;
use crate::domain::policy::{Access, Completeness, OnOutage, RuleMode};
use crate::gateway::OnUnavailable;
use crate::telemetry::settings::{DecisionLog, LogFormat, LogLevel};
use crate::verify::settings::Mode;

use super::fan_out::{COMPLETENESS, RawFanOut};
use super::listen::{RawListener, read_listener};
use super::read::{At, mapping};
use super::shadow::RawShadow;
use super::shapes::{Named, Switch, choice, count, duration, list, names, size, switch, text};
use super::tracing::RawTracing;
use super::values::{
    RawAudiences, RawSource, algorithm, audiences, claims, file, jwks, on_outage, secret, source,
};

mapping! {
    /// The whole file.
    RawConfig ("a mapping with the keys `issuers` and `rules`") {
        /// Where the process listens.
        listen: RawListen = RawListen::read,
        /// Whose tokens are believed.
        issuers: At<Vec<RawIssuer>> = list(RawIssuer::read),
        /// How every issuer's keys are kept fresh; an issuer's `refresh` overrides it.
        keys: RawKeys = RawKeys::read,
        /// Where the request's token stands.
        token: RawToken = RawToken::read,
        /// Whether the upstream sees the credential; default `true`, because many upstreams read it too.
        /// `false` removes it where the gateway can.
        forward_token: At<Switch> = switch,
        /// Who may revoke tokens; default nobody.
        revocation: RawRevocation = RawRevocation::read,
        /// Which requests pass: the first rule that matches decides, and a request that none matches is denied. Required.
        rules: At<Vec<RawRule>> = list(RawRule::read),
        /// The headers that tell the upstream who is asking: name of the header, path of the claim.
        identity: At<Vec<Named<At<String>>>> = names(text),
        /// How claim values become header values.
        identity_values: RawIdentityValues = RawIdentityValues::read,
        /// Who decides when no verdict can be reached: `deny` (default: closed whatever the gateway's failure mode says)
        /// or `gateway` (the gateway's failure mode).
        on_unavailable: At<OnUnavailable> = choice(&[("deny", OnUnavailable::Deny), ("gateway", OnUnavailable::Gateway)]),
        /// How long one decision may take before it is "unavailable".
        /// Default `2s`: under the 3 s to 10 s that gateways themselves wait, and over an issuer's slowest good day.
        deadline: At<Duration> = duration,
        /// The `realm` of the 401 challenge (RFC 9110 §11.5); default `gatefort`.
        realm: At<String> = text,
        /// How long requests in flight may take to finish at shutdown.
        /// Default `10s`: five deadlines, and well under the 30 s after which orchestrators kill.
        drain_timeout: At<Duration> = duration,
        /// How long requests are taken as before after shutdown was asked for, while readiness and gRPC health say no:
        /// as long as gateways take to notice. Comes before `drain_timeout`. Default `0s`: nothing may be in front.
        shutdown_delay: At<Duration> = duration,
        /// What clients may take of the process.
        limits: RawLimits = RawLimits::read,
        /// What is remembered of verified tokens.
        cache: RawCache = RawCache::read,
        /// What is kept of recent decisions, for `/decisions` and the console.
        decisions: RawDecisions = RawDecisions::read,
        /// What is tried beside this file on the same requests, to see what it would change.
        shadow: RawShadow = RawShadow::read,
        /// What is logged.
        log: RawLog = RawLog::read,
        /// Where spans of the decisions go; default nowhere.
        tracing: RawTracing = RawTracing::read,
    }
}

mapping! {
    /// `listen`: each is `ADDRESS:PORT`, `unix:/path/to.sock`, a mapping such as `{address: 10.0.0.1:9191, tls: {...}}`
    /// or `{unix: /path/to.sock, mode: "0660", group: nginx}`, or `off`.
    RawListen ("a mapping with the keys `grpc`, `http` and `admin`") {
        /// Envoy ext_authz over gRPC; default `127.0.0.1:9191`: loopback, because who reaches it can ask it about tokens.
        grpc: At<Option<RawListener>> = read_listener,
        /// nginx, Traefik, Caddy, HAProxy, Apache, and Envoy ext_authz over HTTP; default `127.0.0.1:9192`.
        http: At<Option<RawListener>> = read_listener,
        /// Health, metrics and status; default `127.0.0.1:9193`. Keep it private.
        admin: At<Option<RawListener>> = read_listener,
    }
}

mapping! {
    /// An item of `issuers`.
    RawIssuer ("a mapping with the key `issuer`") {
        /// The exact `iss` of its tokens, byte for byte. Required.
        issuer: At<String> = text,
        /// What its tokens look like: `generic` (default: any OIDC or OAuth issuer) or `authfort`, which demands
        /// what an AuthFort access token carries and refuses AuthFort's other tokens.
        profile: At<Profile> = choice(&[("generic", Profile::Generic), ("authfort", Profile::Authfort)]),
        /// The URL of its JWK Set. Without any of `jwks_url`, `jwks_file`, `jwks`, `secret` and `secret_file`
        /// the keys are found by discovery (OIDC Discovery 1.0 §4, RFC 8414).
        jwks_url: At<String> = text,
        /// A file with its JWK Set; read again when it changes.
        jwks_file: At<PathBuf> = file,
        /// Its JWK Set itself, as YAML or as JSON text.
        jwks: At<SecretString> = jwks,
        /// Where its discovery document is, if not at the issuer's own URL: the document's URL (with `/.well-known/`
        /// in its path), or the URL that the well-known path is added to. The document must still name this issuer.
        discovery_url: At<String> = text,
        /// The secret shared with it, for HS256, HS384 and HS512. Better in a file or a variable.
        secret: At<SecretString> = secret,
        /// A file with that secret; one line break at its end is not part of it.
        secret_file: At<PathBuf> = file,
        /// The audiences that its tokens must name one of (RFC 7519 §4.1.3), or `any`.
        /// Required unless the profile is `authfort`, whose tokens have none.
        audiences: At<RawAudiences> = audiences,
        /// The algorithms that may sign its tokens. Default: every asymmetric one, because each key is bound
        /// to its own; `[RS256]` for `authfort`, which uses no other; `[HS256]` where there is a secret.
        algorithms: At<Vec<At<Algorithm>>> = list(algorithm),
        /// How far its clock may be off; default `30s`: what unsynchronised machines drift in days. At most `5m`.
        clock_skew: At<Duration> = duration,
        /// `at+jwt` demands what RFC 9068 §4 does; `any` (default, because most issuers do not write `at+jwt` yet)
        /// refuses only what is plainly no access token.
        token_type: At<TokenType> = choice(&[("at+jwt", TokenType::AtJwt), ("any", TokenType::Lenient)]),
        /// Claims that must be there, besides those that every token needs; default none.
        required_claims: At<Vec<At<String>>> = list(text),
        /// The claim that holds the roles; default `roles`, as RFC 9068 §2.2.3.1 and AuthFort name it.
        roles_claim: At<String> = text,
        /// Whether the process is ready without this issuer's keys; default `false`.
        optional: At<Switch> = switch,
        /// Whether its URLs may be `http://` beyond this machine; default `false`,
        /// because whoever sits between can then replace the keys.
        insecure_http: At<Switch> = switch,
        /// Trust anchors (PEM) besides the system's.
        ca_file: At<PathBuf> = file,
        /// Our certificate chain and private key (one PEM file), for an issuer that asks for them.
        client_cert_file: At<PathBuf> = file,
        /// Whether the proxy that the environment names is used; default `false`,
        /// because a stray variable would then choose who delivers the keys.
        proxy_from_env: At<Switch> = switch,
        /// How long connecting may take; default `1s`.
        connect_timeout: At<Duration> = duration,
        /// How long a whole exchange may take; default `5s`.
        timeout: At<Duration> = duration,
        /// How its keys are kept fresh, where that differs from `keys`.
        refresh: RawRefresh = RawRefresh::read,
        /// Where it is asked whether a token is still active.
        introspection: RawIntrospection = RawIntrospection::read,
        /// Whether tokens that are no JWTs are its own; it is asked about each by `introspection`. Default `false`.
        /// Without a source of keys of its own the issuer then has no JWTs.
        opaque: At<Switch> = switch,
        /// How its opaque tokens begin. Needed by all but one of the issuers with `opaque: true`: no token is ever
        /// shown to one issuer after the other.
        opaque_prefix: At<String> = text,
    }
}

mapping! {
    /// `introspection` of an issuer.
    RawIntrospection ("a mapping such as {url: https://login.example.com/introspect}") {
        /// The endpoint. Required.
        url: At<String> = text,
        /// `rfc7662` (default), `rfc9701` (the same, with answers that the issuer signs and nothing else),
        /// `authfort` (default for that profile) or `authfort-me`: an AuthFort server's `GET /auth/me` with the
        /// user's own token, for sessions that outlive their first refresh.
        protocol: At<ProtocolName> = choice(&[
            ("rfc7662", ProtocolName::Rfc7662),
            ("rfc9701", ProtocolName::Rfc9701),
            ("authfort", ProtocolName::Authfort),
            ("authfort-me", ProtocolName::AuthfortMe),
        ]),
        /// How we say who we are to an `rfc7662` or `rfc9701` endpoint: `client_secret_basic` (default: RFC 6749 §2.3.1 demands that
        /// every server takes it), `client_secret_post` or `bearer`.
        auth: At<AuthName> = choice(&[
            ("client_secret_basic", AuthName::Basic),
            ("client_secret_post", AuthName::Post),
            ("bearer", AuthName::Bearer),
        ]),
        /// Our client id, for the two that need one, and the `aud` of answers by `rfc9701`.
        client_id: At<String> = text,
        /// Our secret there. Better in a file or a variable.
        secret: At<SecretString> = secret,
        /// A file with that secret; one line break at its end is not part of it.
        secret_file: At<PathBuf> = file,
        /// Which tokens are asked about: `by_rule` (default: those whose rule says `introspect: true`, because each
        /// call is the issuer's work) or `always`.
        mode: At<Mode> = choice(&[("by_rule", Mode::ByRule), ("always", Mode::Always)]),
        /// How long an answer `active` is believed, and so how late a ban is seen; never past the token's `exp`.
        /// Default `5s`; `0s` asks for every request.
        cache: At<Duration> = duration,
        /// How long an answer `inactive` is believed; default `5s`: replicas of an issuer learn of a new token late.
        cache_inactive: At<Duration> = duration,
        /// How long one call may take, its wait for a turn included; default `1s`: half of `deadline`.
        timeout: At<Duration> = duration,
        /// How many calls may be under way; default `64`.
        max_concurrent: At<usize> = count,
        /// How many bytes of answers are remembered; default `16MiB`.
        cache_size: At<usize> = size,
    }
}

/// The protocols of introspection by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProtocolName {
    Rfc7662,
    Rfc9701,
    Authfort,
    AuthfortMe,
}

/// The ways to say who we are, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthName {
    Basic,
    Post,
    Bearer,
}

mapping! {
    /// `keys`: how keys are kept fresh.
    RawKeys ("a mapping such as {max_lifetime: 10m}") {
        /// Where the last good keys are kept for a cold start without the issuer; default nowhere.
        snapshot_dir: At<PathBuf> = file,
        /// The shortest lifetime believed, whatever `Cache-Control` says; default `60s`.
        min_lifetime: At<Duration> = duration,
        /// The longest lifetime believed: a withdrawn key is gone after it; default `10m`.
        max_lifetime: At<Duration> = duration,
        /// How long keys are used while their issuer cannot be reached; default `24h`.
        max_stale: At<Duration> = duration,
        /// How long a request waits for a refresh that its unknown key id caused; default `1s`.
        max_wait: At<Duration> = duration,
    }
}

mapping! {
    /// `refresh` of an issuer; each key as in `keys`.
    RawRefresh ("a mapping such as {max_lifetime: 10m}") {
        /// As `keys.min_lifetime`.
        min_lifetime: At<Duration> = duration,
        /// As `keys.max_lifetime`.
        max_lifetime: At<Duration> = duration,
        /// As `keys.max_stale`.
        max_stale: At<Duration> = duration,
        /// As `keys.max_wait`.
        max_wait: At<Duration> = duration,
    }
}

mapping! {
    /// `token`.
    RawToken ("a mapping such as {from: [authorization]}") {
        /// The places of the token: `authorization`, `{cookie: NAME}`, `{header: NAME}`; default `[authorization]`.
        /// A request with a token in more than one of them is refused (RFC 6750 §2).
        from: At<Vec<At<RawSource>>> = list(source),
        /// The longest token; default `16KiB`: four times what the largest issuers write.
        max_size: At<usize> = size,
    }
}

mapping! {
    /// `revocation`: `/revocations` on the admin listener.
    RawRevocation ("a mapping with the key `secret_file`") {
        /// What whoever revokes sends as `Authorization: Bearer`: at least 16 visible ASCII characters.
        /// Required, here or in a file, unless there is `client_identities`. Better in a file or a variable.
        secret: At<SecretString> = secret,
        /// A file with that secret; one line break at its end is not part of it.
        secret_file: At<PathBuf> = file,
        /// Who may revoke without the secret: names in client certificates of the admin listener, as in
        /// `tls.client_identities`. Default nobody.
        client_identities: At<Vec<At<String>>> = list(text),
        /// The file that keeps revocations over a restart; default none: they end with the process.
        file: At<PathBuf> = file,
        /// The most revocations at a time; default `100000`. Those that end first go first.
        max_entries: At<usize> = count,
        /// The audiences that logout tokens (OpenID Connect Back-Channel Logout) and security event tokens (RFC 8417)
        /// must name one of: what the issuers know us as; or `any`. Default: none is taken.
        audiences: At<RawAudiences> = audiences,
        /// How long after an event its revocation lasts; default `24h`: longer than access tokens live.
        keep: At<Duration> = duration,
        /// How several replicas tell each other; default not at all: each knows what it was told.
        fan_out: RawFanOut = RawFanOut::read,
    }
}

mapping! {
    /// An item of `rules`.
    RawRule ("a mapping such as {path: /**, allow: authenticated}") {
        /// What logs and metrics call it; default its place and path.
        name: At<String> = text,
        /// `enforce` (default), or `shadow`: the rule never decides, and what it would have decided is counted against
        /// what the rules after it decide.
        mode: At<RuleMode> = choice(&[("enforce", RuleMode::Enforce), ("shadow", RuleMode::Shadow)]),
        /// The hosts it is about: names, or `*.` and a name for everything under it; default every host.
        hosts: At<Vec<At<String>>> = list(text),
        /// The methods it is about; default every method.
        methods: At<Vec<At<String>>> = list(text),
        /// The paths it is about: `*` is one segment, `**` the rest. Required.
        path: At<String> = text,
        /// Whom it lets in: `anyone` (the token is never looked at), `optional` (a token is not needed, but a bad one is
        /// refused), `authenticated` (default where there is `require`).
        allow: At<Access> = choice(&[
            ("anyone", Access::Anyone),
            ("optional", Access::Optional),
            ("authenticated", Access::Authenticated),
        ]),
        /// What the principal must have.
        require: RawRequire = RawRequire::read,
        /// Whether the token's issuer is asked if it is still active, whatever the issuer's `mode`; a token whose issuer
        /// has no `introspection` is refused. Default `false`: as the issuer's `mode` says.
        introspect: At<Switch> = switch,
        /// What stands in for an answer that cannot be had: `unavailable` (default: nothing) or `{last_known: 60s}`,
        /// the last answer about the same token, if it is at most so old.
        on_outage: At<OnOutage> = on_outage,
        /// How complete the list of revocations must be: `best_effort` or `required`; default `revocation.fan_out.mode`.
        revocations: At<Completeness> = choice(COMPLETENESS),
    }
}

mapping! {
    /// `require` of a rule: all of what is written must hold.
    RawRequire ("a mapping such as {roles: [admin]}") {
        /// Any of these roles.
        roles: At<Vec<At<String>>> = list(text),
        /// All of these scopes.
        scopes: At<Vec<At<String>>> = list(text),
        /// Claims by path, each equal to this value, or an array that contains it.
        claims: At<Vec<Named<At<serde_json::Value>>>> = claims,
        /// A CEL expression over `claims` and `request` that must be true.
        when: At<String> = text,
    }
}

mapping! {
    /// `identity_values`.
    RawIdentityValues ("a mapping such as {non_ascii: percent}") {
        /// What becomes of a value beyond visible ASCII: `percent` (default: reversible, and safe on every wire),
        /// `utf8` (as bytes) or `deny` (the request).
        non_ascii: At<NonAscii> = choice(&[
            ("percent", NonAscii::Percent),
            ("utf8", NonAscii::Utf8),
            ("deny", NonAscii::Deny),
        ]),
        /// The longest value; a longer one denies the request. Default `4KiB`: nginx reads all headers of an answer
        /// into a buffer of 4 KiB or 8 KiB.
        max_length: At<usize> = size,
    }
}

mapping! {
    /// `limits`: what clients may take of the process.
    RawLimits ("a mapping such as {connections: 10000}") {
        /// Connections at a time over all listeners; default `10000`.
        connections: At<usize> = count,
        /// Decisions under way at a time; whoever comes beyond is "unavailable" at once, reason `overloaded`.
        /// Default `1024`: many times what an introspection endpoint is asked at once.
        in_flight: At<usize> = count,
        /// How long a connection lives before it is closed in good order, a tenth more or less; default `30m`: so
        /// that new replicas get their share of gateways that keep connections for good.
        max_connection_age: At<Duration> = duration,
        /// How long a client may take to send a request's header; default `10s`.
        header_read_timeout: At<Duration> = duration,
        /// How long a connection may be silent; default `5m`: longer than gateways keep theirs.
        idle_timeout: At<Duration> = duration,
        /// The longest request header; default `64KiB`: four tokens of the longest kind.
        max_header_bytes: At<usize> = size,
    }
}

mapping! {
    /// `cache`: verified tokens, so that a token's signature is verified once and not on each request.
    RawCache ("a mapping such as {max_bytes: 64MiB}") {
        /// How much memory they may take; `0` remembers none. Default `64MiB`: thirty to fifty thousand live tokens; docs/capacity.md has what one takes.
        max_bytes: At<usize> = size,
    }
}

mapping! {
    /// `decisions`: the recent ones, on the admin listener.
    RawDecisions ("a mapping such as {keep: 1000}") {
        /// How many refusals, and how many allows, are kept with their explanation, in at most 4 MiB each; `0` keeps none.
        /// Default `1000`: of a busy minute what people look at, and at most 100 refusals and 10 allows of any second.
        keep: At<usize> = count,
    }
}

mapping! {
    /// `log`.
    RawLog ("a mapping such as {format: json}") {
        /// How a line is written: `json` (default) or `text`.
        format: At<LogFormat> = choice(&[("json", LogFormat::Json), ("text", LogFormat::Text)]),
        /// The least urgent line written: `error`, `warn`, `info` (default), `debug` or `trace`.
        level: At<LogLevel> = choice(&[
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ]),
        /// Which decisions get a line: `all` (default), `denied` or `off`.
        decisions: At<DecisionLog> = choice(&[
            ("all", DecisionLog::All),
            ("denied", DecisionLog::Denied),
            ("off", DecisionLog::Off),
        ]),
    }
}
