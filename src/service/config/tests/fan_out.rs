//! What `revocation.fan_out` means, and what rules demand of it.

use std::time::Duration;

use redis::IntoConnectionInfo;
use secrecy::ExposeSecret;

use super::*;
use crate::domain::policy::Completeness::{BestEffort, Required};
use crate::verify::revocations::fan_out::FanOutSettings;

fn fan_out(settings: &str) -> FanOutSettings {
    let text = format!("{GOOD}revocation: {{secret: '${{SECRET}}', fan_out: {{{settings}}}}}\n");
    good(&text).revocation.unwrap().list.fan_out.unwrap()
}

#[test]
fn what_is_not_written_has_its_default() {
    let settings = fan_out("redis: {url: 'redis://127.0.0.1'}");
    assert_eq!(&*settings.stream, "gatefort:revocations");
    assert_eq!(settings.mode, BestEffort);
    assert_eq!(settings.max_lag, Duration::from_secs(5));
    assert_eq!(settings.max_len, 10_000);
    assert_eq!(settings.redis.ca_file, None);
    assert!(
        !format!("{settings:?}").contains("127.0.0.1"),
        "it may hold a password"
    );
}

#[test]
fn the_client_reads_the_password_that_was_written() {
    for password in ["plain", "half%41@of/it?#:", "ü", " "] {
        let settings = fan_out(&format!(
            "redis: {{url: 'rediss://ann@redis.internal:6380/2', password: '{password}'}}"
        ));
        let url = settings.redis.url.expose_secret();
        let info = url.into_connection_info().unwrap();
        assert_eq!(info.redis_settings().password(), Some(password));
        assert_eq!(info.redis_settings().username(), Some("ann"));
        assert_eq!(info.redis_settings().db(), 2);
        assert_eq!(info.addr().to_string(), "redis.internal:6380");
    }
}

#[test]
fn rules_demand_what_they_say_and_else_what_the_mode_says() {
    for (mode, unsaid) in [("best_effort", BestEffort), ("required", Required)] {
        let text = format!(
            "issuers: [{{issuer: 'https://login.example.com', audiences: [orders]}}]\n\
             revocation: {{secret: '${{SECRET}}', fan_out: {{mode: {mode}, redis: {{url: 'redis://localhost'}}}}}}\n\
             rules:\n\
             - {{path: /a, allow: authenticated, revocations: required}}\n\
             - {{path: /b, allow: authenticated, revocations: best_effort}}\n\
             - {{path: /c, allow: authenticated}}\n"
        );
        let config = good(&text);
        let demanded: Vec<_> = config
            .rules
            .iter()
            .map(|(_, rule)| rule.liveness.revocations)
            .collect();
        assert_eq!(demanded, [Required, BestEffort, unsaid], "{mode}");
    }
    let alone = good(GOOD);
    assert!(
        alone
            .rules
            .iter()
            .all(|(_, rule)| rule.liveness.revocations == BestEffort)
    );
}
