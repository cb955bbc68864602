//! The last message of a container that has ended: from its file, or from the end of its log.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use gantry_node::{Container, Exit, Observed, State, pod, sandbox};

use super::worker::Scene;
use crate::limits::{MESSAGE_BYTES, MESSAGE_LOG_BYTES};
use crate::logs;

impl Scene {
    /// Everything, with the messages of what has ended.
    pub(super) fn with_messages(&self, observed: Observed) -> Observed {
        let containers = observed.containers.into_iter().map(|container| self.with_message(container)).collect();
        Observed { containers, ..observed }
    }

    /// A container with its last message, if it has ended and left one.
    pub(super) fn with_message(&self, mut container: Container) -> Container {
        let (uid, name, attempt) = (pod::uid(&self.pod), container.name.clone(), container.attempt);
        let State::Exited(exit) = &mut container.state else { return container };
        let message = read(&self.shared.paths.message(uid, &name, attempt));
        if !message.is_empty() {
            exit.message = message;
        } else if exit.message.is_empty() && self.wants_log(&name, exit) {
            exit.message = self.end_of_log(&name, attempt);
        }
        container
    }

    fn wants_log(&self, name: &str, exit: &Exit) -> bool {
        let spec = pod::container(&self.pod, name).map(|(_, container)| container);
        let policy = spec.and_then(|container| container.termination_message_policy.as_deref());
        policy == Some("FallbackToLogsOnError") && exit.code != 0
    }

    fn end_of_log(&self, name: &str, attempt: u32) -> String {
        let folder = sandbox::log_folder(&self.pod, &self.shared.paths.logs().to_string_lossy());
        logs::last_words(&Path::new(&folder).join(name).join(format!("{attempt}.log")), MESSAGE_LOG_BYTES)
    }
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(MESSAGE_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
