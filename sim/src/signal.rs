//! A value that several wait for. Unlike tokio's own watch it wakes them in the order in which they came, so that
//! chance has no part in it.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A value and those who wait for it to change.
pub struct Signal<T> {
    value: Mutex<T>,
    notify: Notify,
}

impl<T: Clone> Signal<T> {
    /// A value that nobody waits for yet.
    pub fn new(value: T) -> Self {
        Signal { value: Mutex::new(value), notify: Notify::new() }
    }

    /// The value now.
    pub fn get(&self) -> T {
        self.value.lock().clone()
    }

    /// Sets the value and tells everybody.
    pub fn set(&self, value: T) {
        *self.value.lock() = value;
        self.notify.notify_waiters();
    }

    /// Returns once the value is as wanted.
    pub async fn wait(&self, wanted: impl Fn(&T) -> bool) {
        loop {
            let mut told = std::pin::pin!(self.notify.notified());
            told.as_mut().enable();
            if wanted(&self.value.lock()) {
                return;
            }
            told.await;
        }
    }
}
