package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.devices.Device;
import org.kaval.devices.pci.PciBar;
import org.kaval.devices.pci.PciFunction;
import org.kaval.devices.pci.PciIdentity;
import org.kaval.machine.acpi.AcpiTables;
import org.kaval.machine.acpi.Aml;
import org.kaval.machine.boot.BootSource;
import org.kaval.testing.NeedsKvm;

/// The devices of the mainboard, as a guest meets them.
@NeedsKvm
class VmPcTest {
    private static VmBuilder builder(BootSource source) {
        return Vm.builder().memory(16 << 20).boot(source);
    }

    private static VmOutcome run(VmBuilder builder) throws Exception {
        try (Vm vm = builder.build()) {
            vm.start();
            return vm.awaitExit(Host.LIMIT);
        }
    }

    // @formatter:off

    static List<BootSource> restarts() {
        return List.of(
                Guests.real16( // ACPI's reset register, as the FADT has it
                        0xba, 0xf9, 0x0c, // mov dx, 0xcf9
                        0xb0, 0x06,       // mov al, 6
                        0xee,             // out dx, al
                        0xf4),            // hlt
                Guests.real16( // the keyboard controller's
                        0xb0, 0xfe,       // mov al, 0xfe
                        0xe6, 0x64,       // out 0x64, al
                        0xf4),            // hlt
                Guests.real16( // system control port A
                        0xe4, 0x92,       // in al, 0x92
                        0x0c, 0x01,       // or al, 1
                        0xe6, 0x92,       // out 0x92, al
                        0xf4));           // hlt
    }

    static List<BootSource> hostBridgeReaders() {
        return List.of(
                Guests.real16(
                        0x66, 0xb8, 0x00, 0x00, 0x00, 0x80, // mov eax, 0x80000000
                        0xba, 0xf8, 0x0c,                   // mov dx, 0xcf8
                        0x66, 0xef,                         // out dx, eax
                        0xb2, 0xfc,                         // mov dl, 0xfc
                        0x66, 0xed,                         // in eax, dx
                        0x66, 0xe7, 0xf4,                   // out 0xf4, eax
                        0xf4),                              // hlt
                Guests.protected32(
                        0xa1, 0x00, 0x00, 0x00, 0xe0,       // mov eax, [0xe0000000]
                        0xe7, 0xf4,                         // out 0xf4, eax
                        0xf4));                             // hlt
    }

    /// Waits with interrupt `irq`, 8 to 15, alone; exits with 0x66 when it comes.
    private static BootSource waitsFor(int irq, int... enable) {
        int vector = 4 * (0x70 + irq - 8) - 0x100; // the low byte of its place in the table
        int[] before = {
                0x31, 0xc0,                         // xor ax, ax
                0x8e, 0xd8,                         // mov ds, ax
                0xc7, 0x06, vector, 0x01,
                0x00, 0x7d,                         // mov word [vector*4], 0x7d00
                0xa3, vector + 2, 0x01,
                                                    // mov [vector*4+2], ax
                0xb0, 0x11,                         // mov al, 0x11: ICW1
                0xe6, 0x20, 0xe6, 0xa0,             // out 0x20, al; out 0xa0, al
                0xb0, 0x20,                         // mov al, 0x20: ICW2
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0x70,                         // mov al, 0x70
                0xe6, 0xa1,                         // out 0xa1, al
                0xb0, 0x04,                         // mov al, 0x04: ICW3
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0x02,                         // mov al, 0x02
                0xe6, 0xa1,                         // out 0xa1, al
                0xb0, 0x01,                         // mov al, 0x01: ICW4
                0xe6, 0x21, 0xe6, 0xa1,             // out 0x21, al; out 0xa1, al
                0xb0, 0xfb,                         // mov al, 0xfb: all but the other PIC
                0xe6, 0x21,                         // out 0x21, al
                0xb0, 0xff - (1 << (irq - 8)),       // mov al, all but the interrupt
                0xe6, 0xa1,                         // out 0xa1, al
        };
        int[] after = {
                0xfb,                               // sti
                0xf4,                               // wait: hlt
                0xeb, 0xfd,                         // jmp wait
        };
        int[] code = new int[0x106];
        System.arraycopy(before, 0, code, 0, before.length);
        System.arraycopy(enable, 0, code, before.length, enable.length);
        System.arraycopy(after, 0, code, before.length + enable.length, after.length);
        int[] handler = {
                0xb0, 0x66,                         // mov al, 0x66
                0xe6, 0xf4,                         // out 0xf4, al
                0xcf,                               // iret
        };
        System.arraycopy(handler, 0, code, 0x100, handler.length); // 0x7d00
        return Guests.real16(code);
    }

