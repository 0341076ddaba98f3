# SPDX-License-Identifier: GPL-2.0-or-later
"""Projects whose patches are posted to kernel lists and are for other trees.

Their names stand in the brackets (``[PATCH xfstests v2]``, ``[kvm-unit-tests PATCH]``),
as each project's own instructions ask.  What is not named here is told by its paths.
"""

from __future__ import annotations

_FILE_SYSTEMS = """
    blktests btrfs-progs cifs-utils dosfstools e2fsprogs erofs-utils exfatprogs f2fs-tools fstests
    fsverity-utils keyutils ksmbd-tools man-pages manpages nfs-utils nilfs-utils util-linux xfsdump
    xfsprogs xfstests
"""
_NETWORKS = """
    bluez bridge-utils conntrack-tools ethtool iproute2 iproute2-next iptables iputils iw libmnl
    libnetfilter_conntrack libnetfilter_queue libnfnetlink libnftnl net-tools nft nftables
    wireless-regdb wpa_supplicant
"""
_MACHINES = """
    edk2 grub ipxe kvm-unit-tests kvmtool libvirt opensbi ovmf qemu qemu-devel seabios u-boot uboot
"""
_DEVICES = """
    alsa-lib alsa-utils daxctl fio i2c-tools igt-gpu-tools libcamera libdrm libgpiod linux-firmware
    lvm2 mdadm mesa multipath-tools ndctl nvme-cli pciutils rdma-core sg3_utils usbutils v4l-utils
"""
_TOOLS = """
    audit-testsuite audit-userspace b4 dt-schema dwarves kexec-tools libabigail libseccomp
    libtraceevent libtracefs ltp pahole rt-tests selinux-testsuite smatch stress-ng trace-cmd
"""

OTHER_PROJECTS = frozenset((_FILE_SYSTEMS + _NETWORKS + _MACHINES + _DEVICES + _TOOLS).split())
"""In lower case."""
OWN_PREFIXES = frozenset(
    name for name in OTHER_PROJECTS if name.endswith(("-progs", "-tools", "-tests", "-utils"))
)
"""Those that some begin a title with (``btrfs-progs: …``); other names are subsystems', too."""
