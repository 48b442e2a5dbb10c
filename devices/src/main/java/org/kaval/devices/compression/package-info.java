/// Zstandard, for disk images with compressed clusters and, above this module, kernels; and what
/// decoders of any format read from and write to. It is read here because the libraries for it
/// contain native code, or access memory unchecked through `sun.misc.Unsafe`, about which the JDK
/// warns.
///
/// Input is hostile: nothing but {@link org.kaval.devices.compression.CorruptDataException} is
/// thrown for it, and nothing is written beyond the output. Nothing is null unless a type says
/// {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.devices.compression;

import org.jspecify.annotations.NullMarked;
