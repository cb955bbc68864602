//! Images that come from files.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use gantry_cri::Runtime;
use tokio::process::Command;

use crate::archive;
use crate::error::AgentError;
use crate::paths::Paths;

/// Loads the images of a docker-archive or an OCI archive into the containerd at `socket`; their names.
pub async fn import(socket: &Path, file: &Path) -> Result<Vec<String>, AgentError> {
    fs::metadata(file).map_err(AgentError::at("read", file))?;
    let mut command = Command::new("ctr");
    command.arg("--address").arg(socket).args(["--namespace", "k8s.io", "images", "import"]).arg(file);
    let output = command.output().await.map_err(AgentError::at("start", Path::new("ctr")))?;
    if !output.status.success() {
        let cause = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(AgentError::Program { program: "ctr images import", cause });
    }
    Ok(names(&String::from_utf8_lossy(&output.stdout)))
}

/// The names in lines such as `unpacking docker.io/library/web:1 (sha256:..)...done`.
fn names(said: &str) -> Vec<String> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("unpacking "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Loads an image of one program, unless it is there: at `/NAME`, started with `command`.
pub(crate) async fn ensure_image(
    runtime: &Runtime,
    socket: &Path,
    paths: &Paths,
    reference: &str,
    name: &str,
    command: &[&str],
    program: &Bytes,
) -> Result<(), AgentError> {
    if runtime.image(reference).await?.is_some() {
        return Ok(());
    }
    let file = paths.root().join(format!("{name}.tar"));
    let archive = archive::image(reference, name, command, program);
    fs::write(&file, archive).map_err(AgentError::at("write", &file))?;
    import(socket, &file).await?;
    fs::remove_file(&file).map_err(AgentError::at("remove", &file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_was_loaded() {
        let said = "unpacking docker.io/library/web:1 (sha256:0a)...done\nelapsed: 0.1 s\n";
        assert_eq!(names(said), ["docker.io/library/web:1"]);
    }
}
