//! Scaling laws with intervals. Knows observations only: no plan, no ledger, no burn.
