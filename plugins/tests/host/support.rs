use std::{sync::Arc, time::Duration};

use ripen_core::ports::{
    Answer, Artefact, Call, Column, Frame, FrameField, PluginFailure, PluginHost, RunContext, Scores,
};
use ripen_plugins::{Host, HostLimits, HostSettings};

use crate::guest::Guest;

pub fn host() -> Host {
    with_limits(patient())
}

/// The server's limits, but for the clock: a busy machine must not end a guest that is to meet another limit.
pub fn patient() -> HostLimits {
    let time = Duration::from_mins(1);
    HostLimits { init_time: time, call_time: time, ..HostLimits::default() }
}

pub fn with_limits(limits: HostLimits) -> Host {
    Host::new(HostSettings { limits, ..HostSettings::default() }).expect("a host")
}

pub fn context() -> RunContext {
    RunContext {
        as_of_ms: 0,
        timezone: "UTC".into(),
        currency: "USD".into(),
        currency_digits: 2,
        seed: 1,
        statistics: "{}".into(),
        model: None,
    }
}

/// A call over `rows` rows of the input `orders`.
pub fn call(artefact: &Artefact, rows: u32) -> Call {
    let orders = FrameField {
        name: "orders".into(),
        unit: None,
        column: Column::Numbers((0..rows).map(f64::from).collect()),
        present: None,
    };
    Call {
        artefact: artefact.clone(),
        config: "{}".into(),
        context: Arc::new(context()),
        frame: Frame { rows, fields: vec![orders] },
    }
}

/// Uploads the guest and scores one row with it.
pub fn score(host: &Host, guest: &Guest) -> Result<Answer<Scores>, PluginFailure> {
    let verified = host.verify(guest.bytes().into())?;
    host.score(call(&verified.artefact, 1))
}

/// The code of what `result` failed with; afterwards the host must still do its work.
pub fn code_of<T: std::fmt::Debug>(host: &Host, result: Result<T, PluginFailure>) -> (&'static str, String) {
    let failure = result.expect_err("the guest should have failed");
    let good = score(host, &Guest::default()).expect("the host still answers");
    assert_eq!(good.output.values, [0.0]);
    (failure.code, failure.detail)
}
