package org.kaval.machine.diagnosis;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.kaval.devices.platform.Uart16550;
import org.kaval.kvm.KvmKind;
import org.kaval.machine.boot.BootDescription;
import org.kaval.machine.boot.KernelSymbols;
import org.kaval.machine.diagnosis.VcpuPicture.Activity;
import org.kaval.vcpu.ExitStatistics.Access;

class DiagnosisTest {
    @Test
    void nothingIsKnownOfAGuestThatHasNotRun() {
        assertEquals(
                List.of(
                        "exits: none",
                        "serial port: never touched",
                        "interrupts from devices: none"),
                Diagnosis.of(Pictures.NOTHING).lines());
    }

    @Test
    void whatIsKnownIsALineEach() {
        var seen =
                new Observation(
                        KvmKind.AMD_V,
                        new BootDescription(Path.of("/boot/vmlinuz"), "console=ttyS0", false),
                        new KernelSymbols(null, "no symbols: no System.map beside /boot/vmlinuz"),
                        List.of(
                                Pictures.activity(Activity.HALTED, false),
                                new VcpuPicture(
                                        1,
                                        Activity.WAITING,
                                        VcpuPicture.Mode.REAL,
                                        0,
                                        0,
                                        false,
                                        "",
                                        0,
                                        0,
                                        0)),
                        null,
                        Map.of("MMIO", 3L, "IO", 12_345L),
                        List.of(
                                new Observation.Accesses(
                                        new Access(false, true, 0x3f8, 12_000), "16550A UART"),
                                new Observation.Accesses(
                                        new Access(true, false, 0xd000_0000L, 3), null)),
                        new Uart16550.Use(true, 1_234, true),
                        Map.of(8, 2L, 4, 1_000L),
                        List.of(0, 0x80));

        assertEquals(
                List.of(
                        "vcpu 0: halted, long mode, ring 0, interrupts off, RIP"
                                + " 0xffffffff81000000: fa f4 eb fd",
                        "vcpu 1: not started by the guest",
                        "no symbols: no System.map beside /boot/vmlinuz",
                        "exits: IO: 12,345, MMIO: 3",
                        "most frequent: port write 0x3f8 (16550A UART): 12,000, MMIO read"
                                + " 0xd0000000 (no device): 3",
                        "serial port: 1,234 bytes sent, its interrupts on",
                        "interrupts from devices: line 4: 1,000, line 8: 2",
                        "last codes at port 0x80: 0x00 0x80",
                        "hint: halted with interrupts off: it waits for ever, as after `halt` or a"
                                + " panic; panic=-1 makes Linux restart instead"),
                Diagnosis.of(seen).lines());
    }
}
