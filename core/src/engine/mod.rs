//! The records engine: one way in, one way out, for every kind.
//!
//! Typed where rules are ([`Record`]), erased where mechanism is ([`Shape`], [`Resource`]).

mod cell;
mod draft;
mod field;
mod history;
mod intervals;
mod record;
mod registry;
mod shape;
mod store;
mod visible;
mod write;

pub use self::{
    cell::{bind_cell, read_cell},
    field::{Field, FieldAccess, FieldType, date, instant, print_instant},
    history::{Change, changes},
    intervals::{Interval, Move, move_intervals},
    record::{Record, Saved, Since},
    registry::{Operation, Registry, Resource, Verdict, Written},
    shape::{Column, Scope, Shape},
    visible::{visible, within},
};
