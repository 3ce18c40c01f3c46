//! The table of refusals: one spoilt configuration per row, and exactly what is said about it.

use super::*;

/// Where the text of a row goes; each place names the line and column at which it starts.
#[derive(Clone, Copy)]
enum Put {
    /// The whole file: 1:1.
    File,
    /// A top-level key of a good file: 7:1.
    Top,
    /// A further key of its issuer: 4:5.
    Issuer,
    /// The issuer's own keys: 2:5.
    IssuerAlone,
    /// The rule: 5:5.
    Rule,
}

use Put::{File, Issuer, IssuerAlone, Rule, Top};

impl Put {
    fn around(self, text: &str) -> String {
        let issuer = "  - issuer: https://login.example.com\n    audiences: [orders]\n";
        let rules = "rules:\n  - path: /**\n    allow: authenticated\n";
        match self {
            File => text.to_owned(),
            Top => format!("{GOOD}{text}\n"),
            Issuer => format!("issuers:\n{issuer}    {text}\n{rules}"),
            IssuerAlone => format!("issuers:\n  - {text}\n{rules}"),
            Rule => format!("issuers:\n{issuer}rules:\n  - {text}\n"),
        }
    }
}

/// (where, text, code, line:column, path, part of the message)
type Row = (
    Put,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip] // one row, one line
