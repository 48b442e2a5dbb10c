/// Guests for tests and the demo: built by code from Debian packages, the same bytes each time,
/// without root.
///
/// {@link org.kaval.guests.ArtifactCache} keeps what is dear to make, for all processes of a user.
///
/// Programs of the host do part of the work. One that fails is an {@link java.io.IOException} with
/// one line for the user: the program, what it was to do, and what it said last. A thread that is
/// interrupted while it waits for one kills it. Any thread may use any class unless it says
/// otherwise. Nothing is null unless a type says {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.guests;

import org.jspecify.annotations.NullMarked;
