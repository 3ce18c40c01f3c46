//! The tokens of the table of cases, by name, with the key files that they are checked against.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

use gatefort::domain::algorithm::Algorithm;

use super::tokens::{TestKey, merged, now, weak_rsa_jwk};

const HOUR: u64 = 3600;

/// The secret of the issuer whose tokens are signed with HMAC; long enough for each hash.
const SECRET: &[u8] = b"a secret of the table of cases, 64 bytes long, known to nobody..";

/// Makes every token, and writes the key files that `cases.yaml` names into `folder`.
pub(crate) fn mint(folder: &Path) -> BTreeMap<&'static str, String> {
    let keys = Keys::new();
    keys.write(folder);
    let mut minted = Minted {
        keys,
        tokens: BTreeMap::new(),
    };
    minted.algorithms();
    minted.rights();
    minted.signatures();
    minted.syntax();
    minted.claims();
    minted.kinds();
    minted.tokens
}

struct Keys {
    rsa: TestKey,
    rsa_rs256: TestKey,
    es256: TestKey,
    es384: TestKey,
    es512: TestKey,
    es256k: TestKey,
    ed25519: TestKey,
    authfort: TestKey,
    at: TestKey,
    any: TestKey,
    enc: TestKey,
    stranger: TestKey,
    hmac: TestKey,
}

impl Keys {
    fn new() -> Self {
        Self {
            rsa: TestKey::rs256("rsa"),
            rsa_rs256: TestKey::rs256("rsa-rs256"),
            es256: TestKey::es256("es256"),
            es384: TestKey::new(Algorithm::Es384, "es384"),
            es512: TestKey::new(Algorithm::Es512, "es512"),
            es256k: TestKey::new(Algorithm::Es256k, "es256k"),
            ed25519: TestKey::eddsa("ed25519"),
            authfort: TestKey::rs256("key-2026-11-d2c431ca"),
            at: TestKey::es256("at"),
            // The same `kid` as the main issuer's, and another key.
            any: TestKey::es256("any").with_kid("es256"),
            enc: TestKey::es256("enc"),
            stranger: TestKey::es256("stranger").with_kid("es256"),
            hmac: TestKey::hmac(Algorithm::Hs256, SECRET),
        }
    }

    fn write(&self, folder: &Path) {
        let file = |name: &str, keys: Vec<Value>| {
            fs::write(folder.join(name), json!({ "keys": keys }).to_string()).unwrap();
        };
        file(
            "main.jwks.json",
            vec![
                self.rsa.jwk_with(json!({ "alg": null })),
                self.rsa_rs256.jwk(),
                self.es256.jwk(),
                self.es384.jwk(),
                self.es512.jwk(),
                self.es256k.jwk(),
                self.ed25519.jwk(),
                self.enc.jwk_with(json!({ "use": "enc" })),
                weak_rsa_jwk("rsa-1024"),
            ],
        );
        file("authfort.jwks.json", vec![self.authfort.jwk()]);
        file("at.jwks.json", vec![self.at.jwk()]);
        file("any.jwks.json", vec![self.any.jwk()]);
        fs::write(folder.join("hmac.secret"), SECRET).unwrap();
    }
}

struct Minted {
    keys: Keys,
    tokens: BTreeMap<&'static str, String>,
}

/// The claims of the table's user.
fn user() -> Value {
    json!({
        "iss": "https://issuer.test", "aud": "orders", "sub": "u-1", "email": "ann@example.com",
        "roles": ["reader", "editor"], "iat": now() - 10, "exp": now() + HOUR,
    })
}

/// The user's claims with some replaced; null removes one.
fn user_with(changes: Value) -> Value {
    merged(user(), changes)
}

/// A user without e-mail address and roles.
fn bare_with(changes: Value) -> Value {
    merged(user_with(json!({ "email": null, "roles": null })), changes)
}

fn at_claims() -> Value {
    user_with(json!({ "iss": "https://at.test", "client_id": "shop", "jti": "j-1" }))
}

