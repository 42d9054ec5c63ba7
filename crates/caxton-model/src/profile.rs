//! Which engine a guest runs on, and which features that engine allows.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What guest code may use, and how it is metered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum EngineProfile {
    /// SIMD, bulk memory, reference types, multi-value, tail calls; pre-empted by epochs.
    #[default]
    Hardened,
    /// Hardened, with fuel instead of epochs.
    Metered,
    /// Metered, with everything that could differ between two runs fixed.
    Deterministic,
    /// Hardened, with component async (WASI 0.3).
    Async,
    /// With garbage collection, exceptions and several memories, for languages that need them.
    Wide,
}

impl EngineProfile {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Hardened,
        Self::Metered,
        Self::Deterministic,
        Self::Async,
        Self::Wide,
    ];
    /// The name, as in manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hardened => "hardened",
            Self::Metered => "metered",
            Self::Deterministic => "deterministic",
            Self::Async => "async",
            Self::Wide => "wide",
        }
    }
    /// Whether guests under it burn fuel (and are then not pre-empted by epochs).
    #[must_use]
    pub const fn has_fuel(self) -> bool {
        matches!(self, Self::Metered | Self::Deterministic)
    }
}
impl fmt::Display for EngineProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for EngineProfile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|p| p.as_str() == text).ok_or_else(|| {
            format!("`{text}` is no engine profile; use hardened, metered, deterministic, async or wide")
        })
    }
}

/// What turns guest code into action.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// Native code by the Cranelift compiler.
    #[default]
    Cranelift,
    /// The Pulley interpreter: no executable memory, 12 to 60 times slower on computing.
    Pulley,
}
impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cranelift => "cranelift",
            Self::Pulley => "pulley",
        })
    }
}
impl FromStr for EngineKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cranelift" => Ok(Self::Cranelift),
            "pulley" => Ok(Self::Pulley),
            _ => Err(format!("`{text}` is no engine; use cranelift or pulley")),
        }
    }
}