    /// Enables PWRBTN_EN, and waits for the SCI.
    private static BootSource waitsForThePowerButton() {
        return waitsFor(9,
                0xba, 0x02, 0x06, // mov dx, 0x602
                0xb8, 0x00, 0x01, // mov ax, 0x100
                0xef);            // out dx, ax
    }

    /// Enables the update interrupt of the clock, and waits for it.
    private static BootSource waitsForASecond() {
        return waitsFor(8,
                0xb0, 0x0b,  // mov al, 0x0b
                0xe6, 0x70,  // out 0x70, al
                0xb0, 0x12,  // mov al, 0x12: 24 hours, update
                0xe6, 0x71,  // out 0x71, al
                0xb0, 0x0c,  // mov al, 0x0c
                0xe6, 0x70,  // out 0x70, al
                0xe4, 0x71); // in al, 0x71
    }

    /// Exits with the first scan code.
    private static BootSource waitsForAKey() {
        return Guests.real16(
                0xe4, 0x64,  // wait: in al, 0x64
                0xa8, 0x01,  // test al, 1
                0x74, 0xfa,  // jz wait
                0xe4, 0x60,  // in al, 0x60
                0xe6, 0xf4,  // out 0xf4, al
                0xf4);       // hlt
    }

    /// Exits with the century.
    private static BootSource looksAtTheClock() {
        return Guests.real16(
                0xb0, 0x32,  // mov al, 0x32
                0xe6, 0x70,  // out 0x70, al
                0xe4, 0x71,  // in al, 0x71
                0xe6, 0xf4,  // out 0xf4, al
                0xf4);       // hlt
    }

    /// Waits until the timer of ACPI has moved, and exits with 5.
    private static BootSource waitsForTheTimer() {
        return Guests.real16(
                0xba, 0x08, 0x06,  // mov dx, 0x608
                0x66, 0xed,        // in eax, dx
                0x66, 0x89, 0xc3,  // mov ebx, eax
                0x66, 0xed,        // wait: in eax, dx
                0x66, 0x39, 0xd8,  // cmp eax, ebx
                0x74, 0xf9,        // jz wait
                0xb0, 0x05,        // mov al, 5
                0xe6, 0xf4,        // out 0xf4, al
                0xf4);             // hlt
    }

    /// Switches the memory of PCI device 1 on, and exits with what is at its first BAR.
    private static BootSource readsABar() {
        return Guests.protected32(
                0xa1, 0x10, 0x80, 0x00, 0xe0,             // mov eax, [0xe0008010]
                0x66, 0xc7, 0x05, 0x04, 0x80, 0x00, 0xe0,
                0x02, 0x00,                               // mov word [0xe0008004], 2
                0x8b, 0x40, 0x08,                         // mov eax, [eax+8]
                0xe7, 0xf4,                               // out 0xf4, eax
                0xf4);                                    // hlt
    }

    // @formatter:on

    @ParameterizedTest
    @MethodSource("restarts")
    void guestRestarts(BootSource guest) throws Exception {
        assertEquals(new VmOutcome.Rebooted(), run(builder(guest)));
    }

    @ParameterizedTest
    @MethodSource("hostBridgeReaders")
    void guestFindsTheHostBridge(BootSource guest) throws Exception {
        assertEquals(new VmOutcome.DebugExit(0x29c0_8086), run(builder(guest)));
    }

