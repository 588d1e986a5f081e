//! Rebuilds the committed components with their digests: `cargo run -p ripen-plugins --example build_guests`.
//!
//! Compilers differ in their bytes, so a rebuild changes the files even where the plugin behaves the same.

use std::{error::Error, fs, path::Path};

use ripen_plugins::{digest, pack::pack, toolchain};

/// Crates with a `plugin.toml`, from the repository's root; each keeps its component beside it, named after the folder.
const GUESTS: [&str; 2] = ["plugins/rfm", "tests/plugins/hostile"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for guest in GUESTS {
        let dir = root.join(guest);
        let name = Path::new(guest).file_name().unwrap_or_default().to_string_lossy().into_owned() + ".wasm";
        let component = pack(&toolchain::build(&dir)?, &dir.join("plugin.toml"))?;
        let digest = digest(&component);
        fs::write(dir.join(&name), &component)?;
        fs::write(dir.join(format!("{name}.sha256")), format!("{digest}  {name}\n"))?;
        println!("{guest}/{name}: {} bytes, {digest}", component.len());
    }
    Ok(())
}
