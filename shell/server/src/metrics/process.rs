//! What the system knows of this process.

use std::fs;

use jiff::Timestamp;

use super::text::{family, sample};
use crate::Version;

/// Clock ticks of a second in `/proc`, on every Linux.
const TICKS: f64 = 100.0;

pub(super) fn write(out: &mut String, started: Timestamp, version: &Version) {
    let start = started.as_millisecond() as f64 / 1000.0;
    let mut gauge = |name: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            family(out, name, "gauge", help);
            sample(out, name, "", value);
        }
    };
    gauge("process_start_time_seconds", "Start time of the process since the epoch.", Some(start));
    gauge("process_resident_memory_bytes", "Resident memory size in bytes.", of_status("VmRSS:"));
    gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", of_status("VmSize:"));
    let open = fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
    gauge("process_open_fds", "Files that are open.", open);
    gauge("process_max_fds", "Files that may be open.", most_files());
    if let Some(seconds) = cpu_seconds() {
        let name = "process_cpu_seconds_total";
        family(out, name, "counter", "Time on processors, in seconds.");
        sample(out, name, "", seconds);
    }
    let build = format!(
        "build_date={:?},compiler=\"rustc\",git_commit={:?},git_tree_state=\"\",git_version={:?},major=\"1\",\
         minor=\"37\",platform=\"linux\"",
        version.build_date, version.git_commit, version.git_version
    );
    family(out, "kubernetes_build_info", "gauge", "The build, as labels of a 1.");
    sample(out, "kubernetes_build_info", &build, 1);
}

/// Bytes of a line of the process' status.
fn of_status(line: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|text| text.strip_prefix(line))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

fn most_files() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold anything, but ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}
