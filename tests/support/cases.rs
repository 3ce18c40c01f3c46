//! The table: what each request gets, at `decide`, at every door and through every gateway.

use Expect::{Allow, Deny, Unavailable};

/// One row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// What it is about; unique.
    pub name: &'static str,
    /// The method that the client sends.
    pub method: &'static str,
    /// The request target as the client writes it on the wire: raw path and query.
    pub target: &'static str,
    /// The `Host` that the client sends.
    pub host: &'static str,
    /// Further header fields; `{name}` in a value stands for the token that `tokens::mint` makes under that name.
    pub headers: &'static [(&'static str, &'static str)],
    /// What the decision is.
    pub expect: Expect,
    /// Where a gateway gives its client something else than the wire table says, and why.
    pub except: &'static [(Gateway, Outcome)],
}

/// A row's decision.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    /// Allowed; the upstream sees exactly these identity headers (the others absent or empty).
    Allow(&'static [(&'static str, &'static str)]),
    /// Denied with this reason code.
    Deny(&'static str),
    /// Unavailable with this reason code.
    Unavailable(&'static str),
}

/// A gateway that the rows run through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// Envoy, ext_authz over gRPC.
    EnvoyGrpc,
    /// Envoy, ext_authz over HTTP.
    EnvoyHttp,
    /// nginx, `auth_request`.
    Nginx,
    /// Traefik, forwardAuth.
    Traefik,
    /// Caddy, forward_auth.
    Caddy,
    /// HAProxy, Lua.
    Haproxy,
    /// Apache httpd, Lua.
    Apache,
}

/// What the client of a gateway gets where it is not what the wire table says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// The request reaches the upstream, with these identity headers.
    Allow(&'static [(&'static str, &'static str)], &'static str),
    /// The client gets this status and nothing reaches the upstream; the reason why.
    Status(u16, &'static str),
    /// The row cannot be sent through this gateway; the reason why.
    NotSendable(&'static str),
}

/// The identity of the tokens whose subject is `u-1`, with e-mail address and roles.
const USER: Expect = Allow(ANN);

/// The user's identity headers.
const ANN: &[(&str, &str)] = &[
    ("x-auth-user", "u-1"),
    ("x-auth-email", "ann@example.com"),
    ("x-auth-roles", "reader,editor"),
];

/// The identity of the administrator's tokens.
const ADMIN: Expect = Allow(&[
    ("x-auth-user", "u-2"),
    ("x-auth-email", "bob@example.com"),
    ("x-auth-roles", "admin"),
]);

/// Allowed without identity.
const NOBODY: Expect = Allow(&[]);

const NGINX_REFUSES: &[(Gateway, Outcome)] = &[(
    Gateway::Nginx,
    Outcome::Status(400, "nginx refuses it before it asks"),
)];

const NUL_REFUSED: &[(Gateway, Outcome)] = &[
    NGINX_REFUSES[0],
    (
        Gateway::Apache,
        Outcome::Status(404, "Apache refuses it before it asks"),
    ),
];

const RESOLVED_TO_OPEN: &[(Gateway, Outcome)] = &[
    (Gateway::EnvoyGrpc, Outcome::Allow(&[], RESOLVED)),
    (Gateway::EnvoyHttp, Outcome::Allow(&[], RESOLVED)),
    (Gateway::Traefik, Outcome::Allow(&[], RESOLVED)),
];

const RESOLVED_TO_GUARDED: &[(Gateway, Outcome)] = &[
    (Gateway::EnvoyGrpc, Outcome::Status(401, RESOLVED)),
    (Gateway::EnvoyHttp, Outcome::Status(401, RESOLVED)),
    (Gateway::Traefik, Outcome::Status(401, RESOLVED)),
];

const RESOLVED_BY_ENVOY: &[(Gateway, Outcome)] = &[
    (Gateway::EnvoyGrpc, Outcome::Status(401, RESOLVED)),
    (Gateway::EnvoyHttp, Outcome::Status(401, RESOLVED)),
];

/// Why a path that can be read in two ways has one at some gateways.
const RESOLVED: &str =
    "the gateway resolves the path first: Gatefort and the upstream get the same one";

const LOOK_ALIKE_OF_USER: &[(Gateway, Outcome)] = &look_alike(ANN);

const LOOK_ALIKE_OF_NOBODY: &[(Gateway, Outcome)] = &look_alike(&[]);

const HOP_BY_HOP: &[(Gateway, Outcome)] = &[
    (Gateway::EnvoyGrpc, Outcome::Allow(ANN, HARMLESS)),
    (Gateway::EnvoyHttp, Outcome::Allow(ANN, HARMLESS)),
    (Gateway::Nginx, Outcome::Allow(ANN, HARMLESS)),
    (Gateway::Traefik, Outcome::Allow(ANN, HARMLESS)),
];

/// Why a client's `Connection` does no harm at some gateways.
const HARMLESS: &str = "the gateway drops the client's Connection before identity is set";

/// A look-alike of an identity header is gone before any gateway of `deploy/` asks.
const fn look_alike(identity: &'static [(&'static str, &'static str)]) -> [(Gateway, Outcome); 7] {
    let removed = Outcome::Allow(identity, "deploy/ removes look-alikes");
    [
        (Gateway::EnvoyGrpc, removed),
        (Gateway::EnvoyHttp, removed),
        (Gateway::Nginx, removed),
        (Gateway::Traefik, removed),
        (Gateway::Caddy, removed),
        (Gateway::Haproxy, removed),
        (Gateway::Apache, removed),
    ]
}

/// Every row, one a line so that the table reads as a table.
#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    // Rules: who needs a token at all.
    case("anyone_without_token", "GET", "/health", &[], NOBODY),
    case("anyone_ignores_a_good_token", "GET", "/health", &[("authorization", "Bearer {user}")], NOBODY),
    case("anyone_ignores_a_stale_token", "GET", "/login/form", &[("authorization", "Bearer {expired}")], NOBODY),
    case("anyone_ignores_two_tokens", "GET", "/login/form", &[("authorization", "Bearer {user}"), ("cookie", "access_token={user}")], NOBODY),
    case("anyone_preflight", "OPTIONS", "/admin/users", &[], NOBODY),
    case("authenticated_without_token", "GET", "/app/x", &[], Deny("token_missing")),
    case("authenticated_with_token", "GET", "/app/x", &[("authorization", "Bearer {user}")], USER),
    case("authenticated_post", "POST", "/app/x", &[("authorization", "Bearer {user}")], USER),
    case("authenticated_delete", "DELETE", "/app/x", &[("authorization", "Bearer {user}")], USER),
    case("authenticated_patch", "PATCH", "/app/x", &[("authorization", "Bearer {user}")], USER),
    case("authenticated_head", "HEAD", "/app/x", &[("authorization", "Bearer {user}")], USER),
    case("head_without_token", "HEAD", "/app/x", &[], Deny("token_missing")),
    case("authenticated_unknown_method", "PROPFIND", "/app/x", &[("authorization", "Bearer {user}")], USER),
    case("authenticated_query_is_not_matched", "GET", "/app/x?/health", &[("authorization", "Bearer {user}")], USER),
    case("query_cannot_reach_an_open_rule", "GET", "/app/x?/health", &[], Deny("token_missing")),
    case("query_cannot_choose_a_policy", "GET", "/app/x?rule=anyone&policy=public&allow=anyone", &[], Deny("token_missing")),
    case("optional_without_token", "GET", "/catalog/1", &[], NOBODY),
    case("optional_with_token", "GET", "/catalog/1", &[("authorization", "Bearer {user}")], USER),
    case("optional_with_expired_token", "GET", "/catalog/1", &[("authorization", "Bearer {expired}")], Deny("token_expired")),
    case("optional_with_junk_token", "GET", "/catalog/1", &[("authorization", "Bearer {junk}")], Deny("token_malformed")),
    case("optional_with_unknown_issuer", "GET", "/catalog/1", &[("authorization", "Bearer {iss_unknown}")], Deny("issuer_unknown")),
    case("no_rule", "GET", "/elsewhere", &[("authorization", "Bearer {admin}")], Deny("rule_none")),
    case("no_rule_without_token", "GET", "/elsewhere", &[], Deny("rule_none")),
    case("sibling_of_a_prefix", "GET", "/healthz", &[], Deny("rule_none")),
    case("below_an_exact_path", "GET", "/health/deep", &[], Deny("rule_none")),
    case("trailing_slash_is_another_path", "GET", "/health/", &[], Deny("rule_none")),
    case("path_is_case_sensitive", "GET", "/HEALTH", &[], Deny("rule_none")),
    case("root_of_a_subtree", "GET", "/app", &[("authorization", "Bearer {user}")], USER),
    case("one_segment_wildcard", "GET", "/items/7/detail", &[("authorization", "Bearer {user}")], USER),
    case("one_segment_wildcard_is_one", "GET", "/items/7/8/detail", &[("authorization", "Bearer {user}")], Deny("rule_none")),
    case("method_of_a_rule", "POST", "/items/7/detail", &[("authorization", "Bearer {user}")], Deny("rule_none")),
    // Rules: hosts.
    case("host_rule_denies", "GET", "/app/x", &[("authorization", "Bearer {user}")], Deny("roles_missing")).host("secret.example.com"),
    case("host_rule_admits", "GET", "/app/x", &[("authorization", "Bearer {admin}")], ADMIN).host("secret.example.com"),
    case("host_case_does_not_matter", "GET", "/app/x", &[("authorization", "Bearer {user}")], Deny("roles_missing")).host("SECRET.Example.COM"),
    case("host_port_does_not_matter", "GET", "/app/x", &[("authorization", "Bearer {user}")], Deny("roles_missing")).host("secret.example.com:8443"),
    case("host_trailing_dot_does_not_matter", "GET", "/app/x", &[("authorization", "Bearer {user}")], Deny("roles_missing")).host("secret.example.com."),
    case("host_wildcard", "GET", "/inner/x", &[("authorization", "Bearer {user}")], USER).host("a.internal.example.com"),
    case("host_wildcard_deep", "GET", "/inner/x", &[("authorization", "Bearer {user}")], USER).host("a.b.internal.example.com"),
    case("host_wildcard_needs_a_label", "GET", "/inner/x", &[("authorization", "Bearer {user}")], Deny("rule_none")).host("internal.example.com"),
    case("host_wildcard_is_a_suffix_of_labels", "GET", "/inner/x", &[("authorization", "Bearer {user}")], Deny("rule_none")).host("evilinternal.example.com"),
    // Rules: rights.
    case("roles_any_of", "GET", "/admin/users", &[("authorization", "Bearer {admin}")], ADMIN),
    case("roles_missing", "GET", "/admin/users", &[("authorization", "Bearer {user}")], Deny("roles_missing")),
    case("roles_no_substring", "GET", "/admin/users", &[("authorization", "Bearer {role_substring}")], Deny("roles_missing")),
    case("roles_case_matters", "GET", "/admin/users", &[("authorization", "Bearer {role_case}")], Deny("roles_missing")),
    case("scopes_all_of", "GET", "/scoped/x", &[("authorization", "Bearer {scoped}")], Allow(&[("x-auth-user", "u-1")])),
    case("scopes_scp_array", "GET", "/scoped/x", &[("authorization", "Bearer {scoped_scp_array}")], Allow(&[("x-auth-user", "u-1")])),
    case("scopes_scp_string", "GET", "/scoped/x", &[("authorization", "Bearer {scoped_scp_string}")], Allow(&[("x-auth-user", "u-1")])),
    case("scopes_partial", "GET", "/scoped/x", &[("authorization", "Bearer {scoped_partial}")], Deny("scopes_missing")),
    case("scopes_no_prefix", "GET", "/scoped/x", &[("authorization", "Bearer {scoped_prefix}")], Deny("scopes_missing")),
    case("scopes_none", "GET", "/scoped/x", &[("authorization", "Bearer {user}")], Deny("scopes_missing")),
    case("claim_equal", "GET", "/tenant/x", &[("authorization", "Bearer {tenant}")], Allow(&[("x-auth-user", "u-1")])),
    case("claim_in_array", "GET", "/tenant/x", &[("authorization", "Bearer {tenant_array}")], Allow(&[("x-auth-user", "u-1")])),
    case("claim_other_value", "GET", "/tenant/x", &[("authorization", "Bearer {tenant_wrong}")], Deny("claims_mismatch")),
    case("claim_absent", "GET", "/tenant/x", &[("authorization", "Bearer {user}")], Deny("claims_mismatch")),
    case("claim_nested", "GET", "/groups/x", &[("authorization", "Bearer {groups}")], Allow(&[("x-auth-user", "u-1")])),
    case("claim_dotted_name_is_not_nested", "GET", "/groups/x", &[("authorization", "Bearer {groups_dotted}")], Deny("claims_mismatch")),
    case("condition_true", "GET", "/mfa/x", &[("authorization", "Bearer {mfa}")], Allow(&[("x-auth-user", "u-1")])),
    case("condition_false", "GET", "/mfa/x", &[("authorization", "Bearer {mfa_false}")], Deny("condition_false")),
    case("condition_on_absent_claim", "GET", "/mfa/x", &[("authorization", "Bearer {user}")], Deny("condition_error")),
    case("condition_error", "GET", "/cel-error/x", &[("authorization", "Bearer {user}")], Deny("condition_error")),
    case("condition_on_request", "GET", "/cel-request/a/open", &[("authorization", "Bearer {user}")], USER),
    case("condition_on_request_false", "GET", "/cel-request/a/closed", &[("authorization", "Bearer {user}")], Deny("condition_false")),
    // Algorithms.
    case("algorithm_rs256", "GET", "/app/x", &[("authorization", "Bearer {rs256}")], USER),
    case("algorithm_rs384", "GET", "/app/x", &[("authorization", "Bearer {rs384}")], USER),
    case("algorithm_rs512", "GET", "/app/x", &[("authorization", "Bearer {rs512}")], USER),
    case("algorithm_ps256", "GET", "/app/x", &[("authorization", "Bearer {ps256}")], USER),
    case("algorithm_ps384", "GET", "/app/x", &[("authorization", "Bearer {ps384}")], USER),
    case("algorithm_ps512", "GET", "/app/x", &[("authorization", "Bearer {ps512}")], USER),
    case("algorithm_es256", "GET", "/app/x", &[("authorization", "Bearer {es256}")], USER),
    case("algorithm_es384", "GET", "/app/x", &[("authorization", "Bearer {es384}")], USER),
    case("algorithm_es512", "GET", "/app/x", &[("authorization", "Bearer {es512}")], USER),
    case("algorithm_es256k", "GET", "/app/x", &[("authorization", "Bearer {es256k}")], USER),
    case("algorithm_eddsa", "GET", "/app/x", &[("authorization", "Bearer {eddsa}")], USER),
    case("algorithm_ed25519", "GET", "/app/x", &[("authorization", "Bearer {ed25519}")], USER),
    case("algorithm_hs256_with_secret", "GET", "/app/x", &[("authorization", "Bearer {hs256}")], USER),
    case("algorithm_hs512_not_allowed", "GET", "/app/x", &[("authorization", "Bearer {hs512}")], Deny("algorithm_forbidden")),
    case("hmac_over_the_public_key", "GET", "/app/x", &[("authorization", "Bearer {hs256_public_key}")], Deny("algorithm_forbidden")),
    case("alg_none", "GET", "/app/x", &[("authorization", "Bearer {alg_none}")], Deny("algorithm_forbidden")),
    case("alg_none_in_odd_case", "GET", "/app/x", &[("authorization", "Bearer {alg_none_case}")], Deny("algorithm_forbidden")),
    case("alg_none_without_signature", "GET", "/app/x", &[("authorization", "Bearer {alg_none_unsigned}")], Deny("token_malformed")),
    case("alg_unknown", "GET", "/app/x", &[("authorization", "Bearer {alg_unknown}")], Deny("algorithm_forbidden")),
    case("alg_not_of_the_issuer", "GET", "/app/x", &[("authorization", "Bearer {es256_at_rs_only}")], Deny("algorithm_forbidden")),
    case("alg_not_of_the_key", "GET", "/app/x", &[("authorization", "Bearer {ps256_by_rs256_key}")], Deny("key_unsuitable")),
    case("alg_of_another_curve", "GET", "/app/x", &[("authorization", "Bearer {es384_by_es256_key}")], Deny("key_unsuitable")),
    // Signatures and keys.
    case("signature_flipped", "GET", "/app/x", &[("authorization", "Bearer {signature_flipped}")], Deny("signature_invalid")),
    case("signature_of_zeros", "GET", "/app/x", &[("authorization", "Bearer {signature_zeros}")], Deny("signature_invalid")),
    case("signature_der", "GET", "/app/x", &[("authorization", "Bearer {signature_der}")], Deny("signature_invalid")),
    case("payload_swapped", "GET", "/app/x", &[("authorization", "Bearer {payload_swapped}")], Deny("signature_invalid")),
    case("header_swapped", "GET", "/app/x", &[("authorization", "Bearer {header_swapped}")], Deny("signature_invalid")),
    case("key_of_another_issuer", "GET", "/app/x", &[("authorization", "Bearer {cross_issuer}")], Deny("signature_invalid")),
    case("kid_unknown", "GET", "/app/x", &[("authorization", "Bearer {kid_unknown}")], Deny("kid_unknown")),
    case("kid_missing_tries_fitting_keys", "GET", "/app/x", &[("authorization", "Bearer {kid_missing}")], USER),
    case("kid_with_a_path", "GET", "/app/x", &[("authorization", "Bearer {kid_path}")], Deny("kid_unknown")),
    case("kid_with_control_characters", "GET", "/app/x", &[("authorization", "Bearer {kid_control}")], Deny("token_malformed")),
    case("kid_not_a_string", "GET", "/app/x", &[("authorization", "Bearer {kid_number}")], Deny("token_malformed")),
    case("kid_too_long", "GET", "/app/x", &[("authorization", "Bearer {kid_long}")], Deny("token_malformed")),
    case("embedded_jwk_is_ignored", "GET", "/app/x", &[("authorization", "Bearer {embedded_jwk}")], Deny("signature_invalid")),
    case("jku_is_ignored", "GET", "/app/x", &[("authorization", "Bearer {jku}")], Deny("signature_invalid")),
    case("key_use_enc", "GET", "/app/x", &[("authorization", "Bearer {key_enc}")], Deny("key_unsuitable")),
    case("key_rsa_1024", "GET", "/app/x", &[("authorization", "Bearer {key_rsa1024}")], Deny("key_unsuitable")),
    // Syntax.
    case("token_junk", "GET", "/app/x", &[("authorization", "Bearer {junk}")], Deny("token_malformed")),
    case("token_two_parts", "GET", "/app/x", &[("authorization", "Bearer {two_parts}")], Deny("token_malformed")),
    case("token_four_parts", "GET", "/app/x", &[("authorization", "Bearer {four_parts}")], Deny("token_malformed")),
    case("token_jwe", "GET", "/app/x", &[("authorization", "Bearer {jwe}")], Deny("token_encrypted")),
    case("token_empty_signature", "GET", "/app/x", &[("authorization", "Bearer {signature_empty}")], Deny("token_malformed")),
    case("token_padded", "GET", "/app/x", &[("authorization", "Bearer {padded}")], Deny("token_malformed")),
    case("token_standard_alphabet", "GET", "/app/x", &[("authorization", "Bearer {std_alphabet}")], Deny("token_malformed")),
    case("token_unused_bits", "GET", "/app/x", &[("authorization", "Bearer {unused_bits}")], Deny("token_malformed")),
    case("token_payload_array", "GET", "/app/x", &[("authorization", "Bearer {payload_array}")], Deny("token_malformed")),
    case("token_payload_text", "GET", "/app/x", &[("authorization", "Bearer {payload_text}")], Deny("token_malformed")),
    case("token_payload_invalid_utf8", "GET", "/app/x", &[("authorization", "Bearer {invalid_utf8}")], Deny("token_malformed")),
    case("token_payload_bom", "GET", "/app/x", &[("authorization", "Bearer {bom}")], Deny("token_malformed")),
    case("token_payload_deep", "GET", "/app/x", &[("authorization", "Bearer {deep}")], Deny("token_malformed")),
    case("token_duplicate_claim", "GET", "/app/x", &[("authorization", "Bearer {dup_claim}")], Deny("token_malformed")),
    case("token_duplicate_claim_escaped", "GET", "/app/x", &[("authorization", "Bearer {dup_escaped}")], Deny("token_malformed")),
    case("token_duplicate_nested", "GET", "/app/x", &[("authorization", "Bearer {dup_nested}")], Deny("token_malformed")),
    case("token_duplicate_header", "GET", "/app/x", &[("authorization", "Bearer {dup_header}")], Deny("token_malformed")),
    case("token_crit_unknown", "GET", "/app/x", &[("authorization", "Bearer {crit_unknown}")], Deny("crit_unsupported")),
    case("token_crit_empty", "GET", "/app/x", &[("authorization", "Bearer {crit_empty}")], Deny("crit_unsupported")),
    case("token_crit_b64", "GET", "/app/x", &[("authorization", "Bearer {crit_b64}")], Deny("crit_unsupported")),
    case("token_b64_false", "GET", "/app/x", &[("authorization", "Bearer {b64_false}")], Deny("token_malformed")),
    case("token_zip", "GET", "/app/x", &[("authorization", "Bearer {zip}")], Deny("token_malformed")),
    case("token_too_large", "GET", "/app/x", &[("authorization", "Bearer {oversized}")], Deny("token_too_large")),
    // Claims.
    case("expired", "GET", "/app/x", &[("authorization", "Bearer {expired}")], Deny("token_expired")),
    case("expired_within_skew", "GET", "/app/x", &[("authorization", "Bearer {expired_within_skew}")], USER),
    case("exp_missing", "GET", "/app/x", &[("authorization", "Bearer {exp_missing}")], Deny("claim_missing")),
    case("exp_null", "GET", "/app/x", &[("authorization", "Bearer {exp_null}")], Deny("claim_missing")),
    case("exp_string", "GET", "/app/x", &[("authorization", "Bearer {exp_string}")], Deny("claim_invalid")),
    case("exp_bool", "GET", "/app/x", &[("authorization", "Bearer {exp_bool}")], Deny("claim_invalid")),
    case("exp_negative", "GET", "/app/x", &[("authorization", "Bearer {exp_negative}")], Deny("claim_invalid")),
    case("exp_fraction", "GET", "/app/x", &[("authorization", "Bearer {exp_float}")], USER),
    case("nbf_ahead", "GET", "/app/x", &[("authorization", "Bearer {nbf_future}")], Deny("token_not_yet_valid")),
    case("nbf_within_skew", "GET", "/app/x", &[("authorization", "Bearer {nbf_within_skew}")], USER),
    case("nbf_string", "GET", "/app/x", &[("authorization", "Bearer {nbf_string}")], Deny("claim_invalid")),
    case("iat_ahead", "GET", "/app/x", &[("authorization", "Bearer {iat_future}")], Deny("token_from_future")),
    case("iat_within_skew", "GET", "/app/x", &[("authorization", "Bearer {iat_within_skew}")], USER),
    case("aud_string", "GET", "/app/x", &[("authorization", "Bearer {user}")], USER),
    case("aud_second_configured", "GET", "/app/x", &[("authorization", "Bearer {aud_billing}")], USER),
    case("aud_array", "GET", "/app/x", &[("authorization", "Bearer {aud_array}")], USER),
    case("aud_wrong", "GET", "/app/x", &[("authorization", "Bearer {aud_wrong}")], Deny("audience_mismatch")),
    case("aud_array_wrong", "GET", "/app/x", &[("authorization", "Bearer {aud_array_wrong}")], Deny("audience_mismatch")),
    case("aud_prefix", "GET", "/app/x", &[("authorization", "Bearer {aud_prefix}")], Deny("audience_mismatch")),
    case("aud_missing", "GET", "/app/x", &[("authorization", "Bearer {aud_missing}")], Deny("claim_missing")),
    case("aud_object", "GET", "/app/x", &[("authorization", "Bearer {aud_object}")], Deny("claim_invalid")),
    case("aud_nested_array", "GET", "/app/x", &[("authorization", "Bearer {aud_nested}")], Deny("claim_invalid")),
    case("aud_mixed_array", "GET", "/app/x", &[("authorization", "Bearer {aud_mixed}")], Deny("claim_invalid")),
    case("aud_any_said_aloud", "GET", "/app/x", &[("authorization", "Bearer {any_without_aud}")], USER),
    case("iss_unknown", "GET", "/app/x", &[("authorization", "Bearer {iss_unknown}")], Deny("issuer_unknown")),
    case("iss_missing", "GET", "/app/x", &[("authorization", "Bearer {iss_missing}")], Deny("issuer_missing")),
    case("iss_array", "GET", "/app/x", &[("authorization", "Bearer {iss_array}")], Deny("issuer_missing")),
    case("iss_trailing_slash", "GET", "/app/x", &[("authorization", "Bearer {iss_slash}")], Deny("issuer_unknown")),
    case("iss_other_case", "GET", "/app/x", &[("authorization", "Bearer {iss_case}")], Deny("issuer_unknown")),
    case("iss_prefix", "GET", "/app/x", &[("authorization", "Bearer {iss_prefix}")], Deny("issuer_unknown")),
    case("sub_not_a_string", "GET", "/app/x", &[("authorization", "Bearer {sub_number}")], Deny("claim_invalid")),
    case("sub_with_control_characters", "GET", "/app/x", &[("authorization", "Bearer {sub_control}")], Deny("claim_invalid")),
    case("sender_constrained", "GET", "/app/x", &[("authorization", "Bearer {cnf}")], Deny("sender_constrained")),
    // Kinds of token.
    case("typ_at_jwt", "GET", "/app/x", &[("authorization", "Bearer {typ_at_jwt}")], USER),
    case("typ_application_at_jwt", "GET", "/app/x", &[("authorization", "Bearer {typ_application_at_jwt}")], USER),
    case("typ_logout", "GET", "/app/x", &[("authorization", "Bearer {typ_logout}")], Deny("token_type_mismatch")),
    case("typ_dpop", "GET", "/app/x", &[("authorization", "Bearer {typ_dpop}")], Deny("token_type_mismatch")),
    case("typ_secevent", "GET", "/app/x", &[("authorization", "Bearer {typ_secevent}")], Deny("token_type_mismatch")),
    case("events_claim", "GET", "/app/x", &[("authorization", "Bearer {events}")], Deny("token_type_mismatch")),
    case("rfc9068_good", "GET", "/app/x", &[("authorization", "Bearer {at_good}")], USER),
    case("rfc9068_plain_typ", "GET", "/app/x", &[("authorization", "Bearer {at_plain_typ}")], Deny("token_type_mismatch")),
    case("rfc9068_no_typ", "GET", "/app/x", &[("authorization", "Bearer {at_no_typ}")], Deny("token_type_mismatch")),
    case("rfc9068_no_client_id", "GET", "/app/x", &[("authorization", "Bearer {at_no_client}")], Deny("claim_missing")),
    case("authfort_user", "GET", "/app/x", &[("authorization", "Bearer {authfort_user}")], USER),
    case("authfort_admin", "GET", "/admin/x", &[("authorization", "Bearer {authfort_admin}")], ADMIN),
    case("authfort_mfa_challenge", "GET", "/app/x", &[("authorization", "Bearer {authfort_mfa}")], Deny("token_type_mismatch")),
    case("authfort_oauth_state", "GET", "/app/x", &[("authorization", "Bearer {authfort_state}")], Deny("token_type_mismatch")),
    case("authfort_roles_string", "GET", "/admin/x", &[("authorization", "Bearer {authfort_roles_string}")], Deny("claim_invalid")),
    case("authfort_no_email", "GET", "/app/x", &[("authorization", "Bearer {authfort_no_email}")], Deny("claim_missing")),
    case("authfort_ver_string", "GET", "/app/x", &[("authorization", "Bearer {authfort_ver_string}")], Deny("claim_invalid")),
    // An issuer that cannot be asked.
    case("issuer_without_keys", "GET", "/app/x", &[("authorization", "Bearer {blind}")], Unavailable("keys_unavailable")),
    case("issuer_without_keys_optional", "GET", "/catalog/x", &[("authorization", "Bearer {blind}")], Unavailable("keys_unavailable")),
    case("issuer_without_keys_expired", "GET", "/app/x", &[("authorization", "Bearer {blind_expired}")], Deny("token_expired")),
    // Credentials.
    case("scheme_lower_case", "GET", "/app/x", &[("authorization", "bearer {user}")], USER),
    case("scheme_other", "GET", "/app/x", &[("authorization", "Basic dXNlcjpwYXNz")], Deny("token_missing")),
    case("scheme_other_optional", "GET", "/catalog/x", &[("authorization", "Basic dXNlcjpwYXNz")], NOBODY),
    case("bearer_without_token", "GET", "/catalog/x", &[("authorization", "Bearer")], Deny("token_malformed")),
    case("bearer_two_tokens_comma", "GET", "/app/x", &[("authorization", "Bearer {user},Bearer {admin}")], Deny("credentials_several")),
    case("authorization_twice", "GET", "/app/x", &[("authorization", "Bearer {user}"), ("authorization", "Bearer {admin}")], Deny("credentials_several")).except(NGINX_REFUSES),
    case("cookie", "GET", "/app/x", &[("cookie", "theme=dark; access_token={user}; lang=en")], USER),
    case("cookie_of_another_name", "GET", "/app/x", &[("cookie", "access_token2={user}")], Deny("token_missing")),
    case("cookie_twice", "GET", "/app/x", &[("cookie", "access_token={user}; access_token={admin}")], Deny("credentials_several")),
    case("cookie_and_authorization", "GET", "/app/x", &[("authorization", "Bearer {user}"), ("cookie", "access_token={admin}")], Deny("credentials_several")),
    case("token_in_the_query", "GET", "/app/x?access_token={user}", &[], Deny("token_missing")),
    // Spoofed headers.
    case("spoof_identity_on_anyone", "GET", "/health", &[("x-auth-user", "root"), ("X-AUTH-ROLES", "admin")], NOBODY),
    case("spoof_identity_on_optional", "GET", "/catalog/x", &[("x-auth-user", "root"), ("x-auth-email", "root@example.com")], NOBODY),
    case("spoof_identity_on_authenticated", "GET", "/app/x", &[("authorization", "Bearer {user}"), ("x-auth-user", "root"), ("x-auth-roles", "admin")], USER),
    case("spoof_identity_without_value", "GET", "/scoped/x", &[("authorization", "Bearer {scoped}"), ("x-auth-email", "root@example.com"), ("x-auth-roles", "admin")], Allow(&[("x-auth-user", "u-1")])),
    case("spoof_alias_underscore", "GET", "/app/x", &[("authorization", "Bearer {user}"), ("x_auth_user", "root")], Deny("header_alias")).except(LOOK_ALIKE_OF_USER),
    case("spoof_alias_dot", "GET", "/app/x", &[("authorization", "Bearer {user}"), ("x.auth.user", "root")], Deny("header_alias")).except(LOOK_ALIKE_OF_USER),
    case("spoof_alias_mixed", "GET", "/health", &[("x-auth_user", "root")], Deny("header_alias")).except(LOOK_ALIKE_OF_NOBODY),
    case("spoof_hop_by_hop", "GET", "/app/x", &[("authorization", "Bearer {user}"), ("connection", "close, x-auth-user")], Deny("hop_by_hop")).except(HOP_BY_HOP),
    case("spoof_original_uri", "GET", "/admin/x", &[("authorization", "Bearer {user}"), ("x-original-uri", "/health"), ("x-original-url", "http://api.example.com/health"), ("x-rewrite-url", "/health")], Deny("roles_missing")),
    case("spoof_original_method", "GET", "/app/x", &[("x-original-method", "OPTIONS")], Deny("token_missing")),
    case("spoof_forwarded_uri", "GET", "/admin/x", &[("authorization", "Bearer {user}"), ("x-forwarded-uri", "/health")], Deny("roles_missing")),
    case("spoof_forwarded_method", "GET", "/app/x", &[("x-forwarded-method", "OPTIONS")], Deny("token_missing")),
    case("spoof_forwarded_host", "GET", "/app/x", &[("authorization", "Bearer {user}"), ("x-forwarded-host", "other.example.com")], Deny("roles_missing")).host("secret.example.com"),
    case("spoof_forwarded_alias", "GET", "/admin/x", &[("authorization", "Bearer {user}"), ("x_forwarded_uri", "/health")], Deny("roles_missing")),
    case("spoof_method_override", "GET", "/app/x", &[("x-http-method-override", "OPTIONS")], Deny("token_missing")),
    case("spoof_envoy_original_path", "GET", "/admin/x", &[("authorization", "Bearer {user}"), ("x-envoy-original-path", "/health")], Deny("roles_missing")),
    case("user_agent_is_no_pass", "GET", "/app/x", &[("user-agent", "kube-probe/1.30")], Deny("token_missing")),
    // Paths that can be read in two ways.
    case("path_dot_dot", "GET", "/health/../admin/x", &[], Deny("path_ambiguous")).except(RESOLVED_TO_GUARDED),
    case("path_dot_dot_encoded", "GET", "/health/%2e%2e/admin/x", &[], Deny("path_ambiguous")).except(RESOLVED_TO_GUARDED),
    case("path_dot_dot_half_encoded", "GET", "/health/.%2E/admin/x", &[], Deny("path_ambiguous")).except(RESOLVED_TO_GUARDED),
    case("path_dot", "GET", "/./health", &[], Deny("path_ambiguous")).except(RESOLVED_TO_OPEN),
    case("path_double_slash", "GET", "//health", &[], Deny("path_ambiguous")).except(RESOLVED_TO_OPEN),
    case("path_double_slash_inside", "GET", "/app//x", &[], Deny("path_ambiguous")).except(RESOLVED_TO_GUARDED),
    case("path_slash_encoded", "GET", "/health%2fadmin", &[], Deny("path_ambiguous")),
    case("path_slash_encoded_upper", "GET", "/health%2Fadmin", &[], Deny("path_ambiguous")),
    case("path_backslash", "GET", "/health\\..\\admin", &[], Deny("path_ambiguous")).except(RESOLVED_BY_ENVOY),
    case("path_backslash_encoded", "GET", "/health%5cadmin", &[], Deny("path_ambiguous")),
    case("path_semicolon", "GET", "/health;x/admin", &[], Deny("path_ambiguous")),
    case("path_semicolon_dots", "GET", "/health/..;/admin/x", &[], Deny("path_ambiguous")).except(RESOLVED_BY_ENVOY),
    case("path_nul_encoded", "GET", "/health%00", &[], Deny("path_ambiguous")).except(NUL_REFUSED),
    case("path_double_encoded", "GET", "/health/%252e%252e/admin/x", &[], Deny("path_ambiguous")),
    case("path_broken_encoding", "GET", "/health%zz", &[], Deny("path_ambiguous")).except(NGINX_REFUSES),
    case("path_cut_encoding", "GET", "/health%4", &[], Deny("path_ambiguous")).except(NGINX_REFUSES),
    case("path_hash_encoded", "GET", "/health%23", &[], Deny("path_ambiguous")),
    case("path_control_encoded", "GET", "/health%0d%0a", &[], Deny("path_ambiguous")),
    case("path_encoded_letter", "GET", "/%68ealth", &[], NOBODY),
    case("path_encoded_letter_of_a_guarded_path", "GET", "/%61dmin/x", &[("authorization", "Bearer {user}")], Deny("roles_missing")),
    case("path_encoded_colon", "GET", "/admin%3Apanel", &[("authorization", "Bearer {user}")], Deny("roles_missing")),
    case("path_encoded_space", "GET", "/app/a%20b", &[("authorization", "Bearer {user}")], USER),
    case("path_non_ascii_encoded", "GET", "/app/caf%c3%a9", &[("authorization", "Bearer {user}")], USER),
    case("path_long", "GET", "/app/@LONG@", &[("authorization", "Bearer {user}")], USER),
    // Hosts that can be read in two ways.
    case("host_with_userinfo", "GET", "/health", &[], Deny("host_invalid")).host("user@secret.example.com"),
    case("host_with_comma", "GET", "/health", &[], Deny("host_invalid")).host("a.example.com,b.example.com"),
    // Identity values.
    case("identity_non_ascii", "GET", "/app/x", &[("authorization", "Bearer {email_utf8}")], Allow(&[("x-auth-user", "u-1"), ("x-auth-email", "%C3%A9va@example.com")])),
    case("identity_percent_is_encoded", "GET", "/app/x", &[("authorization", "Bearer {email_percent}")], Allow(&[("x-auth-user", "u-1"), ("x-auth-email", "%25C3%25A9va@example.com")])),
    case("identity_line_break", "GET", "/app/x", &[("authorization", "Bearer {email_crlf}")], Deny("identity_unsafe")),
    case("identity_nul", "GET", "/app/x", &[("authorization", "Bearer {email_nul}")], Deny("identity_unsafe")),
    case("identity_too_long", "GET", "/app/x", &[("authorization", "Bearer {email_long}")], Deny("identity_unsafe")),
];

const fn case(
    name: &'static str,
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    expect: Expect,
) -> Case {
    Case {
        name,
        method,
        target,
        host: "api.example.com",
        headers,
        expect,
        except: &[],
    }
}

impl Case {
    const fn host(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    const fn except(self, except: &'static [(Gateway, Outcome)]) -> Self {
        Self { except, ..self }
    }
}
