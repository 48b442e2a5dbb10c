/// Snapshots of machines: a folder, and what is in it.
///
/// ```
/// manifest.json        version, processor, memory, topology; the parts with their sizes and sums
/// state-<id>.json      what vCPUs, interrupt controllers, clocks and devices know
/// memory-<id>          guest memory, the regions one behind the other; zero pages are holes
/// lock                 held by whoever writes
/// ```
///
/// A new snapshot is written beside the old one's parts, and becomes the folder's by one rename of
/// its manifest; then the old parts go. So a crash at any moment leaves one of both, whole.
///
/// The manifest ends with a check sum of itself. It and the state are read and checked before
/// anything is made of them. Memory is mapped from its file and read when the guest touches it, so
/// its sum is checked only when somebody asks ({@link
/// org.kaval.machine.snapshot.Snapshot#checkMemory}).
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.machine.snapshot;

import org.jspecify.annotations.NullMarked;
