/// What a guest's ports and memory-mapped registers lead to.
///
/// A {@link org.kaval.devices.Device} is a register file; a {@link org.kaval.devices.Bus} finds it
/// by address; an {@link org.kaval.devices.InterruptLine} (edges) or a {@link
/// org.kaval.devices.LevelLine} is how it calls the guest; an {@link org.kaval.devices.EventLoop}
/// waits for the host on its behalf, a {@link org.kaval.devices.DeviceTimer} for the time. None of
/// them knows a vCPU.
///
/// A device's own lock, if it has one, is taken last but for what a line, a timer or a change of a
/// bus needs: no device calls another device while it holds it. Nothing is null unless a type says
/// {@link org.jspecify.annotations.Nullable}.
@NullMarked
package org.kaval.devices;

import org.jspecify.annotations.NullMarked;
