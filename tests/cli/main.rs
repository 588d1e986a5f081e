//! The program as a stranger starts it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets what it did not expect fails"
)]

mod crash;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value as Json;

const PASSWORD: &str = "a password of the tests";

fn ripen(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ripen"));
    command.arg("--dir").arg(dir).env_remove("RIPEN_CONFIG");
    command
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the program prints UTF-8")
}

/// Compares with the file beside this test; `UPDATE_SNAPSHOTS=1` writes it.
fn is_snapshot(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&path).unwrap_or_default(), "{name}: review, then UPDATE_SNAPSHOTS=1");
}

#[test]
fn the_demo_prints_the_control_figures_and_imports_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let printed = |arguments: &[&str]| {
        let done = output(ripen(dir.path()).arg("demo").args(arguments));
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout).replace(&dir.path().display().to_string(), "DIR")
    };
    is_snapshot("demo.txt", &printed(&["--once", "--password", PASSWORD]));
    is_snapshot("demo-again.txt", &printed(&["--once"]));
    let files = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let beside: Vec<_> = files.filter(|name| name.ends_with("-wal") || name.ends_with("-shm")).collect();
    assert_eq!(beside, [""; 0], "a database that nobody uses is one file");
}

/// A demo that serves, ended with the test.
struct Serving {
    program: Child,
    lines: Vec<String>,
}

impl Serving {
    fn start(dir: &Path) -> Self {
        let mut program = ripen(dir)
            .args(["demo", "--listen", "127.0.0.1:0", "--password", PASSWORD])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut printed = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut lines = Vec::new();
        while lines.iter().filter(|line: &&String| line.contains("curl -s")).count() < 3 {
            match printed.next() {
                Some(line) => lines.push(line.unwrap()),
                None => break,
            }
        }
        Self { program, lines }
    }

    fn address(&self) -> &str {
        let serving = self.lines.iter().find_map(|line| line.strip_prefix("Serving on "));
        serving.and_then(|rest| rest.split(';').next()).expect("the demo says where it serves")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Runs shell lines one after another in one shell and answers with what each printed.
fn shell(lines: &[String]) -> Vec<String> {
    let script = lines.join("\necho; echo '<<end>>'\n") + "\n";
    let done = output(Command::new("sh").args(["-c", &script]));
    assert!(done.status.success(), "{}", text(&done.stderr));
    text(&done.stdout).split("<<end>>\n").map(|part| part.trim().to_owned()).collect()
}

#[test]
fn the_lines_that_demo_and_readme_give_to_try_work_as_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Serving::start(dir.path());
    let lines: Vec<_> = demo.lines.iter().filter(|line| line.contains("curl -s")).cloned().collect();
    let answers = shell(&lines);
    let score: Json = serde_json::from_str(&answers[1]).expect(&answers[1]);
    assert_eq!(score["data"][0]["subject"]["kind"], "company");
    let terms: f64 =
        score["data"][0]["contributions"].as_array().unwrap().iter().map(|t| t["value"].as_f64().unwrap()).sum();
    assert!((terms - score["data"][0]["value"].as_f64().unwrap()).abs() < 1e-9, "{score}");
    let paused: Json = serde_json::from_str(&answers[2]).expect(&answers[2]);
    assert_eq!(paused["state"], "paused");

    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let lines: Vec<_> = readme
        .lines()
        .filter(|line| line.contains("curl -s"))
        .map(|line| line.replace("http://127.0.0.1:8080", demo.address()).replace("PASSWORD", PASSWORD))
        .collect();
    assert_eq!(lines.len(), 5, "the README gives five lines");
    for (line, answer) in lines.iter().zip(shell(&lines)).skip(1) {
        let answer: Json = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{line}\n{answer}"));
        assert!(answer.get("code").is_none(), "{line}\n{answer}");
    }
}

#[test]
fn plugin_commands_inspect_test_and_run_a_component() {
    let dir = tempfile::tempdir().unwrap();
    let rfm = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/rfm/rfm.wasm");
    let run = |arguments: &[&str]| {
        let done = output(ripen(dir.path()).arg("plugin").args(arguments));
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout)
    };
    let rfm = rfm.to_str().unwrap();
    assert!(run(&["inspect", rfm]).starts_with("rfm@1.0.0"));
    assert!(run(&["test", rfm]).contains("an upload would accept it"));
    let data = dir.path().join("data.csv");
    fs::write(&data, "id,recency_days,orders,revenue\nann,5,9,90000\nbob,400,1,1000\ncy,,0,0\n").unwrap();
    let scored = run(&["run", rfm, data.to_str().unwrap(), "--kind", "scorer"]);
    let rows: Vec<_> = scored.lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2], ["cy", "not scored: no recency_days"]);
    let value = |row: &[&str]| row[1].parse::<f64>().unwrap();
    assert!(value(&rows[0]) > value(&rows[1]), "{scored}");
}

