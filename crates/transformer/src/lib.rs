//! Neural machine translation with attention.
