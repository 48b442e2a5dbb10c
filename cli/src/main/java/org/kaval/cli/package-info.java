/// The command `kaval`: what a person types, and what a terminal shows.
///
/// A command is one class and one line in {@link org.kaval.cli.Kaval}. Results go to standard
/// output; errors are one line on standard error, which {@link org.kaval.cli.Errors} makes of an
/// exception.
///
/// Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.cli;

import org.jspecify.annotations.NullMarked;
