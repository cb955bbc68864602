//! What a pod's volumes are, as plans.

use std::collections::BTreeMap;

use gantry_kinds::quantity::Quantity;
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, ProjectedVolumeSource, Volume};

use crate::sources::{Contents, NodeFacts, Sources};
use crate::{certificates, downward, pod, trust};

/// The mode of files where nothing is said.
const DEFAULT_MODE: i32 = 0o644;

/// What is to be made for a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// A folder that lives as long as the pod.
    Empty {
        /// In memory rather than on disk.
        memory: bool,
        /// Bytes that a folder in memory may hold.
        size: Option<i64>,
    },
    /// A path of the host.
    Host {
        /// Which.
        path: String,
        /// What must be there: `hostPath.type`.
        kind: String,
    },
    /// Files that follow their sources.
    Files(Files),
}

/// The files of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// By path in the volume.
    pub entries: BTreeMap<String, File>,
    /// They are to be kept in memory: they hold secrets.
    pub memory: bool,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What is in it.
    pub data: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
}

/// The group that owns the files of volumes.
pub fn fs_group(pod: &Pod) -> Option<i64> {
    pod::spec(pod).security_context.as_ref()?.fs_group
}

/// Plans a volume; `ips` are the pod's addresses. An error says why it cannot be made now.
pub fn plan(pod: &Pod, volume: &Volume, ips: &[String], sources: &Sources, node: &NodeFacts) -> Result<Plan, String> {
    if let Some(empty) = &volume.empty_dir {
        let memory = empty.medium.as_deref() == Some("Memory");
        let size = empty.size_limit.as_ref().and_then(|size| Quantity::parse(&size.0).ok()).map(|size| size.value());
        return Ok(Plan::Empty { memory, size: size.filter(|size| *size > 0) });
    }
    if let Some(host) = &volume.host_path {
        return Ok(Plan::Host { path: host.path.clone(), kind: host.type_.clone().unwrap_or_default() });
    }
    let mut writer = Writer { pod, volume: &volume.name, ips, sources, node, files: Files::default() };
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode;
        writer.config_map(&source.name, source.items.as_deref(), mode, source.optional)?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        writer.secret(name, source.items.as_deref(), source.default_mode, source.optional)?;
    } else if let Some(source) = &volume.downward_api {
        writer.downward(source.items.as_deref().unwrap_or_default(), source.default_mode)?;
    } else if let Some(source) = &volume.projected {
        writer.projected(source)?;
    } else {
        return Err("this kind of volume is not supported".to_owned());
    }
    Ok(Plan::Files(writer.files))
}

struct Writer<'a> {
    pod: &'a Pod,
    volume: &'a str,
    ips: &'a [String],
    sources: &'a Sources,
    node: &'a NodeFacts,
    files: Files,
}

