//! Compiled code on disk, so that a start need not compile again. Only what this server signed is ever loaded.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wasmtime::{Engine, component::Component};

/// Bytes of the HMAC-SHA256 that opens every file.
const TAG: usize = 32;

pub(crate) struct CodeCache {
    directory: PathBuf,
    keyed: Hmac<Sha256>,
}

impl CodeCache {
    /// # Errors
    /// The directory cannot be made.
    pub(crate) fn open(directory: PathBuf, secret: &[u8]) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let keyed = Hmac::new_from_slice(secret).map_err(io::Error::other)?;
        Ok(Self { directory, keyed })
    }

    /// The component compiled before from the bytes with this digest; `None` where it is missing, not ours, or made by
    /// another engine.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest);
        let file = fs::read(&path).ok()?;
        let (tag, code) = file.split_at_checked(TAG)?;
        if self.mac(&path, code).verify_slice(tag).is_err() {
            tracing::warn!(path = %path.display(), "compiled code without this server's signature: compiling again");
            return None;
        }
        #[expect(unsafe_code, reason = "the HMAC shows that this server wrote these bytes")]
        let component = unsafe { Component::deserialize(engine, code) };
        component.inspect_err(|error| tracing::warn!(%error, path = %path.display(), "cached code does not load")).ok()
    }

    /// Keeps compiled code. Failing to is no error: the next start compiles again.
    pub(crate) fn store(&self, component: &Component, digest: &str) {
        let path = self.path(component.engine(), digest);
        let written = component.serialize().map_err(io::Error::other).and_then(|code| self.write(&path, &code));
        if let Err(error) = written {
            tracing::warn!(%error, path = %path.display(), "compiled code could not be kept");
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let unique = format!("{}-{}.tmp", process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
        let temporary = path.with_extension(unique);
        let tag = self.mac(path, code).finalize().into_bytes();
        let written =
            fs::write(&temporary, [tag.as_slice(), code].concat()).and_then(|()| fs::rename(&temporary, path));
        written.inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    /// Over the name too, so that no file can stand in for another plugin or engine.
    fn mac(&self, path: &Path, code: &[u8]) -> Hmac<Sha256> {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        self.keyed.clone().chain_update(name).chain_update(code)
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.directory.join(format!("{digest}-{:016x}.cwasm", hasher.finish()))
    }
}
