package org.kaval.machine.trace;

import org.kaval.devices.Bus;
import org.kaval.devices.Device;
import org.kaval.devices.pci.PciBus;
import org.kaval.vcpu.ExitHandler;
import org.kaval.vcpu.Vcpu;
import org.kaval.vcpu.VcpuExit;

/// Takes down what goes to a machine's {@link ExitHandler}, once the machine has answered.
public final class TracedExits implements ExitHandler {
    private final ExitHandler machine;
    private final Bus ports;
    private final Bus mmio;
    private final Trace trace;
    private final boolean tracesPorts;
    private final boolean tracesMemory;

    /// @param ports tells the devices' names
    /// @param mmio likewise
    public TracedExits(ExitHandler machine, Bus ports, Bus mmio, Trace trace) {
        this.machine = machine;
        this.ports = ports;
        this.mmio = mmio;
        this.trace = trace;
        tracesPorts = trace.isOn(TraceKind.PIO) || trace.isOn(TraceKind.EXITS);
        tracesMemory = trace.isOn(TraceKind.MMIO) || trace.isOn(TraceKind.EXITS);
    }

    /// Takes down accesses to a bus's configuration space.
    public static PciBus.Observer pci(Trace trace) {
        return (write, bus, deviceFunction, offset, size, value) ->
                trace.add(
                        TraceKind.PCI,
                        () ->
                                line(
                                        write,
                                        "%02x:%02x.%x"
                                                .formatted(
                                                        bus,
                                                        deviceFunction >> 3,
                                                        deviceFunction & 7),
                                        size,
                                        value,
                                        PciRegister.name(offset)));
    }

    @Override
    public int portRead(int port, int size) {
        int value = machine.portRead(port, size);
        if (tracesPorts) {
            add(TraceKind.PIO, ports, false, port, size, value);
        }
        return value;
    }

    @Override
    public void portWrite(int port, int size, int value) {
        machine.portWrite(port, size, value);
        if (tracesPorts) {
            add(TraceKind.PIO, ports, true, port, size, value);
        }
    }

    @Override
    public long mmioRead(long address, int size) {
        long value = machine.mmioRead(address, size);
        if (tracesMemory) {
            add(TraceKind.MMIO, mmio, false, address, size, value);
        }
        return value;
    }

    @Override
    public void mmioWrite(long address, int size, long value) {
        machine.mmioWrite(address, size, value);
        if (tracesMemory) {
            add(TraceKind.MMIO, mmio, true, address, size, value);
        }
    }

    @Override
    public boolean exited(Vcpu vcpu, VcpuExit exit) {
        if (trace.isOn(TraceKind.EXITS)) {
            trace.add(TraceKind.EXITS, exit::toString);
        }
        return machine.exited(vcpu, exit);
    }

    @Override
    public void broken(Vcpu vcpu, Throwable bug) {
        machine.broken(vcpu, bug);
    }

    private void add(TraceKind kind, Bus bus, boolean write, long address, int size, long value) {
        // now: the guest may move devices
        String device = bus.deviceAt(address).map(Device::toString).orElse("no device");
        trace.add(kind, () -> line(write, "0x%x".formatted(address), size, value, device));
    }

    private static String line(boolean write, String address, int size, long value, String what) {
        long shown = size < Long.BYTES ? value & ((1L << (size * Byte.SIZE)) - 1) : value;
        return "%-5s %-11s %d %-18s %s"
                .formatted(write ? "write" : "read", address, size, "0x%x".formatted(shown), what);
    }
}
