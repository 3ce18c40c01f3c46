//! The examples that the RFCs publish.

use super::*;

#[test]
fn the_examples_of_rfc_7515_verify() {
    const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let secret = BASE64_URL_SAFE_NO_PAD
        .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        .unwrap();
    let public = |key: Value| {
        KeySet::parse(json!({"keys": [key]}).to_string().as_bytes())
            .unwrap()
            .0
    };
    let cases = [
        // §A.1
        (
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            KeySet::from_secret(&secret).unwrap(),
        ),
        // §A.2
        (
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
            public(json!({
                "kty": "RSA",
                "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
                "e": "AQAB",
            })),
        ),
        // §A.3
        (
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            public(json!({
                "kty": "EC", "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            })),
        ),
    ];
    let rules = Arc::new(TokenRules {
        issuer: "joe".into(),
        ..TokenRules::clone(&rules())
    });
    for (header, signature, keys) in cases {
        let token = format!("{header}.{PAYLOAD}.{signature}");
        let principal = verify(&token, &rules, &keys, UnixTime(1_300_819_379)).unwrap();
        assert_eq!(
            principal.claims().as_map()["http://example.com/is_root"],
            true
        );
        let late = verify(&token, &rules, &keys, UnixTime(1_300_819_410)).map(drop);
        assert_eq!(late, Err(DenyReason::TokenExpired));
        let other = format!(
            "{header}.{}.{signature}",
            b64(r#"{"iss":"joe","exp":1300819381}"#)
        );
        let forged = verify(&other, &rules, &keys, UnixTime(1_300_819_379)).map(drop);
        assert_eq!(forged, Err(DenyReason::SignatureInvalid));
    }
}

#[test]
fn the_examples_whose_payload_is_no_json_verify_as_signatures_only() {
    let cases = [
        // RFC 7515 §A.4
        (
            Algorithm::Es512,
            "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
            "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
            json!({
                "kty": "EC", "crv": "P-521",
                "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
                "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
            }),
        ),
        // RFC 8037 §A.4
        (
            Algorithm::EdDsa,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        ),
    ];
    for (algorithm, signing_input, signature, key) in cases {
        let (keys, _) = KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap();
        let key = keys.iter().next().unwrap();
        let octets = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(key.verifies(algorithm, signing_input.as_bytes(), &octets));
        assert!(!key.verifies(algorithm, b"something else", &octets));
        let token = format!("{signing_input}.{signature}");
        assert_eq!(parse(&token).map(drop), Err(DenyReason::TokenMalformed));
    }
}
