#!/bin/sh
# Removes native binaries of other platforms from node_modules and prebuilds: the image runs on one.
# usage: keep-platform.sh DIR [PLATFORM ARCH], such as linux x64
set -eu
dir=$1
platform=${2:-$(node -p process.platform)}
arch=${3:-$(node -p process.arch)}
for folder in "$dir"/node_modules/onnxruntime-node/bin/napi-v*/*/*; do
  case $folder in
    */"$platform"/"$arch") ;;
    *) rm -rf "$folder" ;;
  esac
done
for folder in "$dir"/native/prebuilds/*; do
  case $folder in
    */"$platform-$arch") ;;
    *) rm -rf "$folder" ;;
  esac
done
