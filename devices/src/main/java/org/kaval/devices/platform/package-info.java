/// The devices of a PC's mainboard, as register files: what real hardware of the same name does, as
/// far as guests use it.
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.devices.platform;

import org.jspecify.annotations.NullMarked;
