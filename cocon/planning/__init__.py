"""What a run will cost before it is started: hours, bytes, jobs, and what waits for what."""
