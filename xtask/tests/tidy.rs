//! The house rules that a machine can check: sizes, names, heads of modules, words that stand for work not done.

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const HEAD_LINES_MAX: usize = 15;
const MODULE_NAMES: [&str; 7] = ["manager", "helper", "helpers", "util", "utils", "common", "misc"];

#[test]
fn files_are_short() {
    each_source(|path, text| {
        let lines = production_lines(text).count();
        (lines > FILE_LINES_MAX)
            .then(|| format!("{}: {lines} lines without its tests, at most {FILE_LINES_MAX}", path.display()))
    });
}

#[test]
fn functions_are_short() {
    each_source(|path, text| {
        let found: Vec<_> = functions(text)
            .filter(|(_, lines)| *lines > FUNCTION_LINES_MAX)
            .map(|(at, lines)| {
                format!("{}:{at}: a function of {lines} lines, at most {FUNCTION_LINES_MAX}", path.display())
            })
            .collect();
        (!found.is_empty()).then(|| found.join("\n"))
    });
}

#[test]
fn modules_have_names_that_say_something() {
    each_source(|path, _| {
        let stem = path.file_stem()?.to_str()?;
        let folder = path.parent()?.file_name()?.to_str()?;
        let name = if stem == "mod" { folder } else { stem };
        MODULE_NAMES.contains(&name).then(|| format!("{}: {name:?} names nothing", path.display()))
    });
}

#[test]
fn modules_open_with_what_they_own() {
    each_source(|path, text| {
        if is_test(path) {
            return None;
        }
        let head =
            text.lines().skip_while(|l| l.starts_with("#!") || l.is_empty()).take_while(|l| l.starts_with("//!"));
        match head.count() {
            0 => Some(format!("{}: opens without saying what it owns", path.display())),
            n if n > HEAD_LINES_MAX => {
                Some(format!("{}: a head of {n} lines, at most {HEAD_LINES_MAX}", path.display()))
            }
            _ => None,
        }
    });
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here so that this file does not find itself.
    let words = [["to", "do!("], ["FIX", "ME"], ["unimple", "mented!("], ["allow(dead_", "code)"], ["#[ign", "ore"]]
        .map(|w| w.concat());
    each_source(|path, text| {
        let found = words.iter().find(|word| text.contains(word.as_str()))?;
        Some(format!("{}: {found}", path.display()))
    });
}

#[test]
fn unsafe_code_has_one_room() {
    let words = [["allow(un", "safe_code)"].concat()];
    each_source(|path, text| {
        let one_room = path.ends_with("shell/agent/src/syscall.rs");
        (!one_room && words.iter().any(|w| text.contains(w.as_str())))
            .then(|| format!("{}: unsafe code belongs into shell/agent/src/syscall.rs", path.display()))
    });
}

/// Runs `check` on every source file of the workspace and fails with all that it found.
fn each_source(check: impl Fn(&Path, &str) -> Option<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut files = Vec::new();
    for folder in ["core", "shell", "gantry", "sim", "bench", "testkit", "xtask"] {
        collect(&root.join(folder), &mut files);
    }
    assert!(files.len() > 50, "the source files are found");
    let found: Vec<_> = files
        .iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).expect("a readable file");
            check(path.strip_prefix(root).unwrap_or(path), &text)
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "target") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Files of tests alone own nothing.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|c| c.as_os_str() == "tests")
}

/// The lines before the file's tests.
fn production_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| *line != "#[cfg(test)]")
}

/// Line number and length of each function; the code is formatted, so a function ends at a brace of its own depth.
fn functions(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let starts: Vec<_> = (0..lines.len()).filter(|at| is_function(lines[*at])).collect();
    starts.into_iter().filter_map(move |at| {
        let depth = lines[at].len() - lines[at].trim_start().len();
        let end = format!("{}}}", " ".repeat(depth));
        let body = lines[at..].iter().position(|line| *line == end)?;
        let declared = lines[at..].iter().position(|line| {
            line.ends_with(';') && line.starts_with(&" ".repeat(depth)) && !line.starts_with(&" ".repeat(depth + 1))
        });
        declared.is_none_or(|declared| declared > body || lines[at].ends_with('{')).then_some((at + 1, body + 1))
    })
}

fn is_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let known = ["pub", "pub(crate)", "pub(super)", "async", "const", "unsafe", "extern", "\"C\""];
    words.find(|word| !known.contains(word)) == Some("fn")
}

#[test]
fn functions_are_measured_to_their_last_brace() {
    let text =
        "fn a() {\n    x();\n}\n\nimpl B {\n    pub async fn c(\n        &self,\n    ) -> D {\n        y()\n    }\n}\n";
    assert_eq!(functions(text).collect::<Vec<_>>(), [(1, 3), (6, 5)]);
}
