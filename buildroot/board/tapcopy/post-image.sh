#!/usr/bin/env bash
# Packs the firmware with what Buildroot has built; Buildroot calls it with its folder of images.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
images=$1

export ARCH=x86_64
kernel=$images/bzImage
if [ ! -e "$kernel" ]; then
    ARCH=aarch64 kernel=$images/Image
fi
version=$(find "$TARGET_DIR/lib/modules" -mindepth 1 -maxdepth 1 -printf '%f\n' | head -1)
if [ -z "$version" ]; then
    echo "$0: no kernel modules in $TARGET_DIR" >&2
    exit 1
fi

export GRUB_LIBRARY=$TARGET_DIR/usr/lib/grub
STRIP=$(find "$HOST_DIR/bin" -name '*-buildroot-linux-gnu-strip' | head -1)
export STRIP
"$here/../../../images/pack" "$TARGET_DIR/usr/bin/tapcopy" "$kernel" "$TARGET_DIR" "$version" "$images/tapcopy"
