/// How a guest gets into memory and with which registers it begins.
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.machine.boot;

import org.jspecify.annotations.NullMarked;