#[test]
fn a_component_compiles_in_a_process_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let rfm = fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/rfm/rfm.wasm")).unwrap();
    let done = ripen(dir.path()).args(["plugin", "compile-child"]).stdin(rfm).output().unwrap();
    assert!(done.status.success() && done.stdout.len() > 100_000, "{}", text(&done.stderr));
    let mut child = ripen(dir.path())
        .args(["plugin", "compile-child"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut why = String::new();
    child.stdout.take().unwrap().read_to_string(&mut why).unwrap();
    assert!(!child.wait().unwrap().success(), "nothing is no component");
}

#[test]
fn mistakes_on_the_command_line_are_named_and_fail() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("ripen.toml");
    fs::write(&settings, "[server]\nlisen = \"127.0.0.1:0\"\n").unwrap();
    let done = output(ripen(dir.path()).arg("--config").arg(&settings).arg("doctor"));
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("did you mean `server.listen`?"), "{}", text(&done.stderr));
    let done = output(ripen(dir.path()).arg("serve"));
    assert!(!done.status.success());
    assert!(text(&done.stderr).contains("ripen migrate"), "{}", text(&done.stderr));
    let nowhere = dir.path().join("nowhere");
    let done = output(ripen(&nowhere).arg("doctor"));
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stdout).contains("there is none at"), "{}", text(&done.stdout));
    assert!(!nowhere.exists(), "who looks makes nothing");
    assert_eq!(output(ripen(dir.path()).arg("sing")).status.code(), Some(2));
}

#[test]
fn a_list_of_the_settings_can_stand_in_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let migrated =
        |proxies: &str| output(ripen(dir.path()).arg("migrate").env("RIPEN__SERVER__TRUSTED_PROXIES", proxies));
    for proxies in ["10.0.0.0/8", "10.0.0.0/8,::1/128"] {
        let done = migrated(proxies);
        assert!(done.status.success(), "{}", text(&done.stderr));
    }
    assert!(!migrated("10.0.0.0/8,nowhere").status.success());
}

/// A server that ends with the test, and its address.
fn serving(dir: &Path) -> (Serving, String) {
    let mut program = ripen(dir)
        .args(["serve", "--migrate", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let lines = BufReader::new(program.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = |line: String| serde_json::from_str::<Json>(&line).ok()?.get("address")?.as_str().map(str::to_owned);
    let address = { lines }.find_map(address).expect("the server says where it serves");
    (Serving { program, lines: Vec::new() }, address)
}

#[test]
fn a_server_that_is_told_twice_to_end_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, address) = serving(dir.path());
    let mut open = TcpStream::connect(&address).unwrap();
    let head =
        "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    open.write_all(head.as_bytes()).unwrap();
    let tell = || {
        std::thread::sleep(Duration::from_millis(700));
        assert!(Command::new("kill").arg(server.program.id().to_string()).status().unwrap().success());
    };
    tell();
    tell(); // it waits for the open request, so it is there to be told
    let told = Instant::now();
    while server.program.try_wait().unwrap().is_none() {
        assert!(told.elapsed() < Duration::from_secs(10), "it waits for the open request");
        std::thread::sleep(Duration::from_millis(20));
    }
}
