//! Text as tokens.

pub mod special;

pub use special::SpecialTokens;
