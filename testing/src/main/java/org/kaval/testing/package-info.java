/// What a test says about the machine that it needs, and the means to give it one.
///
/// {@link org.kaval.testing.NeedsKvm} and {@link org.kaval.testing.NeedsHardwareVirtualization} are
/// JUnit tags. {@link org.kaval.testing.InPlaceFilter} keeps those tests from Jupiter that the
/// machine cannot run; {@link org.kaval.testing.NestedHostEngine} runs them, and all that need KVM,
/// in a nested host; {@link org.kaval.testing.AlsoOnVtX} marks those few that run in one with VT-x
/// as well. Both are found by JUnit's launcher: having this module on the class path is enough, in
/// Maven as in an IDE.
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.testing;

import org.jspecify.annotations.NullMarked;
