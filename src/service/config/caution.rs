//! What is legal in a configuration, and dangerous: a closed list, in the operator's words.

use super::findings::findings;

findings! {
    /// What is legal, and dangerous.
    Caution {
        /// The admin listener can be reached from elsewhere.
        AdminReachable => "admin_reachable", "other machines can reach the admin listener, which shows issuers, rules and metrics to whoever asks: keep it on loopback or behind a firewall";
        /// Tokens travel in the clear.
        ListenPlain => "listen_plain", "other machines can reach this listener, and tokens come to it without TLS: add `tls`, or listen on loopback or a Unix socket";
        /// Tokens for anybody are taken.
        AudiencesAny => "audiences_any", "`audiences: any` takes tokens that were issued for other services: anyone who runs one of those can replay what it receives here";
        /// Keys come without TLS.
        InsecureHttp => "insecure_http", "keys come over http://, where whoever sits between can replace them";
        /// Tokens travel without TLS.
        IntrospectionInsecure => "introspection_insecure", "tokens and the secret travel over http://, where whoever sits between can read them, and answer for the issuer";
        /// A call that the deadline cuts off.
        IntrospectionPastDeadline => "introspection_past_deadline", "`deadline` ends the decision before this time is over, so that no `on_outage` helps against a slow endpoint: make it shorter than `deadline`";
        /// An issuer that a rule cannot ask.
        IntrospectPartly => "introspect_partly", "not every issuer has `introspection`: this rule refuses the tokens of those that have none";
        /// A wide tolerance.
        ClockSkewWide => "clock_skew_wide", "a clock skew of more than 60s keeps expired tokens alive for that long: better set the clocks";
        /// A secret in the file.
        SecretInline => "secret_inline", "the secret stands in the configuration file, and goes wherever that goes: use `secret_file` or ${{VARIABLE}}";
        /// A place for a token that cannot arrive.
        TokenNeverFits => "token_never_fits", "no token of this size arrives: `limits.max_header_bytes` is smaller";
        /// A wait that the deadline cuts off.
        WaitPastDeadline => "wait_past_deadline", "a request never waits this long: `deadline` is shorter";
        /// Keys that are not used.
        KeysSkipped {
            /// How many and why.
            problem: String,
        } => "keys_skipped", "{problem}";
        /// A rule that no request reaches.
        RuleShadowed {
            /// The line of the rule that takes its requests.
            line: usize,
            /// What that rule is called.
            by: String,
        } => "rule_shadowed", "no request reaches this rule: {by} on line {line} takes them all; move this rule before it, or remove it";
        /// A laxer rule about wider hosts comes first.
        HostsOverlap {
            /// The line of the rule that decides.
            line: usize,
            /// What that rule is called.
            by: String,
        } => "hosts_overlap", "{by} on line {line} is about more hosts, asks less, and decides first where both match: move this rule before it, unless that is meant";
        /// Everyone, everywhere.
        AnyoneEverywhere => "anyone_everywhere", "every request that reaches this rule passes without a token, on every host and path";
        /// The gateway decides in an outage.
        GatewayDecides => "gateway_decides", "in an outage the gateway decides, and with Envoy's `failure_mode_allow: true` every request passes then";
        /// Nobody can revoke.
        RevocationUnreachable => "revocation_unreachable", "nothing can be revoked: the admin listener, which takes revocations, is off";
        /// Revocations travel without TLS.
        RedisInsecure => "redis_insecure", "revocations and the password travel to Redis without TLS, where whoever sits between can hold them back: use rediss://, unless that network is yours alone";
        /// Spans' headers travel without TLS.
        TracingInsecure => "tracing_insecure", "`headers` travel over http://, where whoever sits between can read them: use https://, unless that network is yours alone";
        /// A setting for events that are not taken.
        KeepUnused => "keep_unused", "`keep` is about logout tokens and security event tokens, which are not taken without `audiences`";
        /// A header that some gateway writes or reads itself.
        HeaderSpecial {
            /// What happens.
            reason: &'static str,
        } => "header_special", "{reason}: choose a name of your own, such as X-Auth-User";
    }
}
