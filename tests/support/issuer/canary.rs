//! A listener that must not be called.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::wire::{read_request, response};
use crate::support::tokens::{self, TestKey};

/// A listener that must not be called: counts who does.
pub(crate) struct Canary {
    address: SocketAddr,
    hits: watch::Sender<usize>,
    serving: CancellationToken,
}

impl Canary {
    /// Starts listening; every connection is counted, answered with a good JWK Set of this key and closed.
    pub(crate) async fn start(key: &TestKey) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free loopback port");
        let address = listener.local_addr().expect("a bound address");
        let hits = watch::Sender::new(0);
        let serving = CancellationToken::new();
        let body = tokens::jwks([key]).to_string();
        let answer = response(
            200,
            &[("content-type", "application/json")],
            body.as_bytes(),
        );
        let counter = hits.clone();
        tokio::spawn(serving.clone().run_until_cancelled_owned(async move {
            loop {
                if let Ok((mut stream, _)) = listener.accept().await {
                    counter.send_modify(|hits| *hits += 1);
                    let mut buffer = Vec::new();
                    read_request(&mut stream, &mut buffer).await;
                    // The caller may be gone; the hit is counted.
                    let _gone = stream.write_all(&answer).await;
                }
            }
        }));
        Self {
            address,
            hits,
            serving,
        }
    }

    /// A URL there.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    /// How often it was called.
    pub(crate) fn hits(&self) -> usize {
        *self.hits.borrow()
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.serving.cancel();
    }
}
