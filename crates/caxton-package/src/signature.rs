//! Function types, small enough to compare and to print.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a value at the border between guest and host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// 32-bit integer; pointers and lengths too.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
    /// A reference.
    Ref,
}

/// The type of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Signature {
    /// What it takes.
    pub params: Vec<ValueType>,
    /// What it gives.
    pub results: Vec<ValueType>,
}

impl Signature {
    /// Reads the short form of the tables: `i` i32, `I` i64, `f` f32, `F` f64, `>` before results.
    #[must_use]
    pub fn short(text: &str) -> Self {
        let (params, results) = text.split_once('>').unwrap_or((text, ""));
        let read = |part: &str| {
            part.chars()
                .filter_map(|c| match c {
                    'i' => Some(ValueType::I32),
                    'I' => Some(ValueType::I64),
                    'f' => Some(ValueType::F32),
                    'F' => Some(ValueType::F64),
                    _ => None,
                })
                .collect()
        };
        Self {
            params: read(params),
            results: read(results),
        }
    }
    /// Whether it is the one that the short form names.
    #[must_use]
    pub fn is(&self, short: &str) -> bool {
        *self == Self::short(short)
    }
    pub(crate) fn of(ty: &wasmparser::FuncType) -> Self {
        let read = |types: &[wasmparser::ValType]| types.iter().map(|ty| value_type(*ty)).collect();
        Self {
            params: read(ty.params()),
            results: read(ty.results()),
        }
    }
}

const fn value_type(ty: wasmparser::ValType) -> ValueType {
    match ty {
        wasmparser::ValType::I32 => ValueType::I32,
        wasmparser::ValType::I64 => ValueType::I64,
        wasmparser::ValType::F32 => ValueType::F32,
        wasmparser::ValType::F64 => ValueType::F64,
        wasmparser::ValType::V128 => ValueType::V128,
        wasmparser::ValType::Ref(_) => ValueType::Ref,
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
            Self::Ref => "ref",
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, types: &[ValueType]| {
            // A hostile type may have a thousand parameters; a reader needs a few.
            for (i, ty) in types.iter().take(12).enumerate() {
                write!(f, "{}{ty}", if i == 0 { "" } else { ", " })?;
            }
            if types.len() > 12 {
                write!(f, ", … {} in all", types.len())
            } else {
                Ok(())
            }
        };
        f.write_str("(")?;
        list(f, &self.params)?;
        f.write_str(")")?;
        match self.results.as_slice() {
            [] => Ok(()),
            [one] => write!(f, " -> {one}"),
            several => {
                f.write_str(" -> (")?;
                list(f, several)?;
                f.write_str(")")
            }
        }
    }
}
