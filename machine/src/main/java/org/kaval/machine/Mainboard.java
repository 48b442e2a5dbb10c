package org.kaval.machine;

import java.io.IOException;
import java.time.InstantSource;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.SerialConsole;
import org.kaval.devices.pci.PciBus;
import org.kaval.devices.pci.PciConfigPorts;
import org.kaval.devices.pci.PciEcam;
import org.kaval.devices.pci.PciHostBridge;
import org.kaval.devices.platform.AcpiPm;
import org.kaval.devices.platform.CmosRtc;
import org.kaval.devices.platform.DebugExit;
import org.kaval.devices.platform.I8042;
import org.kaval.devices.platform.PostCodePort;
import org.kaval.devices.platform.PvPanic;
import org.kaval.devices.platform.SystemControlPort;
import org.kaval.devices.platform.Uart16550;
import org.kaval.devices.platform.VmGeneration;
import org.kaval.devices.virtio.VirtioConsole;
import org.kaval.devices.virtio.VirtioDevice;
import org.kaval.linux.ErrnoException;
import org.kaval.machine.acpi.AcpiHardware;
import org.kaval.machine.acpi.AcpiTables;
import org.kaval.machine.acpi.PcDevices;
import org.kaval.machine.acpi.PciSegment;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.Topology;

/// The devices that a machine has without being asked: how each is made, where it is and what ACPI
/// says of it. A method is a {@link DeviceFactory}.
///
/// Attached by the building thread; the buttons are for any thread then.
final class Mainboard {
    private final SerialConsole console;
    private @Nullable AcpiPm powerManagement;
    private @Nullable I8042 keyboard;
    private @Nullable Uart16550 serialPort;
    private @Nullable PostCodePort postCodes;
    private @Nullable VirtioConsole virtioConsole;
    private @Nullable VmGeneration generation;

    Mainboard(SerialConsole console) {
        this.console = console;
    }

    SerialConsole console() {
        return console;
    }

    /// @return whether the guest listens
    boolean powerButton() {
        AcpiPm device = powerManagement;
        return device != null && device.powerButton();
    }

    /// @return whether the keyboard took it
    boolean ctrlAltDelete() {
        I8042 device = keyboard;
        return device != null && device.ctrlAltDelete();
    }

    /// What the guest has done with its serial port.
    Uart16550.Use serialUse() {
        Uart16550 device = serialPort;
        return device == null ? new Uart16550.Use(false, 0, false) : device.use();
    }

    /// Whether the guest has printed nothing.
    boolean isSilent() {
        return serialUse().sent() == 0 && !console.virtioUsed();
    }

    /// Says how large the window is that shows the virtio console, if there is one.
    void resizeConsole(int columns, int rows) {
        VirtioConsole device = virtioConsole;
        if (device != null) {
            device.resize(columns, rows);
        }
    }

    /// The last POST codes, oldest first.
    List<Integer> postCodes() {
        PostCodePort device = postCodes;
        return device == null ? List.of() : device.recent();
    }

    void attachSerialPort(MachineContext machine) throws ErrnoException {
        var uart = new Uart16550(console, machine.interruptLine(Uart16550.COM1_IRQ));
        console.connect(uart::portChanged);
        machine.ports().add(Uart16550.COM1, uart);
        machine.persist("serial0", uart);
        machine.describe(PcDevices.com1());
        serialPort = uart;
    }

    void attachVirtioConsole(
            MachineContext machine, Function<VirtioDevice, DeviceFactory> transport)
            throws IOException {
        var device = new VirtioConsole("virtio-console0", console.virtioPort());
        transport.apply(device).attach(machine);
        virtioConsole = device;
    }

    void attachGeneration(MachineContext machine) throws ErrnoException {
        var device = new VmGeneration(machine.memory(), machine.wantedLine(VmGeneration.IRQ));
        machine.persist("generation", device);
        machine.describe(PcDevices.generation());
        machine.describe(PcDevices.generationEvent());
        generation = device;
    }

    /// Tells the guest that its machine has become another one.
    void renewGeneration() throws ErrnoException {
        VmGeneration device = generation;
        if (device != null) {
            device.renew();
        }
    }

    /// @param panicked is called on a vCPU's thread
    static void attachPanicNotifier(MachineContext machine, Runnable panicked) {
        machine.ports().add(PvPanic.PORTS, new PvPanic(panicked));
        machine.describe(PcDevices.panicNotifier());
    }

    void attachDebugExit(MachineContext machine) {
        machine.ports()
                .add(
                        DebugExit.PORTS,
                        new DebugExit(code -> machine.end(new VmOutcome.DebugExit(code))));
    }

    void attachPowerManagement(MachineContext machine) throws ErrnoException {
        var device =
                new AcpiPm(
                        System::nanoTime,
                        machine.timer("ACPI timer"),
                        machine.levelLine(AcpiPm.SCI),
                        () -> machine.end(new VmOutcome.PoweredOff()));
        machine.ports().add(AcpiPm.PORTS, device);
        machine.persist("acpi", device);
        powerManagement = device;
    }

    void attachClock(MachineContext machine) throws ErrnoException {
        List<GuestRange> ram = machine.memory().ranges();
        long low = ram.getFirst().end();
        var device =
                new CmosRtc(
                        InstantSource.system(),
                        machine.timer("CMOS RTC"),
                        machine.interruptLine(CmosRtc.IRQ),
                        low,
                        machine.memory().size() - low);
        machine.ports().add(CmosRtc.PORTS, device);
        machine.persist("rtc", device);
        machine.describe(PcDevices.rtc());
    }

    void attachKeyboard(MachineContext machine) throws ErrnoException {
        var device = new I8042(machine.interruptLine(I8042.KEYBOARD_IRQ), restart(machine));
        machine.ports().add(I8042.PORTS, device);
        machine.persist("i8042", device);
        machine.describe(PcDevices.keyboard());
        keyboard = device;
    }

    void attachSystemControl(MachineContext machine) {
        var device = new SystemControlPort(restart(machine));
        machine.ports().add(SystemControlPort.PORTS, device);
        machine.persist("system-control", device);
    }

    void attachPostCodes(MachineContext machine) {
        var device = new PostCodePort();
        machine.ports().add(PostCodePort.PORTS, device);
        machine.persist("post-codes", device);
        postCodes = device;
    }

    void attachPci(MachineContext machine) {
        var ports = new PciConfigPorts(machine.pci(), restart(machine));
        machine.ports().add(PciConfigPorts.PORTS, ports);
        machine.persist("pci-ports", ports);
        machine.persist("pci", machine.pci());
        machine.mmio().add(AddressMap.PCI_ECAM, new PciEcam(machine.pci()));
        machine.pci().add(0, 0, PciHostBridge.create(AddressMap.PCI_ECAM.base()));
    }

    /// Puts the ACPI tables into the machine's memory, once all devices are there.
    static AcpiTables writeTables(Machine machine, Topology topology) {
        List<Integer> apicIds =
                IntStream.range(0, topology.vcpus()).map(topology::apicId).boxed().toList();
        var pci =
                new PciSegment(
                        AddressMap.PCI_ECAM,
                        AddressMap.PCI_PORTS,
                        machine.pciMemory(),
                        PciBus::gsi);
        try {
            return AcpiTables.write(
                    machine.memory(), new AcpiHardware(apicIds, pci, machine.described()));
        } catch (IllegalArgumentException e) {
            // what Kaval has itself fits
            throw new ConfigException("devices", String.valueOf(e.getMessage()));
        }
    }

    private static Runnable restart(MachineContext machine) {
        return () -> machine.end(new VmOutcome.Rebooted());
    }
}
