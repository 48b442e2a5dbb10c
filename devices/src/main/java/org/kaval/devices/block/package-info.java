/// What disks are kept in: files and block devices of the host, in the formats raw and qcow2.
///
/// ```java
/// try (BlockImage image = RawImage.open(Path.of("disk.img"), ImageOptions.WRITABLE)) {
///     image.read(0, IoVector.of(firstMebibyte));
/// }
/// ```
///
/// {@link org.kaval.devices.block.BlockImage} is what a disk of a guest reads and writes; it knows
/// nothing of guests. It is called by several threads at once and may block. What the host refuses
/// is an {@link java.io.IOException} with one line that names the file; what is wrong with an image
/// names the offset, too, and what was expected there.
///
/// **The format of an image is never guessed from its content.** A guest that can write a raw image
/// can write the header of a qcow2 image into its first sector, with a file of its choice as the
/// backing file. Were the format told by what is in the file, the guest would read that file of the
/// host after its next start (CVE-2026-27211). So the user says what the format is, or the file's
/// name does, which no guest can change.
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.devices.block;

import org.jspecify.annotations.NullMarked;
