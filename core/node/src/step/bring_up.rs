//! Bringing one container up: waiting after crashes, its image, then the container itself.

use k8s_openapi::api::core::v1::Container;

use super::Turn;
use crate::action::{Action, Failure, Flight, Notice};
use crate::backoff::spoken;
use crate::memory::Image;
use crate::observed::State;
use crate::pod;

impl Turn<'_> {
    pub(super) fn bring_up(&mut self, container: &Container) {
        let name = container.name.as_str();
        if self.memory.flights.contains(&Flight::Start(name.to_owned())) {
            return;
        }
        let latest = self.observed.latest(name);
        if let Some(left) = latest.filter(|latest| latest.state == State::Created) {
            // Made but never started, before the node's program was interrupted.
            self.ask(Action::RemoveContainer { id: left.id.clone() });
            return;
        }
        let retry = self.memory.container(name).create.at;
        if !self.crash_wait_is_over(container) || !self.is_due(retry) {
            return;
        }
        if !self.image_is_present(container) || !self.memory.volumes_ready {
            return;
        }
        let Some(sandbox) = self.observed.ready_sandbox() else { return };
        let reported = pod::reported(self.pod).container_statuses.iter().flatten();
        let reported = reported.chain(pod::reported(self.pod).init_container_statuses.iter().flatten());
        let counted = reported.filter(|status| status.name == name && status.container_id.is_some());
        let counted = counted.map(|status| u32::try_from(status.restart_count).unwrap_or(0)).max();
        let attempt = latest.map(|latest| latest.attempt).max(counted).map_or(0, |before| before + 1);
        let failed = latest.and_then(|latest| latest.exit()).map(|exit| exit.at);
        let (now, known) = (self.now, self.memory.container(name));
        if let Some(failed) = failed {
            known.crashes.attempt(failed, now);
        }
        known.image = Image::Unknown;
        known.crash_wait = None;
        self.ask(Action::StartContainer { container: name.to_owned(), attempt, sandbox: sandbox.id.clone() });
    }

    fn crash_wait_is_over(&mut self, container: &Container) -> bool {
        let name = container.name.as_str();
        let Some(exit) = self.observed.latest(name).and_then(|latest| latest.exit()) else { return true };
        let (now, full_name) = (self.now, pod::full_name(self.pod));
        let known = self.memory.container(name);
        let Some((until, delay)) = known.crashes.waiting(exit.at, now) else { return true };
        let fresh = known.crash_wait.replace(until) != Some(until);
        let delay = spoken(delay);
        let message = format!("back-off {delay} restarting failed container={name} pod={full_name}");
        known.trouble = Some(Failure::new("CrashLoopBackOff", message));
        if fresh {
            let message = format!("Back-off restarting failed container {name} in pod {full_name}");
            self.notify(Notice::warning("BackOff", Some(name), message));
        }
        self.again(until);
        false
    }

    fn image_is_present(&mut self, container: &Container) -> bool {
        let name = container.name.as_str();
        let wanted = container.image.as_deref().unwrap_or_default();
        let now = self.now;
        let known = self.memory.container(name);
        match &known.image {
            Image::Present => return true,
            Image::Unknown => {}
            Image::Failed { at, failure } => {
                if let Some((until, _)) = known.pulls.waiting(*at, now) {
                    let waits = Failure {
                        reason: "ImagePullBackOff",
                        message: format!("Back-off pulling image {wanted:?}: {}: {}", failure.reason, failure.message),
                    };
                    // A never-pulled image is no pull that failed: its own reason stays.
                    let fresh = failure.reason != "ErrImageNeverPull" && known.trouble.as_ref() != Some(&waits);
                    if fresh {
                        known.trouble = Some(waits);
                        let message = format!("Back-off pulling image {wanted:?}");
                        self.notify(Notice::normal("BackOff", Some(name), message));
                        self.notify(Notice::warning("Failed", Some(name), "Error: ImagePullBackOff"));
                    }
                    self.again(until);
                    return false;
                }
            }
        }
        self.ask(Action::EnsureImage { container: name.to_owned() });
        false
    }
}
