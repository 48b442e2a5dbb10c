package org.kaval.machine;

import java.io.IOException;

/// Puts a device into a machine that is being built: makes it, and puts it on a bus.
///
/// ```java
/// Vm.builder().device(machine -> machine.ports().add(new GuestRange(0x510, 4), new Counter()))
/// ```
@FunctionalInterface
public interface DeviceFactory {
    void attach(MachineContext machine) throws IOException;
}
