//! Builds a guest crate in Rust with whatever toolchain the machine has.
//!
//! Plugins are built for `wasm32-unknown-unknown`: the wasip1 and wasip2 targets import `wasi:*`, which no plugin may.
//! The standard library for it comes ready with rustup (`rustup target add`); a distribution's compiler can make it from
//! its own source (cargo's build-std).

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::Value as Json;

const TARGET: &str = "wasm32-unknown-unknown";
const LINKER_VARIABLE: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(
        "no Cargo.toml in {}: only Rust crates are built here; build other languages with their own tools and pack the \
         component", .0.display()
    )]
    NotRust(PathBuf),
    #[error(
        "no Rust toolchain for {TARGET}: run `rustup target add {TARGET}`, or on Debian \
         `apt-get install rustc cargo rust-src lld`"
    )]
    NoToolchain,
    #[error("{program} could not be run: {source}")]
    Run { program: String, source: io::Error },
    #[error("cargo failed to build {}; its messages are above", .0.display())]
    Failed(PathBuf),
    #[error("{} builds no wasm file: its [lib] needs crate-type = [\"cdylib\"]", .0.display())]
    NoArtefact(PathBuf),
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
}

/// Builds the crate in `dir` for release and gives the core module. Cargo's messages go to standard error.
///
/// # Errors
/// No toolchain, or one that fails; the message says what to run.
pub fn build(dir: &Path) -> Result<Vec<u8>, BuildError> {
    if !dir.join("Cargo.toml").is_file() {
        return Err(BuildError::NotRust(dir.into()));
    }
    let toolchain = Toolchain::find().ok_or(BuildError::NoToolchain)?;
    let mut command = toolchain.command();
    command.args(["--config", &toolchain.remapping(dir)]).current_dir(dir).stderr(Stdio::inherit()).args([
        "--release",
        "--target",
        TARGET,
    ]);
    command.args(["--message-format", "json-render-diagnostics"]);
    let output = command.output().map_err(|source| BuildError::Run { program: "cargo".into(), source })?;
    if !output.status.success() {
        return Err(BuildError::Failed(dir.into()));
    }
    let path = built(&output.stdout).ok_or_else(|| BuildError::NoArtefact(dir.into()))?;
    std::fs::read(&path).map_err(|source| BuildError::Read { path, source })
}

/// The wasm file among cargo's messages, which name each artefact on a line of its own; the crate itself comes last.
fn built(messages: &[u8]) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        filenames: Vec<PathBuf>,
    }
    let lines = messages.split(|byte| *byte == b'\n').rev();
    let mut files =
        lines.filter_map(|line| serde_json::from_slice::<Message>(line).ok()).flat_map(|line| line.filenames);
    files.find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

/// A compiler with its cargo, and where the standard library for the target comes from.
struct Toolchain {
    rustc: PathBuf,
    cargo: PathBuf,
    sysroot: PathBuf,
    library: Library,
    /// Where the compiler brings none.
    linker: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq)]
enum Library {
    Ready,
    FromSource,
}

impl Toolchain {
    /// One with a ready library before one that must make it, the user's own before the distribution's.
    fn find() -> Option<Self> {
        let compilers = [("rustc", "cargo"), ("/usr/bin/rustc", "/usr/bin/cargo")];
        let find = |library| compilers.iter().find_map(|(rustc, cargo)| Self::with(rustc, cargo, library));
        find(Library::Ready).or_else(|| find(Library::FromSource))
    }

    fn with(rustc: &str, cargo: &str, library: Library) -> Option<Self> {
        let sysroot = print(rustc, &["--print", "sysroot"])?;
        let found = match library {
            Library::Ready => has_library(&sysroot.join("lib/rustlib").join(TARGET).join("lib")),
            Library::FromSource => sysroot.join("lib/rustlib/src/rust/library/std").is_dir(),
        };
        let linker = if linkers_of(&sysroot).next().is_some() { None } else { Some(other_linker()?) };
        found.then(|| Self { rustc: rustc.into(), cargo: cargo.into(), sysroot, library, linker })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        command.env("RUSTC", &self.rustc).arg("build");
        // Cargo leaves its own compiler's libraries here for what it runs; another compiler must not load them.
        command.env_remove("LD_LIBRARY_PATH");
        if let (Some(linker), None) = (&self.linker, env::var_os(LINKER_VARIABLE)) {
            command.env(LINKER_VARIABLE, linker);
        }
        if self.library == Library::FromSource {
            command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        }
        command
    }

    /// Panic messages name source files: where they lie on the author's machine is nobody's business, and the bytes
    /// should not depend on it.
    fn remapping(&self, dir: &Path) -> String {
        let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo_home = cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
        let library = self.sysroot.join("lib/rustlib/src/rust");
        let prefixes = [(cargo_home, "cargo"), (Some(library), "rust"), (Some(repository_of(dir)), ".")];
        let flags = prefixes.into_iter().filter_map(|(from, to)| Some((from?, to)));
        let flags = flags.map(|(from, to)| Json::from(format!("--remap-path-prefix={}={to}", from.display())));
        format!("target.{TARGET}.rustflags={}", flags.collect::<Json>())
    }
}

/// The nearest folder above that holds a repository, else `dir`.
fn repository_of(dir: &Path) -> PathBuf {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.into());
    dir.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&dir).into()
}

fn print(program: &str, args: &[&str]) -> Option<PathBuf> {
    let output = Command::new(program).args(args).env_remove("LD_LIBRARY_PATH").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().into())
}

fn has_library(dir: &Path) -> bool {
    entries(dir).any(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libstd-")))
}

/// The linker that a toolchain brings for itself.
fn linkers_of(sysroot: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    entries(&sysroot.join("lib/rustlib")).map(|host| host.join("bin/rust-lld")).filter(|linker| linker.is_file())
}

/// A linker for wasm from another toolchain or the system.
fn other_linker() -> Option<PathBuf> {
    let of_rustup = print("rustc", &["--print", "sysroot"]).into_iter().flat_map(|sysroot| linkers_of(&sysroot));
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin"));
    let dirs: Vec<_> = env::split_paths(&path).collect();
    let named =
        dirs.iter().flat_map(|dir| ["rust-lld", "wasm-ld"].map(|name| dir.join(name))).filter(|file| file.is_file());
    // Debian installs wasm-ld with its version: wasm-ld-21.
    let versioned = dirs
        .iter()
        .flat_map(|dir| entries(dir))
        .filter(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wasm-ld-")));
    of_rustup.chain(named).chain(versioned).next()
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| entry.ok().map(|entry| entry.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wasm_file_among_the_messages_is_the_crates_own() {
        let messages = br#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","filenames":["/t/other.wasm"]}
{"reason":"compiler-artifact","filenames":["/t/rfm.wasm","/t/librfm.rlib"]}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(built(messages), Some(PathBuf::from("/t/rfm.wasm")));
        assert_eq!(built(b"{\"reason\":\"build-finished\"}\nplain text"), None);
    }

    #[test]
    fn a_folder_without_a_crate_is_no_rust_plugin() {
        let dir = tempfile::tempdir().unwrap();
        assert!(build(dir.path()).unwrap_err().to_string().starts_with("no Cargo.toml in "));
    }
}
