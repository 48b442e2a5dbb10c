/// Guests for tests and the demo: built by code from Debian packages, the same bytes each time,
/// without root.
///
/// {@link org.kaval.guests.ArtifactCache} keeps what is dear to make, for all processes of a user.
/// {@link org.kaval.guests.DebianPackages} fills it with unpacked packages, of which {@link
/// org.kaval.guests.DebianKernel} is one kind; {@link org.kaval.guests.Initramfs} and {@link
/// org.kaval.guests.Ext4Image} make of them what a machine boots.
///
/// ```java
/// var packages = new DebianPackages(ArtifactCache.ofUser());
/// DebianKernel kernel = DebianKernel.cloud(packages);
/// Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
///         .modules(kernel.modules("virtio_pci", "virtio_blk"))
///         .init("mount -t devtmpfs dev /dev; . /lib/modules/insert; poweroff -f\n")
///         .writeTo(directory.resolve("initramfs.cpio"));
/// Ext4Image.create(directory.resolve("disk"), tree, Ext4Image.estimate(tree), "data");
/// ```
///
/// Programs of the host do part of the work. One that fails is an {@link java.io.IOException} with
/// one line for the user: the program, what it was to do, and what it said last. A thread that is
/// interrupted while it waits for one kills it. Any thread may use any class unless it says
/// otherwise. Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.guests;

import org.jspecify.annotations.NullMarked;
