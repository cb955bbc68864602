//! Images and containers: what it takes to have a container run.

use std::fs;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_cri::message::{AuthConfig, Image};
use gantry_node::image::{PullPolicy, pull_policy};
use gantry_node::mount::Source;
use gantry_node::security::{self, ImageUser};
use gantry_node::{Failure, Notice, container, pod};
use k8s_openapi::api::core::v1::Container;
use serde_json::Value;

use super::launch;
use super::worker::{News, Scene};
use crate::error::AgentError;
use crate::volumes;

impl Scene {
    fn say(&self, notice: Notice) {
        self.shared.events.pod(&self.pod, &notice);
    }

    /// Sees that a container's image is here.
    pub(super) async fn ensure_image(&self, name: &str) -> Result<(), Failure> {
        let Some((_, spec)) = pod::container(&self.pod, name) else { return Ok(()) };
        let image = spec.image.clone().unwrap_or_default();
        let policy = pull_policy(spec);
        let present = match policy {
            PullPolicy::Always => None,
            _ => self.image(&image).await?,
        };
        match (present, policy) {
            (Some(_), _) => {
                let words =
                    format!("Container image {image:?} already present on machine and can be accessed by the pod");
                self.say(Notice::normal("Pulled", Some(name), words));
                Ok(())
            }
            (None, PullPolicy::Never) => {
                let words = format!("Container image {image:?} is not present with pull policy of Never");
                self.say(Notice::warning("ErrImageNeverPull", Some(name), &words));
                Err(Failure::new("ErrImageNeverPull", words))
            }
            (None, _) => self.pull(name, &image).await,
        }
    }

    async fn image(&self, image: &str) -> Result<Option<Image>, Failure> {
        let found = self.shared.runtime.cri.image(image).await;
        found.map_err(|error| Failure::new("ImageInspectError", error.to_string()))
    }

    async fn pull(&self, name: &str, image: &str) -> Result<(), Failure> {
        self.say(Notice::normal("Pulling", Some(name), format!("Pulling image {image:?}")));
        let asked = Instant::now();
        let _permit = self.shared.pulls.acquire().await;
        let begun = Instant::now();
        let mut failure = None;
        let mut credentials: Vec<_> = self.credentials(image).await.into_iter().map(Some).collect();
        credentials.push(None);
        for auth in credentials {
            match self.shared.runtime.cri.pull(image, auth, None).await {
                Ok(_) => {
                    let size = self.image(image).await?.map_or(0, |image| image.size);
                    let (own, all) = (spoken(begun.elapsed()), spoken(asked.elapsed()));
                    let words = format!(
                        "Successfully pulled image {image:?} in {own} ({all} including waiting). Image size: {size} bytes."
                    );
                    self.say(Notice::normal("Pulled", Some(name), words));
                    return Ok(());
                }
                Err(error) => failure = Some(error.cause().to_owned()),
            }
        }
        let why = failure.unwrap_or_default();
        self.say(Notice::warning("Failed", Some(name), format!("Failed to pull image {image:?}: {why}")));
        Err(Failure::new("ErrImagePull", why))
    }

    /// Who to be towards the registry of an image, from the pod's pull secrets.
    async fn credentials(&self, image: &str) -> Vec<AuthConfig> {
        let wanted = pod::spec(&self.pod).image_pull_secrets.as_deref().unwrap_or_default();
        if wanted.is_empty() {
            return Vec::new();
        }
        let Ok(sources) = self.sources().await else { return Vec::new() };
        let secrets = wanted.iter().filter_map(|secret| sources.secrets.get(&secret.name));
        secrets.flat_map(|secret| credentials(secret, image)).collect()
    }

    /// Makes and starts a container.
    pub(super) async fn start_container(
        &self,
        name: &str,
        attempt: u32,
        sandbox: &str,
        news: &mut Vec<News>,
    ) -> Result<(), Failure> {
        let Some((_, spec)) = pod::container(&self.pod, name) else { return Ok(()) };
        let plan = self.plan(spec, attempt).await?;
        let create = |error: &dyn std::fmt::Display| Failure::new("CreateContainerError", error.to_string());
        let mounts = self.mounts(&plan).map_err(|error| create(&error))?;
        let node = self.shared.node.borrow().clone();
        let runtime = &self.shared.runtime;
        let host = gantry_node::sandbox::plan(&self.pod, 0, &node)?;
        let sandbox_config = launch::sandbox_config(&self.pod, &host);
        let config = launch::container_config(&plan, mounts, &host);
        let _permit = self.shared.starts.acquire().await;
        self.forget_older(name, news).await;
        let created = runtime.cri.create_container(sandbox, config, sandbox_config).await;
        let id = created.map_err(|error| create(&error.cause()))?;
        runtime.own(&id, pod::uid(&self.pod));
        self.say(Notice::normal("Created", Some(name), "Container created"));
        let started = runtime.cri.start_container(&id).await;
        if started.is_ok() {
            self.say(Notice::normal("Started", Some(name), "Container started"));
        }
        let found = runtime.container(&id, sandbox).await.map_err(|error| create(&error))?;
        news.extend(found.map(|found| News::Container(Box::new(self.with_message(found)))));
        started.map_err(|error| Failure::new("RunContainerError", error.cause().to_owned()))
    }

