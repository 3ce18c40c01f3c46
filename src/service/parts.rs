//! The tasks that run as long as the process does, by name.

use std::collections::HashMap;
use std::future::Future;

use tokio::task::{self, JoinSet};

/// Tasks of which none may end before the process does.
#[derive(Debug, Default)]
pub(super) struct Parts {
    tasks: JoinSet<()>,
    names: HashMap<task::Id, &'static str>,
}

impl Parts {
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = self.tasks.spawn(part).id();
        self.names.insert(id, name);
    }

    /// The name of the first part that ends, by a panic or otherwise.
    pub(super) async fn ended(&mut self) -> &'static str {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return "everything",
        };
        self.names.get(&id).copied().unwrap_or("a part")
    }
}
