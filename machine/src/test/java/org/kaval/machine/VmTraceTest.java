package org.kaval.machine;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.kaval.machine.boot.BootSource;
import org.kaval.machine.trace.TraceKind;
import org.kaval.testing.NeedsKvm;

/// A trace has what the guest did, and nothing else.
@NeedsKvm
class VmTraceTest {
    // @formatter:off

    /// Two ports, two addresses, the host bridge by both mechanisms, and the end.
    private static BootSource guest() {
        return Guests.protected32(
                0xb0, 0x5a,                         // mov al, 0x5a
                0xe6, 0x80,                         // out 0x80, al
                0x66, 0xba, 0x02, 0x05,             // mov dx, 0x502
                0xed,                               // in eax, dx
                0xa3, 0x10, 0x00, 0x00, 0xd0,       // mov [0xd0000010], eax
                0x8a, 0x05, 0x20, 0x00, 0x00, 0xd0, // mov al, [0xd0000020]
                0xb8, 0x08, 0x00, 0x00, 0x80,       // mov eax, 0x80000008
                0x66, 0xba, 0xf8, 0x0c,             // mov dx, 0xcf8
                0xef,                               // out dx, eax
                0xb2, 0xfe,                         // mov dl, 0xfe
                0x66, 0xed,                         // in ax, dx
                0x66, 0xa1, 0x02, 0x80, 0x01, 0xe0, // mov ax, [0xe0018002]
                0xb0, 0x07,                         // mov al, 7
                0xe6, 0xf4,                         // out 0xf4, al
                0xf4);                              // hlt
    }

    // @formatter:on

    /// The lines without their times.
    private static List<String> trace(BootSource guest, TraceKind... kinds) throws Exception {
        var output = new ByteArrayOutputStream();
        try (Vm vm =
                Vm.builder().memory(16 << 20).boot(guest).trace(Set.of(kinds), output).build()) {
            vm.start();
            vm.awaitExit(Host.LIMIT);
        }
        List<String> lines = output.toString(UTF_8).lines().toList();
        assertTrue(
                lines.stream().allMatch(line -> line.matches(" *\\d+\\.\\d{6} vcpu-0 .*")),
                lines::toString);
        return lines.stream()
                .map(line -> line.replaceFirst("^.*? vcpu-0", "").strip().replaceAll(" +", " "))
                .toList();
    }

    private static final String POST = "pio write 0x80 1 0x5a POST code port";
    private static final String NOBODY = "pio read 0x502 4 0xffffffff no device";
    private static final String ADDRESS = "pio write 0xcf8 4 0x80000008 PCI configuration ports";
    private static final String DATA = "pio read 0xcfe 2 0x600 PCI configuration ports";
    private static final String END = "pio write 0xf4 1 0x7 debug exit";
    private static final String STORE = "mmio write 0xd0000010 4 0xffffffff no device";
    private static final String LOAD = "mmio read 0xd0000020 1 0xff no device";
    private static final String ECAM = "mmio read 0xe0018002 2 0xffff PCI ECAM";
    private static final String CLASS = "pci read 00:00.0 2 0x600 class";
    private static final String ABSENT = "pci read 00:03.0 2 0xffff device";

    @Test
    void portsAreTraced() throws Exception {
        assertEquals(List.of(POST, NOBODY, ADDRESS, DATA, END), trace(guest(), TraceKind.PIO));
    }

    @Test
    void memoryIsTraced() throws Exception {
        assertEquals(List.of(STORE, LOAD, ECAM), trace(guest(), TraceKind.MMIO));
    }

    @Test
    void configurationSpaceIsTraced() throws Exception {
        assertEquals(List.of(CLASS, ABSENT), trace(guest(), TraceKind.PCI));
    }

    @Test
    void exitsAreBothAndWhatEndsAGuest() throws Exception {
        assertEquals(
                List.of(POST, NOBODY, STORE, LOAD, ADDRESS, DATA, ECAM, END),
                trace(guest(), TraceKind.EXITS));
        assertEquals(
                List.of("pio write 0x81 1 0x0 no device", "exits triple fault"),
                trace(Guests.triplesFault(), TraceKind.EXITS));
    }

    @Test
    void severalKindsAreOneTrace() throws Exception {
        assertEquals(
                List.of(STORE, LOAD, CLASS, ABSENT, ECAM),
                trace(guest(), TraceKind.PCI, TraceKind.MMIO));
    }
}
