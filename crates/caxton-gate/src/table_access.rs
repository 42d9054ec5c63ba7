//! Accesses to shared tables.

use std::fmt;

use caxton_model::Permission;

use crate::{
    Access, Malformed,
    access::{
        check_name,
        sealed::{About, Sealed},
    },
    shown::Shown,
    subject::Subject,
};

macro_rules! table_accesses {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            name: Box<str>,
            keys: usize,
        }
        impl $name {
            #[doc = "So many keys of the table of that name; which ones is not for the audit.\n\nErrors: [`Malformed`]."]
            pub fn new(name: &str, keys: usize) -> Result<Self, Malformed> {
                check_name(name, false)
                    .map(|()| Self { name: name.into(), keys })
                    .map_err(|problem| Malformed::new(Permission::$name, name, problem))
            }
            /// The table, without its namespace, which is the guest's own.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.name
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (table, keys) = (Shown(&self.name), self.keys);
                let plural = if keys == 1 { "key" } else { "keys" };
                write!(f, "table {table}, {keys} {plural}")
            }
        }
        impl Access for $name {}
        impl Sealed for $name {
            fn permissions(&self) -> &[Permission] {
                &[Permission::$name]
            }
            fn subject(&self) -> About<'_> {
                About(Subject::name(&self.name))
            }
        }
    )*};
}

table_accesses! {
    /// Reading rows of a shared table.
    DataRead;
    /// Writing or deleting rows of a shared table.
    DataWrite;
}
