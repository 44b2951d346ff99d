//! Numbers of token files, by the names that NumPy gives them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whole numbers, the least significant byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// Bytes.
    Uint8,
    /// 16 bits, as nanoGPT and llm.c write.
    Uint16,
    /// 32 bits.
    Uint32,
    /// 64 bits.
    Uint64,
    /// 16 bits with a sign.
    Int16,
    /// 32 bits with a sign, as Megatron writes for large vocabularies.
    Int32,
    /// 64 bits with a sign, as PyTorch saves tensors.
    Int64,
}

impl TokenType {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Uint8, Self::Uint16, Self::Uint32, Self::Uint64, Self::Int16, Self::Int32, Self::Int64];

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::Uint8 => 1,
            Self::Uint16 | Self::Int16 => 2,
            Self::Uint32 | Self::Int32 => 4,
            Self::Uint64 | Self::Int64 => 8,
        }
    }

    /// Its code in NumPy's headers, without the order of bytes.
    pub fn numpy(self) -> &'static str {
        match self {
            Self::Uint8 => "u1",
            Self::Uint16 => "u2",
            Self::Uint32 => "u4",
            Self::Uint64 => "u8",
            Self::Int16 => "i2",
            Self::Int32 => "i4",
            Self::Int64 => "i8",
        }
    }

    /// The number at the beginning of `bytes`, which must hold one.
    pub fn read(self, bytes: &[u8]) -> i128 {
        let mut eight = [0; 8];
        eight[..self.bytes()].copy_from_slice(&bytes[..self.bytes()]);
        let unsigned = u64::from_le_bytes(eight);
        match self {
            Self::Uint8 | Self::Uint16 | Self::Uint32 | Self::Uint64 => i128::from(unsigned),
            Self::Int16 => i128::from((unsigned as u16).cast_signed()),
            Self::Int32 => i128::from((unsigned as u32).cast_signed()),
            Self::Int64 => i128::from(unsigned.cast_signed()),
        }
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_their_sign_and_named_as_in_a_spec() {
        let minus_two = (-2_i64).to_le_bytes();
        let read = TokenType::ALL.map(|dtype| dtype.read(&minus_two));
        assert_eq!(read, [254, 65_534, 4_294_967_294, i128::from(u64::MAX) - 1, -2, -2, -2]);
        for dtype in TokenType::ALL {
            assert_eq!(serde_json::to_string(&dtype).unwrap(), format!("\"{dtype}\""));
        }
    }
}
