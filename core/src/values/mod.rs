//! Values that know their own rules. Text forms are checked where input is read (`parse`), never when a stored row is
//! read back: a rule made stricter must not hide what is already there.

mod currency;
pub mod json;
mod money;
mod number;
mod reach;
mod text;

pub use currency::{Currency, digits, unusual_digits};
pub use money::{Money, decimal};
pub use number::{double, exact, normal};
pub use reach::{Address, Handles, OptOut, OptOuts, OtherEmail, OtherEmails, OtherPhone, OtherPhones, Skills};
pub use text::{Country, Email, Phone, Url};
