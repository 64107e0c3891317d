"""Our own TV-L1 optical flow, see docs/flow.md."""
