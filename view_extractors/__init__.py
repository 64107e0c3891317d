"""Views of videos: frames, optical flow, person masks and poses, inferred into HDF5 shards."""
