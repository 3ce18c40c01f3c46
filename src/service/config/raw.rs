//! The configuration as written: every key, what it holds, its default and why.
//!
//! This is the reference. It refuses to know what a setting does elsewhere, or whether two settings fit together.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::algorithm::Algorithm;
use crate::domain::claims::{Profile, TokenType};
use crate::domain::identity::NonAscii;
use crate::domain::policy::Access;
use crate::gateway::OnUnavailable;
use crate::telemetry::settings::{DecisionLog, LogFormat, LogLevel};

use super::listen::{ListenAddress, read_listener};
use super::read::{At, mapping};
use super::shapes::{
    Named, Switch, choice, count, duration, list, names, not_yet, size, switch, text,
};
use super::values::{
    RawAudiences, RawSource, algorithm, audiences, claims, file, jwks, secret, source,
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
        /// Which requests pass: the first rule that matches decides, and a request that none matches is denied.
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
        /// What clients may take of the process.
        limits: RawLimits = RawLimits::read,
        /// What is logged.
        log: RawLog = RawLog::read,
    }
}

mapping! {
    /// `listen`: each is `ADDRESS:PORT`, `unix:/path/to.sock`, `{unix: /path/to.sock, mode: "0660"}`, or `off`.
    RawListen ("a mapping with the keys `grpc`, `http` and `admin`") {
        /// Envoy ext_authz over gRPC; default `127.0.0.1:9191`: loopback, because who reaches it can ask it about tokens.
        grpc: At<Option<ListenAddress>> = read_listener,
        /// nginx, Traefik, Caddy, HAProxy, and Envoy ext_authz over HTTP; default `127.0.0.1:9192`.
        http: At<Option<ListenAddress>> = read_listener,
        /// Health, metrics and status; default `127.0.0.1:9193`. Keep it private.
        admin: At<Option<ListenAddress>> = read_listener,
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
        /// Not supported by this version.
        introspection: () = not_yet("token introspection"),
    }
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
        /// Required, here or in a file. Better in a file or a variable.
        secret: At<SecretString> = secret,
        /// A file with that secret; one line break at its end is not part of it.
        secret_file: At<PathBuf> = file,
        /// The file that keeps revocations over a restart; default none: they end with the process.
        file: At<PathBuf> = file,
        /// The most revocations at a time; default `100000`. Those that end first go first.
        max_entries: At<usize> = count,
        /// The audiences that logout tokens (OpenID Connect Back-Channel Logout) and security event tokens (RFC 8417)
        /// must name one of: what the issuers know us as; or `any`. Default: none is taken.
        audiences: At<RawAudiences> = audiences,
        /// How long after an event its revocation lasts; default `24h`: longer than access tokens live.
        keep: At<Duration> = duration,
    }
}

mapping! {
    /// An item of `rules`.
    RawRule ("a mapping such as {path: /**, allow: authenticated}") {
        /// What logs and metrics call it; default its place and path.
        name: At<String> = text,
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
        /// Not supported by this version.
        introspect: () = not_yet("token introspection"),
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
        /// How long a client may take to send a request's header; default `10s`.
        header_read_timeout: At<Duration> = duration,
        /// How long a connection may be silent; default `5m`: longer than gateways keep theirs.
        idle_timeout: At<Duration> = duration,
        /// The longest request header; default `64KiB`: four tokens of the longest kind.
        max_header_bytes: At<usize> = size,
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