const ROWS: &[Row] = &[
    // The file.
    (File, "", "file_empty", "0:0", "", "`issuers` and `rules`"),
    (File, "# nothing\n", "file_empty", "0:0", "", "is empty"),
    (File, "- a\n", "wrong_kind", "1:1", "", "found a list"),
    (File, "rules", "wrong_kind", "1:1", "", "found text"),
    (File, "a: [", "syntax", "1:4", "", ""),
    (Top, "realm: 'a", "syntax", "7:8", "", ""),
    (Top, "{", "syntax", "7:1", "", ""),
    // Traces.
    (Top, "tracing: {}", "missing", "7:10", "tracing", "http://127.0.0.1:4318"),
    (Top, "tracing: {endpoint: collector}", "url", "7:21", "tracing.endpoint", "collector"),
    (Top, "tracing: {endpoint: 'http://[::1]', protocol: json}", "choice", "7:47", "tracing.protocol", "grpc"),
    (Top, "tracing: {endpoint: 'http://[::1]', ratio: 2}", "out_of_range", "7:44", "tracing.ratio", "between 0 and 1"),
    (Top, "tracing: {endpoint: 'http://[::1]', ration: 1}", "unknown_key", "7:37", "tracing.ration", "`ratio`"),
    (Top, "tracing: {endpoint: 'http://[::1]', headers: {'a b': c}}", "header_name", "7:47", "tracing.headers.a b", "a b"),
    (Top, "tracing: {endpoint: 'http://[::1]', headers: {a: 'b', A: 'c'}}", "header_twice", "7:55", "tracing.headers.A", "line 7"),
    (Top, "tracing: {endpoint: 'http://[::1]', headers: {a: \"b\\n\"}}", "introspection_secret", "7:50", "tracing.headers.a", "visible ASCII"),
    (Top, "tracing: {endpoint: 'http://[::1]', headers_file: {a: /no/such}}", "named_file_unreadable", "7:55", "tracing.headers_file.a", "cannot be read"),
    (Top, "tracing: {endpoint: 'http://[::1]', ca_file: /no/such}", "named_file_unreadable", "7:46", "tracing.ca_file", "cannot be read"),
    // Revocation.
    (Top, "revocation: {}", "missing", "7:13", "revocation", "secret_file: /run/secrets/revocation"),
    (Top, "revocation: {client_identities: [a.example]}", "revocation_identities", "7:33", "revocation.client_identities", "`listen.admin`"),
    (Top, "revocation: {secret: '${SHORT}'}", "bearer_secret", "7:22", "revocation.secret", "at least 16"),
    (Top, "revocation: {secret: 'sixteen letters, but with spaces'}", "bearer_secret", "7:22", "revocation.secret", "without spaces"),
    (Top, "revocation: {secret: '${SECRET}', max_entries: 0}", "out_of_range", "7:48", "revocation.max_entries", "10000000"),
    (Top, "revocation: {secret: '${SECRET}', keep: 1s}", "out_of_range", "7:41", "revocation.keep", "1m"),
    (Top, "revocation: {secret: '${SECRET}', audiences: ['any']}", "audience_wildcard", "7:47", "revocation.audiences", "`audiences: any`"),
    // Fan-out.
    (Top, "revocation: {secret: '${SECRET}', fan_out: {}}", "missing", "7:44", "revocation.fan_out", "redis: {url:"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {}}}", "missing", "7:52", "revocation.fan_out.redis", "rediss://redis.internal:6379"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'http://a'}}}", "redis_url", "7:58", "revocation.fan_out.redis.url", "redis://HOST:PORT/DB"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis:///0'}}}", "redis_url", "7:58", "revocation.fan_out.redis.url", "redis://HOST:PORT/DB"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://a/x'}}}", "redis_url", "7:58", "revocation.fan_out.redis.url", "redis://HOST:PORT/DB"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://a/1/2'}}}", "redis_url", "7:58", "revocation.fan_out.redis.url", "redis://HOST:PORT/DB"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'rediss://a/#insecure'}}}", "redis_url", "7:58", "revocation.fan_out.redis.url", "redis://HOST:PORT/DB"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://a?protocol=resp3'}}}", "redis_url", "7:58", "revocation.fan_out.redis.url", "redis://HOST:PORT/DB"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'a:6379'}}}", "redis_url", "7:58", "revocation.fan_out.redis.url", "redis://HOST:PORT/DB"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://127.0.0.1'}, max_lag: 500ms}}", "out_of_range", "7:89", "revocation.fan_out.max_lag", "5m"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://127.0.0.1'}, max_len: 10}}", "out_of_range", "7:89", "revocation.fan_out.max_len", "100"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://127.0.0.1'}, mode: always}}", "choice", "7:86", "revocation.fan_out.mode", "`required`"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://127.0.0.1', password: '${SHORT}', password_file: secret}}}", "password_twice", "7:116", "revocation.fan_out.redis.password_file", "keep one"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://:x@127.0.0.1', password: '${SHORT}'}}}", "password_twice", "7:92", "revocation.fan_out.redis.password", "the one in `url`"),
    (Top, "revocation: {secret: '${SECRET}', fan_out: {redis: {url: 'redis://127.0.0.1', ca_file: ca.pem}}}", "redis_ca_unused", "7:88", "revocation.fan_out.redis.ca_file", "rediss://"),
    (Rule, "path: /a\n    allow: authenticated\n    revocations: required", "revocations_alone", "7:18", "rules[0].revocations", "`revocation.fan_out`"),
    (Rule, "path: /a\n    allow: anyone\n    revocations: best_effort", "revocations_for_anyone", "7:18", "rules[0].revocations", "never looks at a token"),
    // Keys.
    (Top, "rule: []", "unknown_key", "7:1", "rule", "did you mean `rules`?"),
    (Top, "frobnicate: 1", "unknown_key", "7:1", "frobnicate", "the keys here are `listen`, `issuers`"),
    (Top, "realm: a\nrealm: b", "duplicate_key", "8:1", "realm", "already on line 7"),
    (Issuer, "audience: [x]", "unknown_key", "4:5", "issuers[0].audience", "did you mean `audiences`?"),
    (Issuer, "jwks_uri: https://x/", "unknown_key", "4:5", "issuers[0].jwks_uri", "did you mean `jwks_url`?"),
    (Issuer, "leeway: 5s", "unknown_key", "4:5", "issuers[0].leeway", "did you mean `clock_skew`?"),
    (Issuer, "refresh: {max_age: 5m}", "unknown_key", "4:15", "issuers[0].refresh.max_age", "`min_lifetime`, `max_lifetime`"),
    (Top, "token: {form: [authorization]}", "unknown_key", "7:9", "token.form", "did you mean `from`?"),
    (Rule, "{path: /a, alow: anyone}", "unknown_key", "5:16", "rules[0].alow", "did you mean `allow`?"),
    (Rule, "{path: /a, require: {role: [a]}}", "unknown_key", "5:26", "rules[0].require.role", "did you mean `roles`?"),
    (File, "issuers:\n  - issuer: https://a.example\n    audiences: [a]\n", "missing", "1:1", "", "`rules` is missing"),
    // Shapes.
    (Top, "deadline: 2", "duration", "7:11", "deadline", "did you mean `2s`?"),
    (Top, "deadline: soon", "duration", "7:11", "deadline", "30s, 5m or 24h"),
    (Top, "deadline: 1.5s", "duration", "7:11", "deadline", "`1.5s` is not a duration"),
    (Top, "deadline: 0s", "out_of_range", "7:11", "deadline", "between 10ms and 1m"),
    (Top, "deadline: 5m", "out_of_range", "7:11", "deadline", "gateways stop waiting"),
    (Top, "deadline: \"${JUNK}\"", "duration", "7:11", "deadline", "the text that its variables give"),
    (Top, "deadline:", "no_value", "7:9", "deadline", "or remove the key"),
    (Top, "deadline: [2s]", "wrong_kind", "7:11", "deadline", "found a list"),
    (Top, "forward_token: yes", "wrong_kind", "7:16", "forward_token", "true or false, without quotes"),
    (Top, "forward_token: \"true\"", "wrong_kind", "7:16", "forward_token", "without quotes"),
    (Top, "drain_timeout: 2h", "out_of_range", "7:16", "drain_timeout", "1h"),
    (Top, "realm: \"a\\\"b\"", "realm", "7:8", "realm", "visible ASCII"),
    (Top, "realm: ''", "no_value", "7:8", "realm", ""),
    (Top, "realm: true", "wrong_kind", "7:8", "realm", "expected text"),
    (Top, "on_unavailable: alow", "choice", "7:17", "on_unavailable", "`deny`, `gateway`"),
    (Top, "log: {level: warning}", "choice", "7:14", "log.level", "did you mean `warn`?"),
    (Top, "log: json", "wrong_kind", "7:6", "log", "expected a mapping"),
    (Top, "limits: {connections: many}", "count", "7:23", "limits.connections", "not a whole number"),
    (Top, "limits: {connections: 0}", "out_of_range", "7:23", "limits.connections", "between 1 and"),
    (Top, "limits: {max_header_bytes: 4KiB}", "out_of_range", "7:28", "limits.max_header_bytes", "8192"),
    (Top, "token: {max_size: 16KB}", "size", "7:19", "token.max_size", "16KiB"),
    // Variables.
    (Top, "realm: ${UNSET}", "variable_unset", "7:8", "realm", "no variable `UNSET`: set it, or write ${UNSET:-default}"),
    (Top, "realm: a${UNSET", "variable_unclosed", "7:8", "realm", "write ${NAME}, or $${ for a `${` that stays"),
    (Top, "realm: ${1}", "variable_name", "7:8", "realm", "not the name of a variable"),
    // Listeners.
    (Top, "listen: {grpc: \"localhost:9191\"}", "address", "7:16", "listen.grpc", "did you mean `127.0.0.1:9191`?"),
    (Top, "listen: {grpc: ':9191'}", "address", "7:16", "listen.grpc", "did you mean `127.0.0.1:9191`?"),
    (Top, "listen: {grpc: '::1:9191'}", "address", "7:16", "listen.grpc", "did you mean `[::1]:9191`?"),
    (Top, "listen: {grpc: 9191}", "address", "7:16", "listen.grpc", "did you mean `127.0.0.1:9191`?"),
    (Top, "listen: {grpc: nowhere}", "address", "7:16", "listen.grpc", "`unix:/path/to.sock` or `off`"),
    (Top, "listen: {grpc: 'unix:relative'}", "socket_path", "7:16", "listen.grpc", "absolute path"),
    (Top, "listen: {grpc: {unix: /a, mode: 9999}}", "mode", "7:33", "listen.grpc.mode", "octal"),
    (Top, "listen: {grpc: {mode: \"0660\"}}", "missing", "7:16", "listen.grpc", "{unix: /path/to.sock}"),
    (Top, "listen: {grpc: {address: '127.0.0.1:1', unix: /a}}", "address_twice", "7:47", "listen.grpc.unix", "keep one"),
    (Top, "listen: {grpc: {address: '127.0.0.1:1', owner: root}}", "unix_only", "7:48", "listen.grpc.owner", "`owner`"),
    (Top, "listen: {grpc: {address: off}}", "address", "7:26", "listen.grpc.address", "not an address"),
    (Top, "listen: {grpc: {address: '127.0.0.1:1', tls: {key_file: k}}}", "missing", "7:46", "listen.grpc.tls", "`cert_file` is missing"),
    (Top, "listen: {grpc: {address: '127.0.0.1:1', tls: {cert_file: c}}}", "missing", "7:46", "listen.grpc.tls", "`key_file` is missing"),
    (Top, "listen: {grpc: {address: '127.0.0.1:1', tls: {cert_file: c, key_file: k}}}", "tls_files", "7:46", "listen.grpc.tls", "c: No such file"),
    (Top, "listen: {grpc: {address: '127.0.0.1:1', tls: {cert_file: c, key_file: k, client_identities: [a]}}}", "identities_without_ca", "7:93", "listen.grpc.tls.client_identities", "`client_ca_file`"),
    (Top, "listen: {grpc: '127.0.0.1:1', http: '127.0.0.1:1'}", "listen_twice", "7:37", "listen.http", "`listen.grpc` listens there already"),
    (Top, "listen: {grpc: '0.0.0.0:1', http: '127.0.0.1:1'}", "listen_twice", "7:35", "listen.http", "own address"),
    (Top, "listen: {grpc: 'unix:/a', http: {unix: /a}}", "listen_twice", "7:33", "listen.http", "already"),
    (Top, "listen: {grpc: off, http: off}", "listen_nowhere", "7:9", "listen", "leave one of them on"),
    // Issuers.
    (IssuerAlone, "audiences: [a]", "missing", "2:5", "issuers[0]", "the exact `iss`"),
    (IssuerAlone, "issuer: https://a.example", "audiences_missing", "2:5", "issuers[0]", "`audiences: any`"),
    (IssuerAlone, "{issuer: https://a.example, audiences: []}", "empty_list", "2:44", "issuers[0].audiences", "name at least one"),
    (IssuerAlone, "{issuer: https://a.example, audiences: orders}", "not_a_list", "2:44", "issuers[0].audiences", "put it in brackets"),
    (IssuerAlone, "{issuer: https://a.example, audiences: [any]}", "audience_wildcard", "2:45", "issuers[0].audiences", "without brackets"),
    (Issuer, "jwks: \"${UNSET}\"", "variable_unset", "4:11", "issuers[0].jwks", "`UNSET`"),
    (Issuer, "jwks: {keys: [\"${UNSET}\"]}", "variable_unset", "4:19", "issuers[0].jwks.keys[0]", "`UNSET`"),
    (Issuer, "secret: \"${UNSET}\"", "variable_unset", "4:13", "issuers[0].secret", "`UNSET`"),
    (Top, "token: {from: [\"${UNSET}\"]}", "variable_unset", "7:16", "token.from[0]", "`UNSET`"),
    (Top, "identity: \"${UNSET}\"", "variable_unset", "7:11", "identity", "`UNSET`"),
    (Top, "listen: {grpc: \"${UNSET}\"}", "variable_unset", "7:16", "listen.grpc", "`UNSET`"),
    (Rule, "{path: /a, require: {scopes: ['a b']}}", "scope", "5:35", "rules[0].require.scopes[0]", "several items"),
    (Rule, "{path: /a, methods: ['*'], allow: anyone}", "method", "5:26", "rules[0].methods[0]", "remove `methods`"),
    (Rule, "{path: /a, require: {when: 'claim.x == 1'}}", "expression", "5:32", "rules[0].require.when", "claims"),
    (IssuerAlone, "{issuer: authfort, profile: authfort}", "authfort_keys_missing", "2:14", "issuers[0].issuer", "/.well-known/jwks.json"),
    (IssuerAlone, "{issuer: authfort, profile: authfort, audiences: [a], jwks_url: 'https://a.example/'}", "audiences_useless", "2:54", "issuers[0].audiences", "name no audience"),
    (IssuerAlone, "{issuer: authfort, profile: authfort, token_type: at+jwt, jwks_url: 'https://a.example/'}", "authfort_token_type", "2:55", "issuers[0].token_type", "remove `token_type`"),
    (IssuerAlone, "{issuer: authfort, profile: authfort, secret: \"${SECRET}\"}", "secret_at_authfort", "2:51", "issuers[0].secret", "`jwks_url`"),
    (IssuerAlone, "{issuer: accounts, audiences: [a]}", "discovery_impossible", "2:14", "issuers[0].issuer", "add `jwks_url`"),
    (IssuerAlone, "{issuer: 'http://a.example', audiences: [a]}", "url_insecure", "2:14", "issuers[0].issuer", "`insecure_http: true`"),
    (IssuerAlone, "{issuer: 'https://u:p@a.example', audiences: [a]}", "url_credentials", "2:14", "issuers[0].issuer", "before the `@`"),
    (Issuer, "jwks_url: http://keys.example/", "url_insecure", "4:15", "issuers[0].jwks_url", "https://"),
    (Issuer, "jwks_url: keys.json", "url", "4:15", "issuers[0].jwks_url", "write it in full"),
    (Issuer, "jwks_url: ftp://keys.example/", "url", "4:15", "issuers[0].jwks_url", "is not a URL"),
    (Issuer, "jwks_url: 'https://a.example/#x'", "url_fragment", "4:15", "issuers[0].jwks_url", "fragment"),
    (Issuer, "jwks_url: https://a.example/\n    discovery_url: https://a.example/", "key_sources_several", "5:20", "issuers[0].discovery_url", "`jwks_url` says already"),
    (Issuer, "jwks_file: missing.json", "named_file_unreadable", "4:16", "issuers[0].jwks_file", "No such file"),
    (Issuer, "jwks: {keys: []}", "jwks", "4:11", "issuers[0].jwks", "it holds no keys"),
    (Issuer, "jwks: '{'", "jwks", "4:11", "issuers[0].jwks", ""),
    (Issuer, "jwks: [1]", "wrong_kind", "4:11", "issuers[0].jwks", "the key `keys`"),
    (Issuer, "jwks: {keys: [{kty: RSA, n: AQAB, e: AQAB}]}", "jwks", "4:11", "issuers[0].jwks", "none of its keys can be used"),
    (Issuer, "algorithms: [RS265]", "algorithm_unknown", "4:18", "issuers[0].algorithms[0]", "did you mean `RS256`?"),
    (Issuer, "algorithms: [RS256, none]", "algorithm_none", "4:25", "issuers[0].algorithms[1]", "everybody write tokens"),
    (Issuer, "algorithms: [HS256]", "secret_missing", "4:18", "issuers[0].algorithms[0]", "add `secret_file`"),
    (Issuer, "algorithms: RS256", "not_a_list", "4:17", "issuers[0].algorithms", "in brackets"),
    (Issuer, "algorithms: []", "empty_list", "4:17", "issuers[0].algorithms", ""),
    (Issuer, "{algorithms: [RS256], secret: x}", "syntax", "4:5", "", ""),
    (Issuer, "secret: ${SECRET}\n    algorithms: [RS256]", "secret_unused", "5:18", "issuers[0].algorithms[0]", "keep HS256"),
    (Issuer, "secret: ${SECRET}\n    algorithms: [HS384]", "secret_short", "4:13", "issuers[0].secret", "HS384 needs at least 48 bytes"),
    (Issuer, "secret: ${SHORT}", "secret_short", "4:13", "issuers[0].secret", "openssl rand -hex 32"),
    (Issuer, "secret: \"\"", "no_value", "4:13", "issuers[0].secret", ""),
    (Issuer, "secret_file: missing", "named_file_unreadable", "4:18", "issuers[0].secret_file", "cannot be read"),
    (Issuer, "clock_skew: 30", "duration", "4:17", "issuers[0].clock_skew", "did you mean `30s`?"),
    (Issuer, "clock_skew: 301s", "out_of_range", "4:17", "issuers[0].clock_skew", "between 0ms and 5m"),
    (Issuer, "profile: oidc", "choice", "4:14", "issuers[0].profile", "`generic`, `authfort`"),
    (Issuer, "token_type: jwt", "choice", "4:17", "issuers[0].token_type", "`at+jwt`, `any`"),
    (Issuer, "required_claims: ['a..b']", "claim_path", "4:23", "issuers[0].required_claims[0]", "needs a name"),
    (Issuer, "roles_claim: 'https://a.example/roles'", "claim_path", "4:18", "issuers[0].roles_claim", "JSON Pointer"),
    (Issuer, "introspection: {protocol: authfort-me}", "missing", "4:20", "issuers[0].introspection", "`url`"),
    (Issuer, "introspection: {url: x, protocol: authfort-me}", "url", "4:26", "issuers[0].introspection.url", "not a URL"),
    (Issuer, "introspection: {url: 'http://a.example', protocol: authfort-me}", "introspection_insecure", "4:26", "issuers[0].introspection.url", "`insecure_http: true`"),
    (Issuer, "introspection: {url: 'https://u:p@a.example', protocol: authfort-me}", "url_credentials", "4:26", "issuers[0].introspection.url", ""),
    (Issuer, "introspection: {url: 'https://a.example', protocol: authfort}", "missing", "4:20", "issuers[0].introspection", "`secret_file`"),
    (Issuer, "introspection: {url: 'https://a.example', secret: s}", "missing", "4:20", "issuers[0].introspection", "`client_id`"),
    (Issuer, "introspection: {url: 'https://a.example', auth: bearer, secret: s, client_id: c}", "introspection_unused", "4:83", "issuers[0].introspection.client_id", "`bearer`"),
    (Issuer, "introspection: {url: 'https://a.example', protocol: authfort-me, secret: s}", "introspection_unused", "4:78", "issuers[0].introspection.secret", "`authfort-me`"),
    (Issuer, "introspection: {url: 'https://a.example', protocol: authfort, secret: 'a b'}", "introspection_secret", "4:75", "issuers[0].introspection.secret", "`openssl rand -hex 32`"),
    (Issuer, "introspection: {url: 'https://a.example', protocol: authfort-me, cache: 2h}", "out_of_range", "4:77", "issuers[0].introspection.cache", "banned"),
    (Issuer, "introspection: {url: 'https://a.example', protocol: authfort-me, max_concurrent: 0}", "out_of_range", "4:86", "issuers[0].introspection.max_concurrent", ""),
    (Issuer, "introspection: {url: 'https://a.example', protocol: oauth}", "choice", "4:57", "issuers[0].introspection.protocol", "`rfc7662`"),
    (Issuer, "introspection: {url: 'https://a.example', protocol: rfc9701, auth: bearer, secret: s}", "missing", "4:20", "issuers[0].introspection", "`client_id`"),
    (Issuer, "opaque: true\n    introspection: {url: 'https://a.example', protocol: rfc9701, client_id: c, secret: s}", "signed_answers_without_keys", "5:57", "issuers[0].introspection.protocol", "`jwks_url`"),
    (Issuer, "opaque: true", "opaque_alone", "4:13", "issuers[0].opaque", "`rfc7662`"),
    (Issuer, "opaque_prefix: x_", "opaque_prefix_alone", "4:20", "issuers[0].opaque_prefix", "`opaque: true`"),
    (Issuer, "ca_file: missing.pem", "named_file_unreadable", "4:14", "issuers[0].ca_file", ""),
    (Issuer, "timeout: 500ms", "out_of_order", "4:14", "issuers[0].timeout", "`connect_timeout` is longer than `timeout`"),
    (Issuer, "refresh: {min_lifetime: 20m}", "out_of_order", "4:29", "issuers[0].refresh.min_lifetime", "`min_lifetime` is longer than `max_lifetime`"),
    (Top, "keys: {max_lifetime: 30s}", "out_of_order", "7:22", "keys.max_lifetime", "at most as long"),
    (Top, "keys: {max_stale: 5m}", "out_of_order", "7:19", "keys.max_stale", "`max_lifetime` is longer than `max_stale`"),
    (Top, "keys: {min_lifetime: 0s}", "out_of_range", "7:22", "keys.min_lifetime", "on every breath"),
    // Tokens.
    (Top, "token: {from: []}", "empty_list", "7:15", "token.from", ""),
    (Top, "token: {from: [cookie]}", "token_place", "7:16", "token.from[0]", "{cookie: NAME}"),
    (Top, "token: {from: [authorization, authorization]}", "token_place_twice", "7:31", "token.from[1]", "keep one"),
    (Top, "token: {from: [{cookie: 'a b'}]}", "cookie_name", "7:25", "token.from[0].cookie", "RFC 6265"),
    (Top, "token: {from: [{header: Authorization}]}", "token_header", "7:25", "token.from[0].header", "write `authorization`"),
    (Top, "token: {from: [{header: 'x y'}]}", "header_name", "7:25", "token.from[0].header", "RFC 9110"),
    (Top, "token: {from: [{cookei: a}]}", "unknown_key", "7:17", "token.from[0].cookei", "did you mean `cookie`?"),
    // Rules.
    (File, "rules: []", "empty_list", "1:8", "rules", ""),
    (File, "rules:\n", "no_value", "1:6", "rules", "there is no value"),
    (File, "rules:\n  - {path: /a, allow: optional}\n", "issuers_missing", "1:1", "", "add `issuers`"),
    (Rule, "{allow: anyone}", "missing", "5:5", "rules[0]", "`path` is missing"),
    (Rule, "{path: /a}", "rule_silent", "5:5", "rules[0]", "`require`"),
    (Rule, "{path: /a, allow: everyone}", "choice", "5:23", "rules[0].allow", "`anyone`, `optional`, `authenticated`"),
    (Rule, "{path: /a, allow: anyone, require: {roles: [a]}}", "require_for_anyone", "5:40", "rules[0].require", "never looks at a token"),
    (Rule, "{path: /a, allow: optional, require: {roles: [a]}}", "require_for_optional", "5:42", "rules[0].require", "write `allow: authenticated`"),
    (Rule, "{path: /a, require: {}}", "require_empty", "5:25", "rules[0].require", "asks for nothing"),
    (Rule, "{path: /a, require: {claims: {}}}", "require_empty", "5:34", "rules[0].require.claims", ""),
    (Rule, "{path: /a, require: {roles: []}}", "empty_list", "5:33", "rules[0].require.roles", ""),
    (Rule, "{path: /a, require: {claims: {a: [b]}}}", "wrong_kind", "5:38", "rules[0].require.claims.a", "one value"),
    (Rule, "{path: /a, require: {claims: {a..b: c}}}", "claim_path", "5:35", "rules[0].require.claims.a..b", ""),
    (Rule, "{path: /a, require: {claims: {a: 0x1f}}}", "number", "5:38", "rules[0].require.claims.a", "as JSON writes it"),
    (Rule, "{path: /a, require: {when: 'claims.x =='}}", "expression", "5:32", "rules[0].require.when", ""),
    (Rule, "{path: a, allow: anyone}", "path_pattern", "5:12", "rules[0].path", ""),
    (Rule, "{path: /a/**/b, allow: anyone}", "path_pattern", "5:12", "rules[0].path", ""),
    (Rule, "{path: /a, hosts: ['a.*.example'], allow: anyone}", "host_pattern", "5:24", "rules[0].hosts[0]", ""),
    (Rule, "{path: /a, methods: [get], allow: anyone}", "method_case", "5:26", "rules[0].methods[0]", "did you mean `GET`?"),
    (Rule, "{path: /a, methods: ['G T'], allow: anyone}", "method", "5:26", "rules[0].methods[0]", ""),
    (Rule, "{path: /a, allow: authenticated, introspect: true}", "introspect_nowhere", "5:50", "rules[0].introspect", "add it to an issuer"),
    (Rule, "{path: /a, allow: anyone, introspect: true}", "introspect_for_anyone", "5:43", "rules[0].introspect", ""),
    (Rule, "{path: /a, allow: authenticated, on_outage: {last_known: 60s}}", "introspect_nowhere", "5:62", "rules[0].on_outage.last_known", ""),
    (Rule, "{path: /a, allow: authenticated, on_outage: allow}", "choice", "5:49", "rules[0].on_outage", "`unavailable`"),
    // Identity.
    (Top, "identity: [X-User]", "wrong_kind", "7:11", "identity", "expected a mapping"),
    (Top, "identity: {X User: sub}", "header_name", "7:12", "identity.X User", "RFC 9110"),
    (Top, "identity: {Cookie: sub}", "header_refused", "7:12", "identity.Cookie", "credentials"),
    (Top, "identity: {X_User: sub}", "header_refused", "7:12", "identity.X_User", "use hyphens"),
    (Top, "identity: {X-Forwarded-For: sub}", "header_refused", "7:12", "identity.X-Forwarded-For", "X-Auth-User"),
    (Top, "identity: {X-User: sub, x-user: email}", "header_twice", "7:25", "identity.x-user", "already on line 7"),
    (Top, "identity: {X-User: ''}", "no_value", "7:20", "identity.X-User", ""),
    (Top, "identity: {X-User: 'a..b'}", "claim_path", "7:20", "identity.X-User", ""),
    (Top, "token: {from: [{header: X-Jwt}]}\nidentity: {x-jwt: sub}", "header_is_token", "8:12", "identity.x-jwt", "rename one"),
    (Top, "identity_values: {non_ascii: base64}", "choice", "7:30", "identity_values.non_ascii", "`percent`, `utf8`, `deny`"),
    (Top, "identity_values: {max_length: 0}", "out_of_range", "7:31", "identity_values.max_length", ""),
];

