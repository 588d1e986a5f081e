//! Write a [Ripen](https://github.com/ripen-crm/ripen) plugin in Rust: a pure function of facts about many subjects.
//!
//! The host computes the facts that the manifest's `[inputs]` declare and sends them as columns; the plugin answers
//! with a value or a label for each row. There is no clock, no randomness, no file and no network inside: the same
//! facts give the same bytes on every machine.
//!
//! ```
//! use ripen_plugin::{Context, Inputs, Money, Plugin, Score, Scorer, ripen_plugin};
//! use serde::Deserialize;
//!
//! #[derive(Inputs)]
//! struct Facts {
//!     orders: f64,
//!     revenue: Money,
//! }
//!
//! #[derive(Deserialize)]
//! struct Config {
//!     points_per_order: f64,
//! }
//!
//! struct Loyalty {
//!     config: Config,
//! }
//!
//! impl Plugin for Loyalty {
//!     type Config = Config;
//!     type Inputs = Facts;
//!
//!     fn new(config: Config, _: &Context) -> Result<Self, String> {
//!         Ok(Self { config })
//!     }
//! }
//!
//! impl Scorer for Loyalty {
//!     fn score(&self, row: &Facts) -> Score {
//!         let orders = (self.config.points_per_order * row.orders).min(60.0);
//!         let money = if row.revenue >= Money(100_000) { 40.0 } else { 0.0 };
//!         Score::new(orders + money).contribution("orders", orders).contribution("money", money)
//!     }
//! }
//!
//! ripen_plugin!(scorer: Loyalty);
//!
//! // In a test, natively: no server and no wasm toolchain.
//! use ripen_plugin::{Frame, testing};
//! let frame = Frame::of("orders", [2.0, 9.0]).with("revenue", [Money(5_000), Money(250_000)]);
//! let scores = testing::score::<Loyalty>(r#"{"points_per_order": 5}"#, &Context::default(), &frame)?;
//! assert_eq!(scores.values, [10.0, 85.0]);
//! # Ok::<(), String>(())
//! ```
//!
//! Build for `wasm32-unknown-unknown` and pack with the manifest: `ripen plugin build`, `ripen plugin pack`.
#![warn(missing_docs)]

#[doc(hidden)]
pub mod bindings;
mod check;
mod context;
mod few;
mod frame;
#[doc(hidden)]
pub mod guest;
pub mod log;
mod plugin;
mod reason;
mod score;
mod segment;
pub mod testing;
mod value;

pub use bindings::shared::ripen::frame::types::{Context, Frame};
pub use context::Statistic;
pub use plugin::{Inputs, Plugin, Scorer, Segmenter};
pub use reason::{Arg, Reason};
pub use ripen_plugin_derive::Inputs;
pub use score::Score;
pub use segment::Segment;
pub use value::{Money, Value};

/// Facts and answers by column, as they cross the border of the sandbox. Needed only where a plugin overrides
/// [`Scorer::score_columns`] or [`Segmenter::segment_columns`], and in tests.
pub mod columns {
    pub use crate::bindings::{
        scorer::exports::ripen::score::scorer::{Figure, Scores},
        segmenter::exports::ripen::segment::segmenter::Segments,
        shared::ripen::frame::types::{Column, Field, Reason, Series, Texts, Words},
    };
}

/// Exports a plugin's kinds, once in a crate: `ripen_plugin!(scorer: Rfm, segmenter: Rfm);`.
///
/// A scorer is a [`Scorer`], a segmenter a [`Segmenter`]; each kind has an instance of its own. Outside wasm the macro
/// only checks the types, so that `cargo test` needs no wasm toolchain.
#[macro_export]
macro_rules! ripen_plugin {
    ($($kind:ident: $plugin:ty),+ $(,)?) => {
        $($crate::__export_kind!($kind, $plugin);)+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_kind {
    (scorer, $plugin:ty) => {
        const _: () = {
            struct Export;
    ::std::thread_local!(static PLUGIN: $crate::guest::Slot<$plugin> = const { $crate::guest::Slot::new() });
            impl $crate::bindings::scorer::exports::ripen::score::scorer::Guest for Export {
                fn init(config: String, cx: $crate::Context) -> Result<(), String> {
                    PLUGIN.with(|slot| slot.init(&config, &cx))
                }
                fn score(rows: $crate::Frame) -> Result<$crate::columns::Scores, String> {
                    PLUGIN.with(|slot| slot.call(|plugin| $crate::guest::score(plugin, &rows)))
                }
            }
            #[cfg(target_arch = "wasm32")]
    $crate::bindings::scorer::export_scorer!(Export with_types_in $crate::bindings::scorer);
        };
    };
    (segmenter, $plugin:ty) => {
        const _: () = {
            struct Export;
    ::std::thread_local!(static PLUGIN: $crate::guest::Slot<$plugin> = const { $crate::guest::Slot::new() });
            impl $crate::bindings::segmenter::exports::ripen::segment::segmenter::Guest for Export {
                fn init(config: String, cx: $crate::Context) -> Result<(), String> {
                    PLUGIN.with(|slot| slot.init(&config, &cx))
                }
                fn segment(rows: $crate::Frame) -> Result<$crate::columns::Segments, String> {
                    PLUGIN.with(|slot| slot.call(|plugin| $crate::guest::segment(plugin, &rows)))
                }
            }
            #[cfg(target_arch = "wasm32")]
    $crate::bindings::segmenter::export_segmenter!(Export with_types_in $crate::bindings::segmenter);
        };
    };
}

/// The plugin that the repository's README shows.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
