//! Collections, followed for ever.

use serde_json::Value;

use crate::Client;

/// What happened to a collection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// These are all objects; whatever else was known is gone.
    Restarted(Vec<Value>),
    /// An object is new or changed.
    Applied(Value),
    /// An object is gone; this is its last state.
    Deleted(Value),
}

/// A collection that is being followed; dropping it stops that.
pub struct Watch {
    _private: (),
}

impl Watch {
    pub(crate) fn start(_client: Client, _path: &str, _query: &str) -> Self {
        Watch { _private: () }
    }

    /// The next event; the first one is `Restarted`. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Event {
        std::future::pending().await
    }
}
