//! Settings: built-in values, then a TOML file, then `RIPEN__SECTION__KEY` of the environment, then flags. A key nobody
//! knows is refused.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use config::{Environment, File, FileFormat};
use ipnet::IpNet;
use ripen_api::{Limits, Quotas, Settings};
use ripen_core::{
    access::{Cost, GateOptions},
    error::unknown,
    store::Fence,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the embedded database and compiled plugins are kept.
    pub dir: PathBuf,
    pub database: Database,
    pub server: Server,
    pub limits: RequestLimits,
    pub passwords: Passwords,
    pub mail: Mail,
    pub log: Log,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite://path` or `postgres://user:password@host/database`; an SQLite file in `dir` where nothing is said.
    pub url: Option<String>,
    /// Connections at once.
    pub connections: u32,
    /// What PostgreSQL itself keeps apart by tenant, beside the product: `writes`, `reads` (both) or `off`.
    pub row_security: Fence,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    pub listen: SocketAddr,
    /// Threads that serve requests.
    pub workers: usize,
    /// Seconds from the signal to stop until no new connection is taken, for load balancers to see `/readyz` change.
    pub drain_s: u64,
    /// Seconds that jobs then have to put themselves back, and after them open requests to finish.
    pub stop_s: u64,
    /// Networks of proxies whose `X-Forwarded-For` tells where a request comes from: `["10.0.0.0/8"]`; in the environment
    /// with commas between.
    pub trusted_proxies: Vec<IpNet>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Bytes of a JSON body.
    pub body_bytes: usize,
    /// Seconds for a JSON body to arrive; the sender of a file may pause as long.
    pub body_s: u64,
    /// Seconds for the head of a request to arrive.
    pub head_s: u64,
    /// Streams of changes that a tenant may have open at once.
    pub streams: usize,
    /// Exports that a tenant may have under way at once; each holds a connection to the database.
    pub exports: usize,
    /// Seconds after which a stream that has nothing to say shows that it lives.
    pub heartbeat_s: u64,
    /// Requests a minute of all users of a tenant together; 0: no limit.
    pub tenant_per_minute: u32,
    /// Requests a minute with one token or key; 0: no limit.
    pub token_per_minute: u32,
}

/// What argon2id spends on one password.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Passwords {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

/// How invitations and password resets are mailed. Without a server they are shown to the admin who asks for them.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// `smtps://user:password@host`, or `smtp://host:587?tls=required`.
    pub url: Option<String>,
    /// `Ripen <crm@example.com>`
    pub from: Option<String>,
    /// The page where a token is used, with `{token}` in its place: `https://crm.example.com/password#{token}`.
    pub link: Option<String>,
}

/// The URL may hold a password.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("from", &self.from).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `info`, or directives such as `warn,ripen_api=debug`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Json,
    Text,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: "ripen-data".into(),
            database: Database::default(),
            server: Server::default(),
            limits: RequestLimits::default(),
            passwords: Passwords::default(),
            mail: Mail::default(),
            log: Log::default(),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, connections: 16, row_security: Fence::Writes }
    }
}

/// The URL may hold a password.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Default for Server {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers,
            drain_s: 0,
            stop_s: 30,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            body_s: 30,
            head_s: 10,
            streams: 50,
            exports: 2,
            heartbeat_s: 15,
            tenant_per_minute: 600_000,
            token_per_minute: 120_000,
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Cost::default().into()
    }
}

impl From<Cost> for Passwords {
    fn from(Cost { memory_kib, passes, lanes }: Cost) -> Self {
        Self { memory_kib, passes, lanes }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Json }
    }
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the settings cannot be read")]
    Unreadable(#[from] config::ConfigError),
    #[error("settings: {0}")]
    UnknownKey(String),
}

impl Config {
    /// Settings of `file`, if there is one, and of the environment.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown (with the nearest known), or a value has the wrong type.
    pub fn load(file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let environment = Environment::with_prefix("RIPEN").prefix_separator("__").separator("__").try_parsing(true);
        let environment = environment.list_separator(",").with_list_parse_key("server.trusted_proxies");
        let mut sources = config::Config::builder();
        if let Some(file) = file {
            sources = sources.add_source(File::from(file).format(FileFormat::Toml));
        }
        Self::from_sources(sources.add_source(environment).build()?)
    }

    fn from_sources(sources: config::Config) -> Result<Self, ConfigError> {
        let given: Json = sources.clone().try_deserialize()?;
        let known = serde_json::to_value(Self::default()).unwrap_or_default();
        only_known(&given, &known, "").map_err(ConfigError::UnknownKey)?;
        Ok(sources.try_deserialize()?)
    }

    pub fn database_url(&self) -> String {
        let embedded = || format!("sqlite://{}", self.dir.join("ripen.db").display());
        self.database.url.clone().unwrap_or_else(embedded)
    }

    pub(crate) fn http(&self) -> Settings {
        Settings {
            listen: self.server.listen,
            workers: self.server.workers.max(1),
            head_time: Duration::from_secs(self.limits.head_s),
            stop_time: Duration::from_secs(self.server.stop_s),
        }
    }

    pub(crate) fn gate(&self) -> GateOptions {
        let Passwords { memory_kib, passes, lanes } = self.passwords;
        GateOptions { password_cost: Cost { memory_kib, passes, lanes }, ..GateOptions::default() }
    }

    pub(crate) fn quotas(&self) -> Quotas {
        Quotas { tenant: self.limits.tenant_per_minute, token: self.limits.token_per_minute }
    }

    pub(crate) fn limits(&self) -> Limits {
        let RequestLimits { body_bytes, body_s, heartbeat_s, .. } = self.limits;
        Limits {
            body: body_bytes,
            body_time: Duration::from_secs(body_s),
            heartbeat: Duration::from_secs(heartbeat_s.max(1)),
        }
    }
}

fn only_known(given: &Json, known: &Json, section: &str) -> Result<(), String> {
    let (Json::Object(given), Json::Object(known)) = (given, known) else { return Ok(()) };
    for (name, value) in given {
        let Some(known) = known.get(name) else {
            let names: Vec<_> = known.keys().map(|key| format!("{section}{key}")).collect();
            return Err(unknown("key", &format!("{section}{name}"), names.iter().map(String::as_str)));
        };
        only_known(value, known, &format!("{section}{name}."))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use config::FileFormat;

    use super::{Config, ConfigError, LogFormat};

    fn read(toml: &str) -> Result<Config, ConfigError> {
        let sources = config::Config::builder().add_source(config::File::from_str(toml, FileFormat::Toml));
        Config::from_sources(sources.build().unwrap())
    }

    #[test]
    fn keys_that_are_not_given_keep_their_values() {
        let config = read("[server]\nlisten = \"0.0.0.0:9000\"\n[log]\nformat = \"text\"\n").unwrap();
        assert_eq!(config.server.listen.port(), 9000);
        assert_eq!(config.server.stop_s, 30);
        assert_eq!(config.log.format, LogFormat::Text);
        assert_eq!(config.database_url(), "sqlite://ripen-data/ripen.db");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        let error = read("[server]\nlisen = \"0.0.0.0:9000\"\n").unwrap_err().to_string();
        assert!(error.contains("`server.lisen`; did you mean `server.listen`?"), "{error}");
        assert!(read("databse = 1\n").unwrap_err().to_string().contains("did you mean `database`?"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        assert!(matches!(read("[server]\nlisten = \"nowhere\"\n"), Err(ConfigError::Unreadable(_))));
        assert!(matches!(read("[log]\nformat = \"xml\"\n"), Err(ConfigError::Unreadable(_))));
    }
}