fn authfort_claims() -> Value {
    json!({
        "sub": "u-1", "email": "ann@example.com", "name": "Ann", "roles": ["reader", "editor"], "ver": 0,
        "sid": "6eca4883-51bd-4d87-a22b-ea5ca44b3d69", "mfa_enabled": false,
        "iat": now() - 10, "exp": now() + 900, "iss": "authfort",
    })
}

/// The three parts of a token.
fn parts(token: &str) -> [String; 3] {
    let parts: Vec<_> = token.split('.').map(String::from).collect();
    parts.try_into().unwrap()
}

impl Minted {
    fn put(&mut self, name: &'static str, token: String) {
        assert!(
            self.tokens.insert(name, token).is_none(),
            "two tokens are named {name}"
        );
    }

    /// A token by the main issuer's ES256 key.
    fn es256(&mut self, name: &'static str, claims: &Value) {
        let token = self
            .keys
            .es256
            .sign(&json!({ "alg": "ES256", "kid": "es256" }), claims);
        self.put(name, token);
    }

    /// A token of the user with this header, over the main issuer's ES256 key.
    fn es256_header(&mut self, name: &'static str, header: &Value) {
        let token = self.keys.es256.sign(header, &user());
        self.put(name, token);
    }

    /// A token whose header and payload are these very bytes.
    fn es256_bytes(&mut self, name: &'static str, header: &[u8], payload: &[u8]) {
        let token = self.keys.es256.sign_raw(header, payload);
        self.put(name, token);
    }

    fn algorithms(&mut self) {
        for (name, alg, key) in [
            ("rs256", "RS256", &self.keys.rsa),
            ("rs384", "RS384", &self.keys.rsa),
            ("rs512", "RS512", &self.keys.rsa),
            ("ps256", "PS256", &self.keys.rsa),
            ("ps384", "PS384", &self.keys.rsa),
            ("ps512", "PS512", &self.keys.rsa),
            ("es256", "ES256", &self.keys.es256),
            ("es384", "ES384", &self.keys.es384),
            ("es512", "ES512", &self.keys.es512),
            ("es256k", "ES256K", &self.keys.es256k),
            ("eddsa", "EdDSA", &self.keys.ed25519),
            ("ed25519", "Ed25519", &self.keys.ed25519),
        ] {
            let algorithm = Algorithm::from_name(alg).unwrap();
            let header = json!({ "alg": alg, "kid": key.kid() });
            let token = key.with_algorithm(algorithm).sign(&header, &user());
            assert!(self.tokens.insert(name, token).is_none());
        }
        let at_hmac = user_with(json!({ "iss": "https://hmac.test" }));
        for (name, algorithm) in [("hs256", Algorithm::Hs256), ("hs512", Algorithm::Hs512)] {
            let key = self.keys.hmac.with_algorithm(algorithm);
            self.put(
                name,
                key.sign(&json!({ "alg": algorithm.name() }), &at_hmac),
            );
        }
        let public = TestKey::hmac(Algorithm::Hs256, self.keys.es256.public_pem().as_bytes());
        self.put(
            "hs256_public_key",
            public.sign(&json!({ "alg": "HS256", "kid": "es256" }), &user()),
        );
        for (name, alg) in [
            ("alg_none", "none"),
            ("alg_none_case", "nOnE"),
            ("alg_unknown", "XS256"),
        ] {
            self.es256_header(name, &json!({ "alg": alg, "kid": "es256" }));
        }
        let unsigned = format!(
            "{}.{}.",
            BASE64URL.encode(json!({ "alg": "none" }).to_string()),
            BASE64URL.encode(user().to_string())
        );
        self.put("alg_none_unsigned", unsigned);
        self.es256(
            "es256_at_rs_only",
            &user_with(json!({ "iss": "https://rs-only.test" })),
        );
        let key = self.keys.rsa_rs256.with_algorithm(Algorithm::Ps256);
        let token = key.sign(&json!({ "alg": "PS256", "kid": "rsa-rs256" }), &user());
        self.put("ps256_by_rs256_key", token);
        let token = self
            .keys
            .es384
            .sign(&json!({ "alg": "ES384", "kid": "es256" }), &user());
        self.put("es384_by_es256_key", token);
    }

