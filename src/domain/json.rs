//! Strict JSON: no duplicate member names, bounded depth (RFC 8725 §2.6).
