//! The HTTP client of tests.

/// A client that asks exactly what it is told: no proxy, no redirects.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client needs nothing")
}
