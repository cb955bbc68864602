//! Builds the pause program, a static executable of a few kilobytes that is embedded into the binary.

use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=pause/pause.rs");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("pause");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=bin", "-Cpanic=abort", "-Copt-level=s", "-Cstrip=symbols"])
        .args(["-Crelocation-model=static", "-Clink-arg=-nostartfiles", "-Clink-arg=-nostdlib", "-Clink-arg=-static"])
        .args(["-Clink-arg=-Wl,--build-id=none", "-o"])
        .arg(&out)
        .arg("pause/pause.rs")
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("building the pause program: {status}")));
    }
    Ok(())
}
