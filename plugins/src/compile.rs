//! Compiling: in a process of its own whose time and memory are bounded, where the server names one.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
};

use ripen_core::ports::PluginFailure;
use wasmtime::{Engine, component::Component};

use crate::{
    codes, engine,
    limits::{HostLimits, show_size},
};

/// Who compiles.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// This process. The size limit and one compilation at a time are all that bounds it.
    #[default]
    Here,
    /// A process that runs [`compile_child`] and is ended when it takes too long.
    Child { program: PathBuf, args: Vec<String> },
}

impl Compiler {
    /// # Errors
    /// The component does not compile, or not within the limits.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        bytes: &[u8],
        limits: &HostLimits,
    ) -> Result<Component, PluginFailure> {
        match self {
            Self::Here => Component::from_binary(engine, bytes).map_err(|error| does_not_compile(&error)),
            Self::Child { program, args } => {
                let code = in_child(&mut bounded(program, args, limits), bytes, limits)?;
                if Engine::detect_precompiled(&code).is_none() {
                    return Err(codes::HOST_FAILED.because("the compiler answered something else than compiled code"));
                }
                #[expect(unsafe_code, reason = "the code comes from this program's own compiler")]
                let component = unsafe { Component::deserialize(engine, code) };
                component.map_err(|error| does_not_compile(&error))
            }
        }
    }
}

fn does_not_compile(error: &wasmtime::Error) -> PluginFailure {
    codes::DOES_NOT_COMPILE.because(format!("{error:#}"))
}

const SHELL: &str = "/bin/sh";

/// Exit code of a child that says on its standard output why the component does not compile.
const SAID_WHY: u8 = 3;

/// Reads a component from standard input and writes its compiled code to standard output, or why there is none: what the
/// program named by [`Compiler::Child`] does before it ends with the exit code given here.
///
/// # Errors
/// Standard input or output cannot be used, or the processor cannot run compiled WebAssembly.
pub fn compile_child() -> io::Result<ExitCode> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let engine = Engine::new(&engine::config(&HostLimits::default())).map_err(io::Error::other)?;
    let (answer, code) = match engine.precompile_component(&bytes) {
        Ok(code) => (code, ExitCode::SUCCESS),
        Err(error) => (format!("{error:#}").into_bytes(), ExitCode::from(SAID_WHY)),
    };
    let mut output = io::stdout().lock();
    output.write_all(&answer)?;
    output.flush()?;
    Ok(code)
}

/// The shell sets the limits of the process it then becomes. Where there is none, or it knows no such limit, only the
/// clock bounds the compiler.
fn bounded(program: &Path, args: &[String], limits: &HostLimits) -> Command {
    if !Path::new(SHELL).exists() {
        let mut command = Command::new(program);
        command.args(args);
        return command;
    }
    let mut command = Command::new(SHELL);
    command
        .args(["-c", "ulimit -v \"$1\"; ulimit -t \"$2\"; shift 2; exec \"$@\"", "sh"])
        .arg((limits.compile_memory >> 10).to_string())
        .arg(limits.compile_time.as_secs().max(1).to_string())
        .arg(program)
        .args(args);
    command
}

fn in_child(command: &mut Command, bytes: &[u8], limits: &HostLimits) -> Result<Vec<u8>, PluginFailure> {
    let failed = |error: io::Error| codes::HOST_FAILED.because(format!("the compiler cannot be run: {error}"));
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
    let answer = match (child.stdin.take(), child.stdout.take()) {
        (Some(input), Some(output)) => exchange(input, output, bytes, limits),
        _ => None,
    };
    end(&mut child, answer.is_none());
    let status = child.wait().map_err(failed)?;
    match (answer, status.code()) {
        (Some(code), Some(0)) => Ok(code),
        (Some(why), Some(code)) if code == i32::from(SAID_WHY) => {
            Err(codes::DOES_NOT_COMPILE.because(String::from_utf8_lossy(&why)))
        }
        (_, Some(code)) => Err(codes::HOST_FAILED.because(format!("the compiler ended with exit code {code}"))),
        // A signal: the clock's, the kernel's, or its own for want of memory.
        (_, None) => Err(codes::COMPILE_LIMIT.because(format!(
            "compiling took more than {} s or {}: make the component smaller",
            limits.compile_time.as_secs(),
            show_size(limits.compile_memory)
        ))),
    }
}

/// What the child answers; `None` when it does not within twice the processor time it has.
fn exchange(mut input: ChildStdin, mut output: ChildStdout, bytes: &[u8], limits: &HostLimits) -> Option<Vec<u8>> {
    let (done, answer) = mpsc::channel();
    thread::spawn(move || {
        let mut code = Vec::new();
        let read = output.read_to_end(&mut code);
        // The receiver is gone when the child was too late.
        let _ = done.send(read.map(|_| code));
    });
    // A child that ends early says more by its exit code than by the broken pipe.
    let _ = input.write_all(bytes);
    drop(input);
    answer.recv_timeout(limits.compile_time * 2).ok()?.ok()
}

fn end(child: &mut Child, late: bool) {
    if late && let Err(error) = child.kill() {
        tracing::warn!(%error, "the compiler could not be ended");
    }
}
