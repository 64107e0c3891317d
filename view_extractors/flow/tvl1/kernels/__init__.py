"""The fused kernels of TV-L1 in Triton, and how they are launched.

All planes are contiguous, (pairs, channels, H, W): flow u, v; dual ux, vx, uy, vy (of u and v in x, in y);
data rho, nx, ny, bound, see :func:`view_extractors.flow.tvl1.warping.linearise`. Flow and pictures are
float32; dual and data may be float16, and everything is computed in float32. ``pairs`` names those that are
worked on, in any order; the others stay unchanged. The result for a pair does not depend on which others
there are: programs are laid out by the picture's size alone.

Importing the modules imports Triton.
"""
