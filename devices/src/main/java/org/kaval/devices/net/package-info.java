/// What is at the other end of a guest's network cable.
///
/// A {@link org.kaval.devices.net.NetBackend} takes the frames that a guest sends and has those
/// that it gets: a tap device of the host's, a Unix socket, or a network stack that is a process of
/// its own. Frames are read into guest memory and written from it, without a copy.
@NullMarked
package org.kaval.devices.net;

import org.jspecify.annotations.NullMarked;
