//! Published documents.
