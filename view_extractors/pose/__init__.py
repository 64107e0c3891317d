"""Human poses as COCO keypoints."""
