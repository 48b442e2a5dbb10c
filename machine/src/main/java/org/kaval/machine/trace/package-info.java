/// A trace of what a guest does to its devices, for whoever writes one of the two.
///
/// A machine that is not traced has nothing of this in its way: {@link
/// org.kaval.machine.trace.TracedExits} is put between vCPUs and machine only when it is asked for.
///
/// ```
///    0.004211 vcpu-0       pio    write 0x3f8       1 0x4b               16550A UART
///    0.004390 vcpu-0       pci    read  00:00.0     4 0x29c08086         vendor
/// ```
///
/// are the seconds since the trace began, the thread, the kind, the direction, the address, the
/// size in bytes, the value, and the device or register. What virtio devices do is told in words.
@NullMarked
package org.kaval.machine.trace;

import org.jspecify.annotations.NullMarked;