    fn rights(&mut self) {
        self.es256("user", &user());
        self.es256(
            "admin",
            &user_with(json!({ "sub": "u-2", "email": "bob@example.com", "roles": ["admin"] })),
        );
        self.es256(
            "role_substring",
            &user_with(json!({ "roles": ["superadmin", "administrator", "adm"] })),
        );
        self.es256(
            "role_case",
            &user_with(json!({ "roles": ["Admin", "ROOT"] })),
        );
        self.es256(
            "scoped",
            &bare_with(json!({ "scope": "orders:read orders:write other" })),
        );
        self.es256(
            "scoped_scp_array",
            &bare_with(json!({ "scp": ["orders:write", "orders:read"] })),
        );
        self.es256(
            "scoped_scp_string",
            &bare_with(json!({ "scp": "orders:read orders:write" })),
        );
        self.es256(
            "scoped_partial",
            &bare_with(json!({ "scope": "orders:read" })),
        );
        self.es256(
            "scoped_prefix",
            &bare_with(json!({ "scope": "orders:reader orders:writer" })),
        );
        self.es256("tenant", &bare_with(json!({ "tenant": "acme" })));
        self.es256(
            "tenant_array",
            &bare_with(json!({ "tenant": ["other", "acme"] })),
        );
        self.es256("tenant_wrong", &bare_with(json!({ "tenant": "acme-2" })));
        self.es256(
            "groups",
            &bare_with(json!({ "realm_access": { "groups": ["eng", "ops"] } })),
        );
        self.es256(
            "groups_dotted",
            &bare_with(json!({ "realm_access.groups": ["eng"] })),
        );
        self.es256("mfa", &bare_with(json!({ "mfa_enabled": true })));
        self.es256("mfa_false", &bare_with(json!({ "mfa_enabled": false })));
        self.es256(
            "email_utf8",
            &bare_with(json!({ "email": "éva@example.com" })),
        );
        self.es256(
            "email_percent",
            &bare_with(json!({ "email": "%C3%A9va@example.com" })),
        );
        self.es256(
            "email_crlf",
            &bare_with(json!({ "email": "a@example.com\r\nx-auth-roles: admin" })),
        );
        self.es256(
            "email_nul",
            &bare_with(json!({ "email": "a\0b@example.com" })),
        );
        self.es256(
            "email_long",
            &bare_with(json!({ "email": "a".repeat(5000) })),
        );
    }

