/// What a test says about the machine that it needs: {@link org.kaval.ci.NeedsKvm}.
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.ci;

import org.jspecify.annotations.NullMarked;
