//! A PostgreSQL cluster of this process: made from the installed binaries, thrown away when the process ends.
//! `RIPEN_TEST_POSTGRES` names one that is there already instead.

use std::{
    net::TcpListener,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

struct Cluster {
    url: String,
    /// Ends the cluster when its standard input closes, which it does however this process ends.
    _watch: Option<Child>,
}

/// URL without a database, `postgres://postgres@127.0.0.1:40123`; `None` where there is no PostgreSQL.
pub fn url() -> Option<&'static str> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(cluster).as_ref().map(|cluster| cluster.url.as_str())
}

fn cluster() -> Option<Cluster> {
    if let Ok(url) = std::env::var("RIPEN_TEST_POSTGRES") {
        return Some(Cluster { url: url.trim_end_matches('/').to_owned(), _watch: None });
    }
    match binaries() {
        Some(bin) => Some(start(&bin)),
        None if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("CI needs PostgreSQL's binaries"),
        None => {
            println!("skipped on PostgreSQL: no initdb in PATH or /usr/lib/postgresql, no RIPEN_TEST_POSTGRES");
            None
        }
    }
}

fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    versions.sort_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    let packaged = versions.iter().rev().map(|version| version.path().join("bin"));
    std::env::split_paths(&path).chain(packaged).find(|dir| dir.join("initdb").exists() && dir.join("pg_ctl").exists())
}

fn start(bin: &Path) -> Cluster {
    let dir = tempfile::Builder::new().prefix("ripen-postgres-").tempdir().unwrap().keep();
    if root() {
        run(Command::new("chown").arg("postgres").arg(&dir));
    }
    let data = dir.join("data");
    run(plain(&bin.join("initdb")).arg("-D").arg(&data).args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"]));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c full_page_writes=off \
         -c synchronous_commit=off -c max_connections=300"
    );
    let log = dir.join("log");
    run(plain(&bin.join("pg_ctl")).arg("-D").arg(&data).arg("-l").arg(&log).args(["-w", "-o", &options, "start"]));
    let mut watch = plain(Path::new("/bin/sh"));
    let wait = r#"cat >/dev/null; "$1/pg_ctl" -D "$2/data" -m immediate stop; rm -rf "$2""#;
    let watch = watch
        .args(["-c", wait, "sh"])
        .args([bin, &dir])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0) // outlives an interrupt from the terminal
        .spawn()
        .unwrap();
    Cluster { url: format!("postgres://postgres@127.0.0.1:{port}"), _watch: Some(watch) }
}

/// As a user that PostgreSQL agrees to run as.
fn plain(program: &Path) -> Command {
    if !root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

fn run(command: &mut Command) {
    let status = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{command:?}: {status:?}");
}
