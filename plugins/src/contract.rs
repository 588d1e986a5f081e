//! The types every kind shares, generated from `sdk/wit/1`, and how the core's columns become them: by moving.

wasmtime::component::bindgen!({
    path: "../sdk/wit/1",
    inline: "package ripen:server; world shared { import ripen:frame/types@1.0.0; import ripen:host/log@1.0.0; }",
    imports: { default: trappable },
});

pub use ripen::frame::types as frame;
pub use ripen::host::log;

use ripen_core::ports;

/// Version of the contract this server speaks. It runs every plugin of the same major whose minor is not newer.
pub const API: (u16, u16, u16) = (1, 0, 0);

pub(crate) fn context(cx: &ports::RunContext) -> frame::Context {
    frame::Context {
        as_of_ms: cx.as_of_ms,
        timezone: cx.timezone.clone(),
        currency: cx.currency.clone(),
        currency_digits: cx.currency_digits,
        seed: cx.seed,
        statistics: cx.statistics.clone(),
        model: cx.model.clone(),
        extra: Vec::new(),
    }
}

impl From<ports::Frame> for frame::Frame {
    fn from(from: ports::Frame) -> Self {
        Self { rows: from.rows, fields: from.fields.into_iter().map(Into::into).collect() }
    }
}

impl From<ports::FrameField> for frame::Field {
    fn from(from: ports::FrameField) -> Self {
        Self { name: from.name, unit: from.unit, column: from.column.into(), present: from.present }
    }
}

impl From<ports::Column> for frame::Column {
    fn from(from: ports::Column) -> Self {
        match from {
            ports::Column::Numbers(values) => Self::Numbers(values),
            ports::Column::Integers(values) => Self::Integers(values),
            ports::Column::Booleans(values) => Self::Booleans(values),
            ports::Column::Texts(ports::Texts { dict, codes }) => Self::Texts(frame::Texts { dict, codes }),
            ports::Column::Words(ports::Words { dict, offsets, codes }) => {
                Self::Words(frame::Words { dict, offsets, codes })
            }
            ports::Column::Series(ports::Series { offsets, values }) => Self::Series(frame::Series { offsets, values }),
        }
    }
}

impl From<frame::Column> for ports::Column {
    fn from(from: frame::Column) -> Self {
        match from {
            frame::Column::Numbers(values) => Self::Numbers(values),
            frame::Column::Integers(values) => Self::Integers(values),
            frame::Column::Booleans(values) => Self::Booleans(values),
            frame::Column::Texts(frame::Texts { dict, codes }) => Self::Texts(ports::Texts { dict, codes }),
            frame::Column::Words(frame::Words { dict, offsets, codes }) => {
                Self::Words(ports::Words { dict, offsets, codes })
            }
            frame::Column::Series(frame::Series { offsets, values }) => Self::Series(ports::Series { offsets, values }),
        }
    }
}

impl From<frame::Reason> for ports::Reason {
    fn from(from: frame::Reason) -> Self {
        Self { code: from.code, rows: from.rows, args: from.args.into_iter().map(Into::into).collect() }
    }
}
