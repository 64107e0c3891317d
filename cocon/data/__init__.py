"""From shards to network input: sampling, cropping, caching and augmentation."""
