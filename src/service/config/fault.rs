//! What can be wrong with a configuration: a closed list, in the operator's words.
//!
//! A message says what is wrong, then what to write instead. It never quotes what a variable or a secret holds.

use crate::domain::identity::NameRefusal;

use super::findings::{DidYouMean, KeyAdvice, Words, findings};
use super::read::Shown;

findings! {
    /// Why a configuration is not one.
    Fault {
        // The file.
        /// The file cannot be read.
        FileUnreadable {
            /// What the system says.
            reason: String,
        } => "file_unreadable", "the file cannot be read: {reason}";
        /// The file is larger than any configuration is.
        FileTooLarge => "file_too_large", "the file is larger than 16 MiB";
        /// The file holds nothing.
        FileEmpty => "file_empty", "the file is empty: write at least `issuers` and `rules`";
        /// The file is not UTF-8.
        FileNotUtf8 => "file_not_utf8", "the file is not UTF-8 text";
        /// The file is not YAML.
        Syntax {
            /// What the parser says.
            message: String,
        } => "syntax", "{message}";
        // Variables.
        /// A variable without a value or default.
        VariableUnset {
            /// Its name.
            name: String,
        } => "variable_unset", "the environment has no variable `{name}`: set it, or write ${{{name}:-default}}";
        /// `${` without `}`.
        VariableUnclosed => "variable_unclosed", "`${{` has no closing `}}`: write ${{NAME}}, or $${{ for a `${{` that stays";
        /// Something that is no variable's name.
        VariableName => "variable_name", "what stands in `${{...}}` is not the name of a variable: write ${{NAME}}, or $${{ for a `${{` that stays";
        // Shapes.
        /// A key that does not exist.
        UnknownKey {
            /// The key.
            key: Shown,
            /// The key that was probably meant.
            suggestion: Option<&'static str>,
            /// The keys that there are.
            known: Box<[&'static str]>,
        } => "unknown_key", "unknown key {key}{}", KeyAdvice(*suggestion, known);
        /// A key that is there more than once.
        DuplicateKey {
            /// The key.
            key: Shown,
            /// The line of the first.
            first_line: usize,
        } => "duplicate_key", "the key {key} is already on line {first_line}: keep one of them";
        /// A required key that is not there.
        Missing {
            /// The key.
            key: &'static str,
            /// What to write.
            advice: &'static str,
        } => "missing", "the key `{key}` is missing: {advice}";
        /// A value of another kind.
        WrongKind {
            /// What is expected.
            expected: &'static str,
            /// What is there.
            found: &'static str,
        } => "wrong_kind", "expected {expected}, found {found}";
        /// A key without a value.
        NoValue {
            /// What is expected.
            expected: &'static str,
        } => "no_value", "there is no value: write {expected}, or remove the key";
        /// A single value where a list is expected.
        NotAList {
            /// The value.
            found: Shown,
        } => "not_a_list", "expected a list, found {found}: put it in brackets, as in [a, b]";
        /// An empty list.
        EmptyList => "empty_list", "the list is empty: name at least one item, or remove the key";
        /// None of the words that a key takes.
        Choice {
            /// The word.
            found: Shown,
            /// The word that was probably meant.
            suggestion: Option<&'static str>,
            /// The words that there are.
            choices: Box<[&'static str]>,
        } => "choice", "{found} is not one of {}{}", Words(choices), DidYouMean(*suggestion);
        /// No duration.
        Duration {
            /// The text.
            found: Shown,
            /// The same with seconds as the unit.
            suggestion: Option<String>,
        } => "duration", "{found} is not a duration: write a whole number with its unit, as in 30s, 5m or 24h{}", DidYouMean(suggestion.as_deref());
        /// No size.
        Size {
            /// The text.
            found: Shown,
        } => "size", "{found} is not a size: write a whole number of bytes, or one with KiB or MiB, as in 16KiB";
        /// No whole number.
        Count {
            /// The text.
            found: Shown,
        } => "count", "{found} is not a whole number";
        /// A number that JSON does not have.
        Number {
            /// The text.
            found: Shown,
        } => "number", "{found} is not a number as JSON writes it: put it in quotes if text is meant";
        /// A value beyond its bounds.
        OutOfRange {
            /// The least.
            least: String,
            /// The most.
            most: String,
            /// Why.
            reason: &'static str,
        } => "out_of_range", "the value must lie between {least} and {most}: {reason}";
        /// Two values in the wrong order.
        OutOfOrder {
            /// The key that must not be larger.
            smaller: &'static str,
            /// The key that must not be smaller.
            larger: &'static str,
        } => "out_of_order", "`{smaller}` is longer than `{larger}`: make it at most as long";
        /// A file that a key names and that cannot be read.
        NamedFileUnreadable {
            /// What the system says.
            reason: String,
        } => "named_file_unreadable", "the file that is named here cannot be read: {reason}";
        // Listeners.
        /// No address.
        Address {
            /// The text.
            found: Shown,
            /// What was probably meant.
            suggestion: Option<String>,
        } => "address", "{found} is not an address to listen at: write an IP address and a port as in 127.0.0.1:9191, `unix:/path/to.sock` or `off`{}", DidYouMean(suggestion.as_deref());
        /// No path of a Unix socket.
        SocketPath {
            /// The text.
            found: Shown,
        } => "socket_path", "{found} is not the path of a Unix socket: write an absolute path of at most 107 bytes, as in unix:/run/gatefort/grpc.sock";
        /// No name of a socket that systemd hands over.
        SocketName {
            /// The text.
            found: Shown,
        } => "socket_name", "{found} names no socket of systemd's: write its FileDescriptorName=, as in systemd:http";
        /// No permission bits.
        Mode {
            /// The text.
            found: Shown,
        } => "mode", "{found} is not permission bits in octal: write them as in \"0660\"";
        /// An address and a socket.
        AddressTwice => "address_twice", "`address` says already where it listens: keep one of them";
        /// A key that only a Unix socket has a use for.
        UnixOnly {
            /// The key.
            key: &'static str,
        } => "unix_only", "`{key}` is about the file of a Unix socket: remove it, or listen at one";
        /// TLS files that cannot be used.
        TlsFiles {
            /// What is wrong.
            problem: String,
        } => "tls_files", "TLS cannot be spoken with these files: {problem}";
        /// No name of a client.
        ClientIdentity {
            /// The text.
            found: Shown,
        } => "client_identity", "{found} is not a name that a client's certificate carries: write a URI such as spiffe://cluster.local/ns/edge/sa/envoy, a DNS name, an IP address, or CN=NAME";
        /// Names of clients that nobody vouches for.
        IdentitiesWithoutCa => "identities_without_ca", "nobody vouches for these names: add `client_ca_file`, which says whose certificates are believed";
        /// Names of clients that the admin listener does not learn.
        RevocationIdentities => "revocation_identities", "the admin listener asks nobody for a certificate, so that nobody carries these names: add `tls` with `client_ca_file` to `listen.admin`";
        /// Two listeners at one address.
        ListenTwice {
            /// The other listener's key.
            other: &'static str,
        } => "listen_twice", "`listen.{other}` listens there already: give each listener its own address";
        /// No listener that a gateway could ask.
        ListenNowhere => "listen_nowhere", "`grpc` and `http` are both off, so that no gateway can ask: leave one of them on";
        // Issuers.
        /// No issuers though tokens are looked at.
        IssuersMissing => "issuers_missing", "there are no issuers, but a rule looks at tokens: add `issuers`, or `allow: anyone` to every rule";
        /// An issuer that is there already.
        IssuerTwice {
            /// The line of the first.
            first_line: usize,
        } => "issuer_twice", "this issuer is already on line {first_line}: one `iss` has one set of keys and rules";
        /// No word about audiences.
        AudiencesMissing => "audiences_missing", "the key `audiences` is missing: write the audiences that are meant for you, as in audiences: [orders], or `audiences: any` to take tokens meant for anybody";
        /// A word for all audiences among audiences.
        AudienceWildcard => "audience_wildcard", "an audience is one exact name: write `audiences: any`, without brackets, to take tokens meant for anybody";
        /// Audiences where tokens have none.
        AudiencesUseless => "audiences_useless", "AuthFort's tokens name no audience, so that none would pass: remove `audiences`, or the profile";
        /// More than one source of keys.
        KeySourcesSeveral {
            /// The other source.
            other: &'static str,
        } => "key_sources_several", "`{other}` says already where the keys come from: keep one of them";
        /// No source of keys where there is no discovery.
        AuthfortKeysMissing => "authfort_keys_missing", "an AuthFort server offers no discovery: add `jwks_url`, as in jwks_url: https://auth.example.com/.well-known/jwks.json";
        /// No source of keys, and the issuer is no URL.
        DiscoveryImpossible => "discovery_impossible", "the issuer is not a URL, so that its keys cannot be discovered: add `jwks_url`, `jwks_file`, `jwks` or `discovery_url`";
        /// No URL.
        Url {
            /// The text.
            found: Shown,
        } => "url", "{found} is not a URL: write it in full, as in https://login.example.com/jwks.json";
        /// A URL with a user or password.
        UrlCredentials => "url_credentials", "a URL with a user name or password would end up in logs: remove what stands before the `@`";
        /// A URL with a fragment.
        UrlFragment => "url_fragment", "a URL to fetch has no fragment: remove the `#` and what follows it";
        /// A URL without TLS.
        UrlInsecure => "url_insecure", "whoever sits between could replace the keys: use https://, or write `insecure_http: true` at this issuer if that network is yours";
        /// `alg: none`.
        AlgorithmNone => "algorithm_none", "`none` is no algorithm: it would let everybody write tokens, and cannot be configured";
        /// No algorithm.
        AlgorithmUnknown {
            /// The text.
            found: Shown,
            /// The algorithm that was probably meant.
            suggestion: Option<&'static str>,
        } => "algorithm_unknown", "{found} is not an algorithm that is supported{}", DidYouMean(*suggestion);
        /// HMAC without a secret.
        SecretMissing {
            /// The algorithm.
            algorithm: &'static str,
        } => "secret_missing", "{algorithm} needs a shared secret: add `secret_file`, or use an asymmetric algorithm";
        /// A secret with an algorithm that takes none.
        SecretUnused {
            /// The algorithm.
            algorithm: &'static str,
        } => "secret_unused", "{algorithm} has no shared secret: keep HS256, HS384 or HS512, or give public keys in place of the secret";
        /// A secret at a profile that signs otherwise.
        SecretAtAuthfort => "secret_at_authfort", "an AuthFort server signs with RS256, never with a shared secret: replace the secret with `jwks_url`";
        /// A secret that can be guessed.
        SecretShort {
            /// The algorithm.
            algorithm: &'static str,
            /// The least length, in bytes.
            least: usize,
        } => "secret_short", "the secret is too short: {algorithm} needs at least {least} bytes (RFC 7518 §3.2), as from `openssl rand -hex {least}`";
        /// A secret that cannot be sent as a bearer token, or can be guessed.
        BearerSecret => "bearer_secret", "the secret must be at least 16 visible ASCII characters without spaces, as from `openssl rand -hex 32`";
        /// A secret and a file with one.
        SecretTwice => "secret_twice", "`secret` holds it already: keep one of them";
        /// No address of a Redis server.
        RedisUrl => "redis_url", "this is not the address of a Redis server: write redis://HOST:PORT/DB, or rediss:// for TLS, and nothing after it";
        /// A password that no URL can carry.
        RedisPassword => "redis_password", "the password is empty or not UTF-8 text";
        /// A password in two places.
        PasswordTwice => "password_twice", "the password is given already: keep one of `password`, `password_file` and the one in `url`";
        /// Trust anchors without TLS.
        RedisCaUnused => "redis_ca_unused", "redis:// has no use for trust anchors: write rediss:// in `url`, or remove the key";
        /// A rule that demands every replica's revocations where replicas do not meet.
        RevocationsAlone => "revocations_alone", "there are no other replicas to follow: add `revocation.fan_out`, or remove the key";
        /// A rule that demands them of a token that it does not look at.
        RevocationsForAnyone => "revocations_for_anyone", "`allow: anyone` never looks at a token: remove the key, or write `allow: authenticated`";
        /// A token type that the profile's tokens do not have.
        AuthfortTokenType => "authfort_token_type", "AuthFort's access tokens say `typ: JWT`, so that none would pass: remove `token_type`";
        /// No claim path.
        ClaimPath {
            /// What is wrong.
            problem: String,
        } => "claim_path", "not the path of a claim: {problem}";
        /// No JWK Set, or one without a usable key.
        Jwks {
            /// What is wrong.
            problem: String,
        } => "jwks", "not a usable JWK Set: {problem}";
        /// A PEM file without what it is for.
        Pem {
            /// What is not in it.
            what: &'static str,
        } => "pem", "the file that is named here holds no {what} in PEM form";
        /// A path that is no directory.
        NotADirectory => "not_a_directory", "what is named here is not a directory";
        // Introspection.
        /// An introspection endpoint without TLS.
        IntrospectionInsecure => "introspection_insecure", "whoever sits between could read the tokens and the secret, and answer for the issuer: use https://, or write `insecure_http: true` at this issuer if that network is yours";
        /// A key that the protocol has no use for.
        IntrospectionUnused {
            /// The key.
            key: &'static str,
            /// The protocol or way to say who we are.
            with: &'static str,
        } => "introspection_unused", "`{with}` has no use for `{key}`: remove the key, or change the other";
        /// A secret that no header can carry.
        IntrospectionSecret => "introspection_secret", "the secret is sent in a header: write 1 to 4096 visible ASCII characters, as from `openssl rand -hex 32`";
        /// Opaque tokens that nobody is asked about.
        OpaqueAlone => "opaque_alone", "only its issuer can read an opaque token: add `introspection` with the protocol `rfc7662` or `rfc9701`";
        /// Signed answers of an issuer without keys.
        SignedAnswersWithoutKeys => "signed_answers_without_keys", "the issuer's keys verify what `rfc9701` brings, and an issuer with `opaque: true` has none of itself: add `jwks_url`, `jwks_file`, `jwks` or `discovery_url`";
        /// Opaque tokens of an issuer that has none.
        OpaqueAtAuthfort => "opaque_at_authfort", "an AuthFort server's access tokens are JWTs: remove `opaque`, or the profile";
        /// A prefix without `opaque: true`.
        OpaquePrefixAlone => "opaque_prefix_alone", "the prefix is of opaque tokens: add `opaque: true`";
        /// A prefix that is none.
        OpaquePrefix {
            /// The text.
            found: Shown,
        } => "opaque_prefix", "{found} cannot begin an opaque token: write letters, digits and any of -._~+/, and not what every JWT begins with (`eyJ`)";
        /// Two issuers with the same opaque tokens.
        OpaqueTwice {
            /// The line of the other.
            first_line: usize,
        } => "opaque_twice", "the issuer on line {first_line} claims the same opaque tokens: give each a prefix of its own, so that no token is shown to the wrong one";
        /// A rule that asks for introspection where no issuer has any.
        IntrospectNowhere => "introspect_nowhere", "no issuer has `introspection`, so that nobody can be asked: add it to an issuer, or remove the key";
        /// A rule that asks about a token that it does not look at.
        IntrospectForAnyone => "introspect_for_anyone", "`allow: anyone` never looks at a token: remove the key, or write `allow: authenticated`";
        // Tokens.
        /// No place of a token.
        TokenPlace {
            /// The text.
            found: Shown,
        } => "token_place", "{found} is not a place of a token: write `authorization`, {{cookie: NAME}} or {{header: NAME}}";
        /// A place that is there already.
        TokenPlaceTwice => "token_place_twice", "this place is in the list already: keep one of them";
        /// No name of a cookie.
        CookieName {
            /// The text.
            found: Shown,
        } => "cookie_name", "{found} is not the name of a cookie: RFC 6265 §4.1.1 allows letters, digits and !#$%&'*+-.^_`|~";
        /// A header that holds no bare token.
        TokenHeader {
            /// The text.
            found: Shown,
        } => "token_header", "{found} cannot hold a bare token: name a header of its own, or write `authorization` or {{cookie: NAME}}";
        // Rules.
        /// A rule that lets nobody in.
        RuleSilent => "rule_silent", "the rule does not say whom it lets in: add `allow: anyone`, `allow: optional`, `allow: authenticated` or `require`";
        /// `require` for nobody.
        RequireForAnyone => "require_for_anyone", "`allow: anyone` never looks at a token, so that `require` could not hold: remove one of them";
        /// `require` for perhaps nobody.
        RequireForOptional => "require_for_optional", "with `allow: optional` a request without a token would pass and skip what `require` asks: write `allow: authenticated`, or remove `require`";
        /// A `require` that requires nothing.
        RequireEmpty => "require_empty", "`require` asks for nothing: add `roles`, `scopes`, `claims` or `when`, or write `allow: authenticated` in its place";
        /// No path pattern.
        PathPattern {
            /// What is wrong.
            problem: String,
        } => "path_pattern", "not a path pattern: {problem}";
        /// No host pattern.
        HostPattern {
            /// What is wrong.
            problem: String,
        } => "host_pattern", "not a host pattern: {problem}";
        /// A method in lower case.
        MethodCase {
            /// The method.
            found: Shown,
            /// In upper case.
            suggestion: String,
        } => "method_case", "methods are compared by exact case (RFC 9110 §9.1), and {found} is not what clients send, did you mean `{suggestion}`?";
        /// No method.
        Method {
            /// The text.
            found: Shown,
        } => "method", "{found} is not a request method: write one such as GET, or remove `methods` for all of them";
        /// A scope that no token can have.
        Scope {
            /// The text.
            found: Shown,
        } => "scope", "{found} is not one scope: RFC 6749 §3.3 allows visible ASCII without `\"` and `\\`; write several scopes as several items";
        /// No expression.
        Expression {
            /// What is wrong.
            problem: String,
        } => "expression", "not an expression: {problem}";
        // Cases.
        /// A case whose name another has.
        CaseTwice {
            /// The line of the first.
            first_line: usize,
        } => "case_twice", "the case on line {first_line} has the same name: give each its own";
        /// No token of a case.
        CaseToken {
            /// The text.
            found: Shown,
        } => "case_token", "{found} is not a token of a case: write `none`, {{raw: TEXT}} for a text as it is, or claims as in {{claims: {{sub: ann}}}}";
        /// A key of a token that stands alone, with others.
        CaseTokenAlone {
            /// The key.
            key: &'static str,
        } => "case_token_alone", "`{key}` does not go with the other keys of this token: remove it, or them";
        /// No reason.
        ReasonUnknown {
            /// The text.
            found: Shown,
            /// The reason that was probably meant.
            suggestion: Option<&'static str>,
        } => "reason_unknown", "{found} is not the code of a reason{}; docs/reasons.md lists them", DidYouMean(*suggestion);
        // Identity headers and answers.
        /// No name of a header.
        HeaderName {
            /// The text.
            found: Shown,
        } => "header_name", "{found} is not the name of a header: RFC 9110 §5.1 allows letters, digits and !#$%&'*+-.^_`|~";
        /// A header that must not carry an identity.
        HeaderRefused {
            /// Why.
            reason: NameRefusal,
        } => "header_refused", "this header cannot carry an identity: {reason}";
        /// A header that is there already, perhaps in another spelling.
        HeaderTwice {
            /// The line of the first.
            first_line: usize,
        } => "header_twice", "this header is already on line {first_line}, and case does not matter: rename one of them";
        /// A header that the token is read from.
        HeaderIsToken => "header_is_token", "`token.from` reads the token from this header, and an identity would overwrite it: rename one of them";
        /// A realm that no challenge can carry.
        Realm => "realm", "a realm is visible ASCII without `\"` and `\\`";
    }
}
