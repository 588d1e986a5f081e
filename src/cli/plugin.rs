//! `ripen plugin`: what an author of plugins needs, with the server's own code and limits.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use ripen_core::ports::{Artefact, Capability, RunContext};
use ripen_plugins::{
    Host, HostLimits, HostSettings,
    author::{FileRow, Outcome, run_file},
    digest, inspect, pack, toolchain, trial,
};

#[derive(Subcommand)]
pub enum PluginCommand {
    /// Compile a plugin crate to WebAssembly and pack it with its manifest.
    Build {
        /// Folder of the crate, with `Cargo.toml` and `plugin.toml`.
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Where the component goes; default: `NAME.wasm` in the folder.
        #[arg(long, short)]
        out: Option<PathBuf>,
    },
    /// Pack a core module or component of any language with its manifest.
    Pack {
        code: PathBuf,
        #[arg(long, default_value = "plugin.toml")]
        manifest: PathBuf,
        #[arg(long, short)]
        out: PathBuf,
    },
    /// Say what a component is: name, version, contract, digest, size, imports, exports.
    Inspect { component: PathBuf },
    /// Make every check of an upload and run the plugin's fixtures in the sandbox.
    Test { component: PathBuf },
    /// Run a plugin over a CSV file whose columns are its inputs; a column `id` is handed through.
    Run(Run),
    /// Compile a component from standard input to standard output: what the server does in a process of its own.
    #[command(hide = true)]
    CompileChild,
}

#[derive(Args)]
pub struct Run {
    component: PathBuf,
    data: PathBuf,
    /// `scorer` or `segmenter`; default: the first kind of the manifest.
    #[arg(long)]
    kind: Option<String>,
    /// The plugin's configuration, JSON text.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    plugin_config: String,
    /// Business time, RFC 3339.
    #[arg(long, default_value = "2026-01-01T00:00:00Z")]
    as_of: DateTime<Utc>,
    /// ISO 4217 code of money columns.
    #[arg(long, default_value = "USD")]
    currency: String,
}

pub fn run(command: PluginCommand) -> Result<ExitCode, Box<dyn Error>> {
    let done = match command {
        PluginCommand::Build { dir, out } => build(&dir, out),
        PluginCommand::Pack { code, manifest, out } => write(&pack::pack(&read(&code)?, &manifest)?, &out),
        PluginCommand::Inspect { component } => describe(&read(&component)?),
        PluginCommand::Test { component } => test(&read(&component)?),
        PluginCommand::Run(options) => run_over(&options),
        PluginCommand::CompileChild => return Ok(ripen_plugins::compile_child()?),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn build(dir: &Path, out: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let manifest = dir.join("plugin.toml");
    let name = pack::load_manifest(&manifest)?.plugin.name;
    let component = pack::pack(&toolchain::build(dir)?, &manifest)?;
    write(&component, &out.unwrap_or_else(|| dir.join(format!("{name}.wasm"))))?;
    describe(&component)
}

fn read(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn write(component: &[u8], out: &Path) -> Result<(), Box<dyn Error>> {
    fs::write(out, component).map_err(|error| format!("{}: {error}", out.display()))?;
    println!("wrote {} ({} bytes)", out.display(), component.len());
    Ok(())
}

fn describe(component: &[u8]) -> Result<(), Box<dyn Error>> {
    let found = inspect(component, &HostLimits::default())?;
    let plugin = &found.manifest.plugin;
    let kinds: Vec<_> = plugin.kinds.iter().map(|kind| kind.as_str()).collect();
    println!("{}@{}  {}", plugin.name, plugin.version, plugin.description);
    println!("kinds     {}", kinds.join(", "));
    println!("subject   {}", plugin.subject);
    println!("contract  {}.{}.{}", found.api.0, found.api.1, found.api.2);
    println!("digest    sha256:{}", digest(component));
    println!("size      {} bytes", component.len());
    println!("imports   {}", found.imports.join(", "));
    println!("exports   {}", found.exports.join(", "));
    println!("reads");
    for (name, input) in &found.manifest.inputs {
        let window = input.window.as_deref().map(|window| format!(" over {window}")).unwrap_or_default();
        println!("  {name}: {}{window}{}", input.from, if input.required { ", required" } else { "" });
    }
    Ok(())
}

fn test(component: &[u8]) -> Result<(), Box<dyn Error>> {
    use ripen_core::ports::PluginHost as _;
    let host = Host::new(HostSettings::default())?;
    let artefact = artefact(component)?;
    let trials = trial::run(&host, &artefact)?;
    for trial in &trials {
        match &trial.outcome {
            Ok(cost) => {
                println!(
                    "ok      {} ({}, {} rows, {} fuel)",
                    trial.fixture,
                    trial.kind.as_str(),
                    trial.rows,
                    cost.fuel
                );
                for said in &cost.log {
                    println!("        {said}");
                }
            }
            Err(failure) => println!("failed  {}: {}", trial.fixture, failure.detail),
        }
    }
    let verified = host.verify(artefact.bytes)?;
    println!("an upload would accept it: {} fixtures, {} fuel a row", verified.fixtures, verified.fuel_per_row);
    Ok(())
}

fn artefact(component: &[u8]) -> Result<Artefact, Box<dyn Error>> {
    let manifest = inspect(component, &HostLimits::default())?.manifest;
    Ok(Artefact { digest: digest(component).into(), manifest: Arc::new(manifest), bytes: component.into() })
}

fn run_over(options: &Run) -> Result<(), Box<dyn Error>> {
    let artefact = artefact(&read(&options.component)?)?;
    let kinds = &artefact.manifest.plugin.kinds;
    let wanted = |kind: &&Capability| options.kind.as_deref().is_none_or(|name| name == kind.as_str());
    let kind = *kinds.iter().find(wanted).ok_or("the plugin has no such kind; see `ripen plugin inspect`")?;
    let currency = ripen_core::values::Currency::parse(&options.currency)?;
    let context = RunContext {
        as_of_ms: options.as_of.timestamp_millis(),
        timezone: "UTC".to_owned(),
        currency: currency.as_str().to_owned(),
        currency_digits: currency.digits(),
        seed: 0,
        statistics: "{}".to_owned(),
        model: None,
    };
    let data = File::open(&options.data).map_err(|error| format!("{}: {error}", options.data.display()))?;
    let host = Host::new(HostSettings::default())?;
    let rows =
        run_file(&host, &artefact, kind, &options.plugin_config, context, data, &mut |said| eprintln!("{said}"))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = rows.iter().try_for_each(|row| writeln!(out, "{}", line(row))).and_then(|()| out.flush());
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()), // whoever reads has read enough
        other => Ok(other?),
    }
}

/// One row of the answer: its id or line, then what the plugin said, tab-separated.
fn line(row: &FileRow) -> String {
    let id = row.id.clone().unwrap_or_else(|| format!("line {}", row.line));
    let pairs =
        |parts: &[(String, f64)]| parts.iter().map(|(code, n)| format!("{code}={n}")).collect::<Vec<_>>().join(" ");
    match &row.outcome {
        Outcome::Score { value, contributions } => format!("{id}\t{value}\t{}", pairs(contributions)),
        Outcome::Labels(labels) => format!("{id}\t{}", labels.keys().cloned().collect::<Vec<_>>().join(" ")),
        Outcome::Declined(reason) => format!("{id}\tdeclined: {reason}"),
        Outcome::NotScored(input) => format!("{id}\tnot scored: no {input}"),
    }
}