    @Test
    void guestSeesWhichCenturyItIs() throws Exception {
        assertEquals(new VmOutcome.DebugExit(0x20), run(builder(looksAtTheClock())));
    }

    @Test
    void clockInterruptsTheGuest() throws Exception {
        assertEquals(new VmOutcome.DebugExit(0x66), run(builder(waitsForASecond())));
    }

    @Test
    void timerOfAcpiRuns() throws Exception {
        assertEquals(new VmOutcome.DebugExit(5), run(builder(waitsForTheTimer())));
    }

    @Test
    void powerButtonInterruptsAGuestThatListens() throws Exception {
        try (Vm vm = builder(waitsForThePowerButton()).build()) {
            assertFalse(vm.powerButton());
            vm.start();
            Host.until("the guest listens", vm::powerButton);

            assertEquals(new VmOutcome.DebugExit(0x66), vm.awaitExit(Host.LIMIT));
        }
    }

    @Test
    void ctrlAltDeleteIsTyped() throws Exception {
        try (Vm vm = builder(waitsForAKey()).build()) {
            vm.start();

            assertTrue(vm.ctrlAltDelete());

            assertEquals(new VmOutcome.DebugExit(0x1d), vm.awaitExit(Host.LIMIT));
        }
    }

    @Test
    void closedMachineHasNoButtons() throws Exception {
        Vm vm = builder(Guests.spins()).build();
        vm.close();

        assertThrows(IllegalStateException.class, vm::powerButton);
        assertThrows(IllegalStateException.class, vm::ctrlAltDelete);
    }

    @Test
    void guestFindsPciDevicesOfTheCallersOwn() throws Exception {
        var registers =
                new Device() {
                    @Override
                    public long read(long offset, int size) {
                        return 0x100 + offset;
                    }

                    @Override
                    public void write(long offset, int size, long value) {}
                };
        DeviceFactory factory =
                machine -> {
                    var function = new PciFunction(new PciIdentity(0x1234, 1, 0, 0xff_0000, 0, 0));
                    function.addBar(0, new PciBar(PciBar.Kind.MEMORY_32, 0x1000, registers));
                    machine.pci().add(function);
                };

        assertEquals(new VmOutcome.DebugExit(0x108), run(builder(readsABar()).device(factory)));
    }

    private static String acpiArea(Vm vm) {
        byte[] bytes = new byte[(int) AcpiTables.AREA.size()];
        vm.memory().read(AcpiTables.AREA.base(), bytes);
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }

    @Test
    void tablesAreInMemoryBeforeTheGuestRuns() throws Exception {
        try (Vm vm = builder(Guests.spins()).cpus(3).build()) {
            String area = acpiArea(vm);

            assertTrue(area.startsWith("RSD PTR "));
            assertEquals(
                    List.of(true, true, true, true),
                    List.of("COM1", "RTC0", "KBD0", "C002").stream().map(area::contains).toList());
            assertFalse(area.contains("C003"));
        }
    }

    @Test
    void devicesOfTheCallersOwnAreDescribed() throws Exception {
        DeviceFactory factory = machine -> machine.describe(Aml.device("MINE"));

        try (Vm vm = builder(Guests.spins()).device(factory).build()) {
            assertNotEquals(-1, acpiArea(vm).indexOf("MINE"));
        }
    }

    @Test
    void descriptionsThatDoNotFitAreRefused() {
        DeviceFactory factory =
                machine -> machine.describe(Aml.name("HUGE", Aml.buffer(new byte[130_000])));
        VmBuilder builder = builder(Guests.spins()).device(factory);

        var refused = assertThrows(ConfigException.class, builder::build);

        assertEquals("devices", refused.path());
    }

    @Test
    void lineThatTheMachineDoesNotHaveIsRefused() {
        VmBuilder builder =
                builder(Guests.spins()).device(machine -> machine.levelLine(24).set(true));

        assertThrows(IllegalArgumentException.class, builder::build);
    }
}
