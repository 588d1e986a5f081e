/// The roles that every tenant has. Others are records of the kind `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Does everything.
    Admin,
    /// Works on the rows of their team tree and reads the setup.
    Manager,
    /// Works on their own rows.
    Rep,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Admin, Self::Manager, Self::Rep];

    pub fn key(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Rep => "rep",
        }
    }

    pub fn of(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.key() == key)
    }
}
