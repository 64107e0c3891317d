#!/bin/sh
# Installs MMPose into the environment whose python comes first on the path, beside torch and torchvision.
# Without dependencies: those that the packages declare would bring a second OpenCV and need a compiler.
set -eu
exec python -m pip --disable-pip-version-check install --quiet --no-compile --no-deps \
    mmcv-lite==2.1.0 mmdet==3.3.0 mmengine==0.10.7 mmpose==1.3.2 \
    addict==2.4.0 contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 kiwisolver==1.5.1 \
    markdown-it-py==4.3.0 matplotlib==3.11.2 mdurl==0.1.2 munkres==3.0.0 pycocotools==2.0.11 \
    pyparsing==3.3.3 python-dateutil==4.0.0 rich==15.0.0 shapely==2.2.0 six==1.17.0 termcolor==3.3.0 \
    terminaltables==3.1.10 yapf==0.43.0
