//! Compiling in a process of its own, and compiled code that outlives the process.

use std::{fs, path::Path, time::Duration};

use ripen_core::ports::PluginHost;
use ripen_plugins::{CacheSettings, Compiler, Host, HostLimits, HostSettings};

use crate::{
    guest::Guest,
    support::{call, score},
};

fn host(directory: &Path, secret: &[u8], compiler: Compiler) -> Host {
    let cache = Some(CacheSettings { directory: directory.into(), secret: secret.into() });
    Host::new(HostSettings { cache, compiler, ..HostSettings::default() }).expect("a host")
}

/// A compiler that does what the shell does with `script`.
fn shell(script: &str) -> Compiler {
    Compiler::Child { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()] }
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("the cache directory")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), fs::read(path).expect("a file")))
        .collect();
    files.sort();
    files
}

#[test]
fn compiled_code_is_loaded_again_only_if_this_server_signed_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let guest = Guest::default();
    score(&host(path, b"secret", Compiler::Here), &guest).expect("compiled");
    let written = files(path);
    assert_eq!(written.len(), 1);

    let cannot_compile = || shell("exit 9");
    score(&host(path, b"secret", cannot_compile()), &guest).expect("loaded");
    let failure = score(&host(path, b"another", cannot_compile()), &guest).expect_err("signed with another secret");
    assert_eq!(failure.detail, "the compiler ended with exit code 9");

    for position in [0, 40, written[0].1.len() - 1] {
        let mut tampered = written[0].1.clone();
        tampered[position] ^= 1;
        fs::write(&written[0].0, tampered).expect("written");
        assert!(score(&host(path, b"secret", cannot_compile()), &guest).is_err(), "byte {position} was changed");
    }
    fs::write(&written[0].0, b"short").expect("written");
    score(&host(path, b"secret", Compiler::Here), &guest).expect("compiled again");
    score(&host(path, b"secret", cannot_compile()), &guest).expect("loaded again");
    assert_eq!(files(path).len(), 1);
}

#[test]
fn one_plugins_code_cannot_stand_in_for_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let here = host(path, b"secret", Compiler::Here);
    here.verify(Guest::default().bytes().into()).expect("verified");
    let first = files(path);
    let other = Guest { pages: 5, ..Guest::default() };
    let artefact = here.verify(other.bytes().into()).expect("verified").artefact;
    let name = files(path).into_iter().find(|(name, _)| name.contains(&*artefact.digest)).expect("a file").0;
    fs::write(&name, &first[0].1).expect("written");
    let failure = host(path, b"secret", shell("exit 9")).score(call(&artefact, 1)).expect_err("swapped");
    assert_eq!(failure.detail, "the compiler ended with exit code 9");
}

#[test]
fn a_compiler_that_fails_says_why_or_is_ended() {
    let compile = |script: &str| {
        let limits = HostLimits { compile_time: Duration::from_millis(500), ..HostLimits::default() };
        let settings = HostSettings { limits, compiler: shell(script), ..HostSettings::default() };
        let host = Host::new(settings).expect("a host");
        host.verify(Guest::default().bytes().into()).expect_err("nothing was compiled")
    };
    let said = compile("cat > /dev/null; printf 'unknown instruction'; exit 3");
    assert_eq!((said.code, said.detail.as_str()), ("plugin_does_not_compile", "unknown instruction"));
    let late = compile("exec sleep 60");
    assert_eq!(late.code, "plugin_compile_limit");
    assert!(late.detail.contains("1 GiB"), "{}", late.detail);
    let bounded = compile("cat > /dev/null; printf \"$(ulimit -v) KiB, $(ulimit -t) s\"; exit 3");
    assert_eq!(bounded.detail, "1048576 KiB, 1 s");
    assert_eq!(compile("printf garbage").code, "plugin_host_failed");
}

#[test]
fn what_a_compiler_answers_is_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let guest = Guest::default();
    score(&host(directory.path(), b"secret", Compiler::Here), &guest).expect("compiled");
    // Behind the signature of the cached file lies what a compiler answers.
    let code = directory.path().join("code");
    fs::write(&code, &files(directory.path())[0].1[32..]).expect("written");
    let compiler = shell(&format!("cat > /dev/null; cat {}", code.display()));
    let host = Host::new(HostSettings { compiler, ..HostSettings::default() }).expect("a host");
    assert_eq!(score(&host, &guest).expect("an answer").output.values, [0.0]);
}