    fn signatures(&mut self) {
        let [header, payload, signature] = parts(&self.tokens["user"]);
        let [other_header, other_payload, _] = parts(&self.tokens["admin"]);
        let mut bytes = BASE64URL.decode(&signature).unwrap();
        bytes[10] ^= 1;
        self.put(
            "signature_flipped",
            format!("{header}.{payload}.{}", BASE64URL.encode(&bytes)),
        );
        self.put(
            "signature_zeros",
            format!("{header}.{payload}.{}", BASE64URL.encode([0; 64])),
        );
        let der = [
            &[0x30, 0x44, 0x02, 0x20][..],
            &[1; 32],
            &[0x02, 0x20],
            &[1; 32],
        ]
        .concat();
        self.put(
            "signature_der",
            format!("{header}.{payload}.{}", BASE64URL.encode(der)),
        );
        self.put(
            "payload_swapped",
            format!("{header}.{other_payload}.{signature}"),
        );
        let spaced = BASE64URL.encode(br#"{"kid":"es256", "alg":"ES256"}"#);
        assert_ne!(spaced, other_header);
        self.put("header_swapped", format!("{spaced}.{payload}.{signature}"));

        let token = self
            .keys
            .any
            .sign(&json!({ "alg": "ES256", "kid": "es256" }), &user());
        self.put("cross_issuer", token);
        self.es256_header("kid_unknown", &json!({ "alg": "ES256", "kid": "nobody" }));
        self.es256_header("kid_missing", &json!({ "alg": "ES256" }));
        self.es256_header(
            "kid_path",
            &json!({ "alg": "ES256", "kid": "../../etc/passwd' or 1=1" }),
        );
        self.es256_header(
            "kid_control",
            &json!({ "alg": "ES256", "kid": "es256\0\r\n" }),
        );
        self.es256_header("kid_number", &json!({ "alg": "ES256", "kid": 7 }));
        self.es256_header(
            "kid_long",
            &json!({ "alg": "ES256", "kid": "k".repeat(300) }),
        );
        let stranger = &self.keys.stranger;
        let embedded = json!({ "alg": "ES256", "kid": "es256", "jwk": stranger.jwk() });
        let jku = json!({ "alg": "ES256", "kid": "es256", "jku": "http://127.0.0.1:1/jwks.json" });
        let (embedded, jku) = (
            stranger.sign(&embedded, &user()),
            stranger.sign(&jku, &user()),
        );
        self.put("embedded_jwk", embedded);
        self.put("jku", jku);
        let token = self
            .keys
            .enc
            .sign(&json!({ "alg": "ES256", "kid": "enc" }), &user());
        self.put("key_enc", token);
        let token = self
            .keys
            .rsa
            .sign(&json!({ "alg": "RS256", "kid": "rsa-1024" }), &user());
        self.put("key_rsa1024", token);
    }

    fn syntax(&mut self) {
        let [header, payload, signature] = parts(&self.tokens["user"]);
        self.put("junk", "junk".into());
        self.put("two_parts", format!("{header}.{payload}"));
        self.put(
            "four_parts",
            format!("{header}.{payload}.{signature}.{signature}"),
        );
        let jwe = BASE64URL.encode(json!({ "alg": "RSA-OAEP", "enc": "A256GCM" }).to_string());
        self.put("jwe", format!("{jwe}.a2V5.aXY.Y2lwaGVy.dGFn"));
        self.put("signature_empty", format!("{header}.{payload}."));
        self.put("padded", format!("{header}.{payload}.{signature}=="));
        // Signatures are random: make one whose text has a character to swap.
        let claims = user();
        let standard = loop {
            let token = self
                .keys
                .es256
                .sign(&json!({ "alg": "ES256", "kid": "es256" }), &claims);
            let [_, _, signature] = parts(&token);
            if signature.contains(['-', '_']) {
                break token.replace(&signature, &signature.replace('-', "+").replace('_', "/"));
            }
        };
        self.put("std_alphabet", standard);
        // 64 bytes leave four unused bits in the last character; the canonical ones are zero.
        let last = signature.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let twin = alphabet
            .chars()
            .nth(alphabet.find(last).unwrap() + 1)
            .unwrap();
        let cut = &signature[..signature.len() - 1];
        self.put("unused_bits", format!("{header}.{payload}.{cut}{twin}"));

        let plain = br#"{"alg":"ES256","kid":"es256"}"#;
        let claims = user().to_string();
        let open = claims.trim_end_matches('}').to_owned();
        self.es256_bytes("payload_array", plain, br#"["sub","u-1"]"#);
        self.es256_bytes("payload_text", plain, b"hello");
        self.es256_bytes(
            "invalid_utf8",
            plain,
            &[open.as_bytes(), b",\"x\":\"\xff\xfe\"}"].concat(),
        );
        self.es256_bytes("bom", plain, &[b"\xef\xbb\xbf", claims.as_bytes()].concat());
        let deep = format!("{open},\"x\":{}{}}}", "[".repeat(100), "]".repeat(100));
        self.es256_bytes("deep", plain, deep.as_bytes());
        self.es256_bytes(
            "dup_claim",
            plain,
            format!(r#"{open},"sub":"u-2"}}"#).as_bytes(),
        );
        self.es256_bytes(
            "dup_escaped",
            plain,
            format!(r#"{open},"s\u0075b":"u-2"}}"#).as_bytes(),
        );
        self.es256_bytes(
            "dup_nested",
            plain,
            format!(r#"{open},"x":{{"a":1,"a":2}}}}"#).as_bytes(),
        );
        self.es256_bytes(
            "dup_header",
            br#"{"alg":"ES256","kid":"es256","alg":"ES256"}"#,
            claims.as_bytes(),
        );

        self.es256_header(
            "crit_unknown",
            &json!({ "alg": "ES256", "kid": "es256", "crit": ["x-y"], "x-y": 1 }),
        );
        self.es256_header(
            "crit_empty",
            &json!({ "alg": "ES256", "kid": "es256", "crit": [] }),
        );
        self.es256_header(
            "crit_b64",
            &json!({ "alg": "ES256", "kid": "es256", "crit": ["b64"], "b64": false }),
        );
        self.es256_header(
            "b64_false",
            &json!({ "alg": "ES256", "kid": "es256", "b64": false }),
        );
        self.es256_header(
            "zip",
            &json!({ "alg": "ES256", "kid": "es256", "zip": "DEF" }),
        );
        self.es256(
            "oversized",
            &user_with(json!({ "padding": "x".repeat(14_000) })),
        );
    }

    fn claims(&mut self) {
        self.es256(
            "expired",
            &user_with(json!({ "iat": now() - 2 * HOUR, "exp": now() - HOUR })),
        );
        self.es256(
            "expired_within_skew",
            &user_with(json!({ "exp": now() - 1 })),
        );
        self.es256("exp_missing", &user_with(json!({ "exp": null })));
        let open = user_with(json!({ "exp": null })).to_string();
        let open = open.trim_end_matches('}');
        let plain = br#"{"alg":"ES256","kid":"es256"}"#;
        self.es256_bytes(
            "exp_null",
            plain,
            format!(r#"{open},"exp":null}}"#).as_bytes(),
        );
        self.es256(
            "exp_string",
            &user_with(json!({ "exp": (now() + HOUR).to_string() })),
        );
        self.es256("exp_bool", &user_with(json!({ "exp": true })));
        self.es256("exp_negative", &user_with(json!({ "exp": -1 })));
        let later = now() + HOUR;
        self.es256_bytes(
            "exp_float",
            plain,
            format!(r#"{open},"exp":{later}.5}}"#).as_bytes(),
        );
        self.es256("nbf_future", &user_with(json!({ "nbf": now() + HOUR })));
        self.es256("nbf_within_skew", &user_with(json!({ "nbf": now() + 15 })));
        self.es256("nbf_string", &user_with(json!({ "nbf": "0" })));
        self.es256("iat_future", &user_with(json!({ "iat": now() + HOUR })));
        self.es256("iat_within_skew", &user_with(json!({ "iat": now() + 15 })));
        self.es256("aud_billing", &user_with(json!({ "aud": "billing" })));
        self.es256(
            "aud_array",
            &user_with(json!({ "aud": ["other", "orders"] })),
        );
        self.es256("aud_wrong", &user_with(json!({ "aud": "other" })));
        self.es256(
            "aud_array_wrong",
            &user_with(json!({ "aud": ["other", "another"] })),
        );
        self.es256("aud_prefix", &user_with(json!({ "aud": "orders-admin" })));
        self.es256("aud_missing", &user_with(json!({ "aud": null })));
        self.es256("aud_object", &user_with(json!({ "aud": { "orders": 1 } })));
        self.es256("aud_nested", &user_with(json!({ "aud": [["orders"]] })));
        self.es256("aud_mixed", &user_with(json!({ "aud": [1, "orders"] })));
        let without_aud = user_with(json!({ "iss": "https://any.test", "aud": null }));
        let token = self
            .keys
            .any
            .sign(&json!({ "alg": "ES256", "kid": "es256" }), &without_aud);
        self.put("any_without_aud", token);
        self.es256(
            "iss_unknown",
            &user_with(json!({ "iss": "https://evil.test" })),
        );
        self.es256("iss_missing", &user_with(json!({ "iss": null })));
        self.es256(
            "iss_array",
            &user_with(json!({ "iss": ["https://issuer.test"] })),
        );
        self.es256(
            "iss_slash",
            &user_with(json!({ "iss": "https://issuer.test/" })),
        );
        self.es256(
            "iss_case",
            &user_with(json!({ "iss": "https://Issuer.test" })),
        );
        self.es256(
            "iss_prefix",
            &user_with(json!({ "iss": "https://issuer.test.evil.test" })),
        );
        self.es256("sub_number", &user_with(json!({ "sub": 7 })));
        self.es256(
            "sub_control",
            &user_with(json!({ "sub": "u-1\r\nx-auth-roles: admin" })),
        );
        self.es256(
            "cnf",
            &user_with(json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } })),
        );
        self.es256("blind", &user_with(json!({ "iss": "https://blind.test" })));
        self.es256(
            "blind_expired",
            &user_with(json!({ "iss": "https://blind.test", "exp": now() - HOUR })),
        );
    }

    fn kinds(&mut self) {
        for (name, typ) in [
            ("typ_at_jwt", "at+jwt"),
            ("typ_application_at_jwt", "application/at+JWT"),
            ("typ_logout", "logout+jwt"),
            ("typ_dpop", "dpop+jwt"),
            ("typ_secevent", "secevent+jwt"),
        ] {
            self.es256_header(name, &json!({ "alg": "ES256", "kid": "es256", "typ": typ }));
        }
        let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
        self.es256("events", &user_with(json!({ "events": event })));

        let at = |typ: Option<&str>, claims: &Value, key: &TestKey| {
            let mut header = json!({ "alg": "ES256", "kid": "at" });
            if let Some(typ) = typ {
                header["typ"] = json!(typ);
            }
            key.sign(&header, claims)
        };
        let key = &self.keys.at;
        let good = at(Some("at+jwt"), &at_claims(), key);
        let plain = at(Some("JWT"), &at_claims(), key);
        let none = at(None, &at_claims(), key);
        let no_client = at(
            Some("at+jwt"),
            &merged(at_claims(), json!({ "client_id": null })),
            key,
        );
        self.put("at_good", good);
        self.put("at_plain_typ", plain);
        self.put("at_no_typ", none);
        self.put("at_no_client", no_client);

        let mut authfort = |name: &'static str, claims: &Value| {
            let header = json!({ "alg": "RS256", "kid": "key-2026-11-d2c431ca", "typ": "JWT" });
            let token = self.keys.authfort.sign(&header, claims);
            assert!(self.tokens.insert(name, token).is_none());
        };
        authfort("authfort_user", &authfort_claims());
        let admin = json!({ "sub": "u-2", "email": "bob@example.com", "roles": ["admin"] });
        authfort("authfort_admin", &merged(authfort_claims(), admin));
        authfort(
            "authfort_roles_string",
            &merged(authfort_claims(), json!({ "roles": "superadmin" })),
        );
        authfort(
            "authfort_no_email",
            &merged(authfort_claims(), json!({ "email": null })),
        );
        authfort(
            "authfort_ver_string",
            &merged(authfort_claims(), json!({ "ver": "0" })),
        );
        let times = json!({ "iat": now() - 10, "exp": now() + 290, "iss": "authfort" });
        let challenge =
            json!({ "sub": "66d7ef99-cf4d-49d5-a3fb-8da1db5b4121", "purpose": "mfa_challenge" });
        authfort("authfort_mfa", &merged(times.clone(), challenge));
        let state = json!({ "typ": "oauth_state", "prv": "google", "nonce": "n", "pkce": "p" });
        authfort("authfort_state", &merged(times, state));
    }
}

/// Puts the tokens into a row's text: `{name}` stands for the token of that name, and `@LONG@` for
/// a long path segment.
pub(crate) fn fill(text: &str, tokens: &BTreeMap<&'static str, String>) -> String {
    let mut filled = text.replace("@LONG@", &"a".repeat(2000));
    for (name, token) in tokens {
        filled = filled.replace(&format!("{{{name}}}"), token);
    }
    filled
}
