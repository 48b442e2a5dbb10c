/// Decompresses what kernels are compressed with, from memory into memory of a known size.
///
/// {@link org.kaval.machine.compression.Compression} knows the formats. xz and LZMA come from the
/// `xz` library, gzip from the JDK, Zstandard from {@link org.kaval.devices.compression}, because
/// disk images need it too. The others are read here: the libraries for them either contain native
/// code, or access memory unchecked through `sun.misc.Unsafe`, about which the JDK warns, or bring
/// AWT into a runtime image.
///
/// Input is hostile: nothing but {@link org.kaval.devices.compression.CorruptDataException} is
/// thrown for it, and nothing is written beyond the output. Nothing is null unless a type says
/// {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.machine.compression;

import org.jspecify.annotations.NullMarked;