impl Writer<'_> {
    fn config_map(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: Option<bool>,
    ) -> Result<(), String> {
        let contents = self.sources.config_maps.get(name);
        self.keys(("configmap", "config"), name, contents, items, mode, optional.unwrap_or(false))
    }

    fn secret(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: Option<bool>,
    ) -> Result<(), String> {
        self.files.memory = true;
        let contents = self.sources.secrets.get(name);
        self.keys(("secret", "secret"), name, contents, items, mode, optional.unwrap_or(false))
    }

    fn keys(
        &mut self,
        (what, short): (&str, &str),
        name: &str,
        contents: Option<&Contents>,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: bool,
    ) -> Result<(), String> {
        let Some(contents) = contents else {
            return if optional { Ok(()) } else { Err(format!("{what} {name:?} not found")) };
        };
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            for (key, data) in &contents.files {
                self.put(key, data.clone(), mode);
            }
            return Ok(());
        };
        for item in items {
            match contents.files.get(&item.key) {
                Some(data) => self.put(&item.path, data.clone(), item.mode.or(mode)),
                None if optional => {}
                None => return Err(format!("references non-existent {short} key: {}", item.key)),
            }
        }
        Ok(())
    }

    fn downward(&mut self, items: &[DownwardAPIVolumeFile], mode: Option<i32>) -> Result<(), String> {
        for item in items {
            let text = if let Some(field) = &item.field_ref {
                downward::field(self.pod, &field.field_path, self.ips, self.node)?
            } else if let Some(selector) = &item.resource_field_ref {
                let name = selector.container_name.as_deref().unwrap_or_default();
                let container = pod::container(self.pod, name).ok_or_else(|| format!("container {name} not found"))?.1;
                downward::resource(container, selector, self.node)?
            } else {
                String::new()
            };
            self.put(&item.path, text.into_bytes(), item.mode.or(mode));
        }
        Ok(())
    }

    fn projected(&mut self, projected: &ProjectedVolumeSource) -> Result<(), String> {
        let mode = projected.default_mode;
        for (at, source) in projected.sources.iter().flatten().enumerate() {
            if let Some(source) = &source.config_map {
                self.config_map(&source.name, source.items.as_deref(), mode, source.optional)?;
            } else if let Some(source) = &source.secret {
                self.secret(&source.name, source.items.as_deref(), mode, source.optional)?;
            } else if let Some(source) = &source.downward_api {
                self.downward(source.items.as_deref().unwrap_or_default(), mode)?;
            } else if let Some(source) = &source.service_account_token {
                self.files.memory = true;
                let key = (self.volume.to_owned(), source.path.clone());
                let token = self.sources.tokens.get(&key);
                let token = token.ok_or_else(|| "failed to fetch token: it is not here yet".to_owned())?;
                let shared = if fs_group(self.pod).is_some() { Some(0o600) } else { mode };
                self.put(&source.path, token.clone().into_bytes(), shared);
            } else if let Some(source) = &source.cluster_trust_bundle {
                let anchors = trust::anchors(source, &self.sources.trust_bundles)?;
                self.put(&source.path, anchors, mode);
            } else if let Some(source) = &source.pod_certificate {
                self.files.memory = true;
                let credential = self.sources.certificates.get(&(self.volume.to_owned(), at));
                let credential = credential.ok_or_else(|| certificates::NOT_ISSUED.to_owned())?;
                for (path, data) in certificates::files(source, credential) {
                    self.put(&path, data, mode);
                }
            } else {
                return Err("this kind of projection is not supported".to_owned());
            }
        }
        Ok(())
    }

    fn put(&mut self, path: &str, data: Vec<u8>, mode: Option<i32>) {
        let mode = u32::try_from(mode.unwrap_or(DEFAULT_MODE)).unwrap_or(0) & 0o777;
        // The owning group must be able to read what the owner can read.
        let mode = if fs_group(self.pod).is_some() { mode | ((mode & 0o400) >> 3) } else { mode };
        self.files.entries.insert(path.to_owned(), File { data, mode });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(volume: Value, expected: Result<&[(&str, &str, u32)], &str>) {
        let pod = crate::pod::tests::pod(json!({"containers": [], "volumes": [volume]}));
        let contents: Contents = [("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.into())).into();
        let sources = Sources {
            config_maps: [("cfg".to_owned(), contents)].into(),
            tokens: [(("v".to_owned(), "token".to_owned()), "jwt".to_owned())].into(),
            ..Sources::default()
        };
        let volume = &pod::spec(&pod).volumes.as_ref().unwrap()[0];
        let found = plan(&pod, volume, &[], &sources, &NodeFacts::default());
        let found = found.map(|plan| match plan {
            Plan::Files(files) => files.entries,
            other => panic!("{other:?}"),
        });
        let texts = found.as_ref().map(|files| {
            let texts =
                files.iter().map(|(path, file)| (path.as_str(), std::str::from_utf8(&file.data).unwrap(), file.mode));
            texts.collect::<Vec<_>>()
        });
        assert_eq!(texts.map_err(String::as_str), expected.map(<[_]>::to_vec));
    }

    #[test]
    fn config_maps_secrets_and_projections() {
        let of = |source: Value| json!({"name": "v", "configMap": source});
        check(of(json!({"name": "cfg"})), Ok(&[("a", "1", 0o644), ("b", "2", 0o644)]));
        let items = json!([{"key": "b", "path": "x/y", "mode": 0o400}]);
        check(of(json!({"name": "cfg", "items": items})), Ok(&[("x/y", "2", 0o400)]));
        check(of(json!({"name": "no"})), Err("configmap \"no\" not found"));
        check(of(json!({"name": "no", "optional": true})), Ok(&[]));
        let items = json!([{"key": "c", "path": "c"}]);
        check(of(json!({"name": "cfg", "items": items})), Err("references non-existent config key: c"));
        let token = json!({"serviceAccountToken": {"path": "token"}});
        let name = json!({"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}});
        let sources = json!([token, name, {"configMap": {"name": "cfg", "items": [{"key": "a", "path": "a"}]}}]);
        let expected = [("a", "1", 0o440), ("n", "web", 0o440), ("token", "jwt", 0o440)];
        check(json!({"name": "v", "projected": {"defaultMode": 0o440, "sources": sources}}), Ok(&expected));
        check(json!({"name": "v", "nfs": {"path": "/", "server": "x"}}), Err("this kind of volume is not supported"));
    }
}
