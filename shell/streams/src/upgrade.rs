//! What the upgrades of HTTP/1.1 connections share: who offers what, and what is answered.
