//! Any text is an expression or none; evaluating one is a verdict, whatever the claims.
#![no_main]

use gatefort::domain::policy::Expression;
use gatefort::domain::request::{
    HeaderRemoval, Headers, Host, Method, RequestContext, RequestPath,
};
use gatefort_fuzz::ANN;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(expression) = Expression::compile(text) else {
        return;
    };
    let (path, query) = RequestPath::parse_target("/orders/1?q").expect("a path");
    let request = RequestContext {
        method: Method::parse("GET").expect("a method"),
        host: Host::parse("api.example.com").expect("a host"),
        path,
        query,
        headers: Headers::new(vec![("x-tenant", b"acme")]),
        client: None,
        client_principal: None,
        removal: HeaderRemoval::Unable,
    };
    // The authorizer turns a panic of the evaluator into an outage; here it is a finding.
    let verdict = expression.check(&ANN, &request);
    let again = Expression::compile(text).expect("it was one before");
    assert_eq!(verdict, again.check(&ANN, &request), "two verdicts");
});