    async fn plan(&self, spec: &Container, attempt: u32) -> Result<container::Plan, Failure> {
        let refuse = |why: String| Failure::new("CreateContainerConfigError", why);
        let sources = self.sources().await.map_err(refuse)?;
        let mut user = ImageUser::default();
        if security::needs_image_user(&self.pod, spec) {
            let image = self.image(spec.image.as_deref().unwrap_or_default()).await?.unwrap_or_default();
            user = ImageUser { uid: image.uid.map(|uid| uid.value), name: image.username };
        }
        let node = self.shared.node.borrow().clone();
        let ips = self.observed.ready_sandbox().map(|sandbox| sandbox.ips.clone()).unwrap_or_default();
        container::plan(&self.pod, spec, attempt, &ips, &user, &sources, &node)
    }

    /// Where each mount of a container is on this machine; makes what must exist.
    fn mounts(&self, plan: &container::Plan) -> Result<Vec<String>, AgentError> {
        let uid = pod::uid(&self.pod);
        let paths = &self.shared.paths;
        let mut places = Vec::new();
        for (index, mount) in plan.mounts.iter().enumerate() {
            let place = match &mount.source {
                Source::Hosts => paths.hosts(uid),
                Source::TerminationLog => {
                    let file = paths.message(uid, &plan.name, plan.attempt);
                    if let Some(folder) = file.parent() {
                        fs::create_dir_all(folder).map_err(AgentError::at("create", folder))?;
                    }
                    fs::write(&file, "").map_err(AgentError::at("write", &file))?;
                    open_to_all(&file)?;
                    file
                }
                Source::Volume { name, sub_path } => {
                    let place = self.volume(name);
                    if sub_path.is_empty() {
                        place
                    } else {
                        let target = paths.sub_path(uid, &plan.name, index);
                        volumes::bind_sub_path(&place, sub_path, &target)?;
                        target
                    }
                }
            };
            places.push(place.to_string_lossy().into_owned());
        }
        Ok(places)
    }

    fn volume(&self, name: &str) -> std::path::PathBuf {
        let volumes = pod::spec(&self.pod).volumes.iter().flatten();
        let host = volumes.filter(|volume| volume.name == name).find_map(|volume| volume.host_path.as_ref());
        match host {
            Some(host) => std::path::PathBuf::from(&host.path),
            None => self.shared.paths.volume(pod::uid(&self.pod), name),
        }
    }

    /// Removes the containers of that name but for the last, whose log and state are kept.
    async fn forget_older(&self, name: &str, news: &mut Vec<News>) {
        let Some(latest) = self.observed.latest(name) else { return };
        let older = self.observed.containers.iter().filter(|c| c.name == name && c.id != latest.id && !c.alive());
        for container in older {
            if self.shared.runtime.cri.remove_container(&container.id).await.is_ok() {
                news.push(News::NoContainer(container.id.clone()));
            }
        }
    }
}

/// Any user of the container may leave a message.
fn open_to_all(file: &std::path::Path) -> Result<(), AgentError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o666)).map_err(AgentError::at("open", file))
}

/// A duration as messages print it.
fn spoken(duration: std::time::Duration) -> String {
    if duration.as_secs() == 0 {
        format!("{}ms", duration.as_millis())
    } else {
        format!("{:.3}s", duration.as_secs_f64())
    }
}

/// The credentials in a `kubernetes.io/dockerconfigjson` Secret for the registry of an image.
fn credentials(secret: &gantry_node::sources::Contents, image: &str) -> Vec<AuthConfig> {
    let file = |name: &str| secret.files.get(name);
    let Some(text) = file(".dockerconfigjson").or_else(|| file(".dockercfg")) else { return Vec::new() };
    let Ok(config) = serde_json::from_slice::<Value>(text) else { return Vec::new() };
    let registries = config.get("auths").unwrap_or(&config).as_object().cloned().unwrap_or_default();
    let first = image.split('/').next().unwrap_or_default();
    let host = if image.contains('/') && first.contains(['.', ':']) { first } else { "docker.io" };
    let fits = |name: &str| {
        let name = name.trim_start_matches("https://").trim_start_matches("http://");
        let (own, path) = name.split_once('/').unwrap_or((name, ""));
        let own = if own == "index.docker.io" { "docker.io" } else { own };
        own == host && (path.is_empty() || path.starts_with("v1") || image.contains(path))
    };
    let read = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let decoded = STANDARD.decode(text("auth")).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|pair| pair.split_once(':'));
        AuthConfig {
            username: pair.map_or_else(|| text("username"), |(user, _)| user.to_owned()),
            password: pair.map_or_else(|| text("password"), |(_, password)| password.to_owned()),
            identity_token: text("identitytoken"),
            registry_token: text("registrytoken"),
            ..AuthConfig::default()
        }
    };
    registries.iter().filter(|(name, _)| fits(name)).map(|(_, entry)| read(entry)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pull_secrets_are_chosen_by_registry() {
        let auth = STANDARD.encode("bob:pass:word");
        let config = json!({"auths": {
            "https://index.docker.io/v1/": {"auth": auth},
            "reg.example:5000": {"username": "eve", "password": "x"},
        }});
        let secret = [(".dockerconfigjson".to_owned(), config.to_string().into_bytes())].into();
        let check = |image: &str, expected: &[(&str, &str)]| {
            let found = credentials(&secret, image);
            let found: Vec<_> = found.iter().map(|auth| (auth.username.as_str(), auth.password.as_str())).collect();
            assert_eq!(found, expected, "{image}");
        };
        check("busybox:1", &[("bob", "pass:word")]);
        check("docker.io/library/busybox", &[("bob", "pass:word")]);
        check("reg.example:5000/a/b:2", &[("eve", "x")]);
        check("other.example/a", &[]);
    }
}