#[test]
fn each_fault_is_said_once_where_it_stands() {
    let mut failures = Vec::new();
    for (put, text, code, place, path, part) in ROWS {
        let whole = put.around(text);
        let found: Vec<_> = match parse(&whole) {
            Ok(_) => vec!["accepted".to_owned()],
            Err(errors) => errors
                .problems()
                .iter()
                .map(|problem| {
                    let at = &problem.place;
                    let says = if problem.fault.to_string().contains(part) {
                        ""
                    } else {
                        " without the advice"
                    };
                    format!(
                        "{} {}:{} ({}){says}: {}",
                        problem.fault.code(),
                        at.line,
                        at.column,
                        at.path,
                        problem.fault
                    )
                })
                .collect(),
        };
        let expected = format!("{code} {place} ({path}): ");
        if found.len() != 1 || !found[0].starts_with(&expected) {
            failures.push(format!(
                "{text}\n  expected {expected}{part}\n  found    {}",
                found.join("\n           ")
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_table_is_not_thinned() {
    assert!(ROWS.len() >= 60, "{}", ROWS.len());
}

#[test]
fn no_message_shows_a_secret_or_what_a_variable_holds() {
    for text in [
        "issuers:\n  - {issuer: x, secret: canary-inline, audience: y}\nrules: 1\n",
        "issuers:\n  - issuer: x\n    secret: canary-inline\n",
        "issuers:\n  - issuer: x\n    secret: |\n      canary-inline\n      canary\n    rulez: 1\n",
        "issuers:\n  - {issuer: x, secret: [canary-inline]}\n",
        "issuers:\n  - {issuer: x, secret: {canary-inline: 1}}\n",
        "issuers:\n  - {issuer: x, secret: \"canary-inline\" oops}\n",
        "issuers:\n  - {issuer: x, jwks: {keys: [{kty: oct, k: canary}]}}\n",
        "revocation: {fan_out: {redis: {url: 'redis://127.0.0.1', password: canary, ca_file: x}}}\n",
        "revocation: {fan_out: {redis: {url: 'redis://a:ca/nary@b', x: 1}}}\nrules: 1\n",
        "revocation: {fan_out: {redis: {url: 'redis://a:canary@b', ca_file: x}}}\n",
        "issuers:\n  - {issuer: x, jwks: '{\"keys\":[{\"kty\":\"oct\",\"k\":\"canary\"}]}'}\n",
        "realm: \"${JUNK}\\u0001\"\n",
        "deadline: ${JUNK}\nlisten: {grpc: \"${JUNK}\"}\nlog: {level: \"${JUNK}\"}\n",
        "rules:\n  - path: ${JUNK}\n    allow: ${JUNK}\n    methods: [\"${JUNK}\"]\n    hosts: [\"${JUNK}\"]\n    require: {when: \"${JUNK}\"}\n",
        "issuers:\n  - issuer: ${JUNK}\n    jwks_url: ${JUNK}\n    algorithms: [\"${JUNK}\"]\n    roles_claim: \"${JUNK}..\"\n",
        "token: {from: [\"${JUNK}\", {cookie: \"${JUNK}\"}, {header: \"${JUNK}\"}]}\n",
        "issuers:\n  - {issuer: x, audiences: [a], jwks_file: \"${JUNK}\"}\n",
    ] {
        let errors = bad(text);
        let shown = format!(
            "{errors}\n{errors:?}\n{}",
            errors
                .warnings()
                .iter()
                .map(ToString::to_string)
                .collect::<String>()
        );
        assert!(!shown.contains("canary"), "{text}\n{shown}");
    }
}
