//! The one path: a request is decided on the view, committed to the store, and answered once the view shows it.
