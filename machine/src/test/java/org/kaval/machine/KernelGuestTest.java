package org.kaval.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.machine.boot.BzImageBuilder;
import org.kaval.machine.boot.ElfBuilder;
import org.kaval.machine.boot.KernelBoot;
import org.kaval.machine.boot.MultibootBuilder;
import org.kaval.machine.compression.Compressed;
import org.kaval.machine.compression.Compression;
import org.kaval.testing.NeedsKvm;

/// Kernels of a few instructions, which check how they are entered: they load the segment registers
/// from the GDT anew, and end the machine with the sum of the first bytes of initrd and command
/// line, or with 1.
@NeedsKvm
class KernelGuestTest {
    private static final int MEBIBYTE = 1 << 20;

    @TempDir private Path directory;

    // @formatter:off

    /// Expects a zero page at RSI.
    private static final byte[] LINUX64 = Guests.bytes(
            0x81, 0xbe, 0x02, 0x02, 0x00, 0x00, 0x48, 0x64, 0x72, 0x53, // cmp dword [rsi+0x202], HdrS
            0x75, 0x31,                               // jne failed
            0x80, 0xbe, 0x10, 0x02, 0x00, 0x00, 0xff, // cmp byte [rsi+0x210], 0xff
            0x75, 0x28,                               // jne failed
            0xb8, 0x18, 0x00, 0x00, 0x00,             // mov eax, 0x18
            0x8e, 0xd8,                               // mov ds, eax
            0x8e, 0xd0,                               // mov ss, eax
            0x6a, 0x10,                               // push 0x10
            0x48, 0x8d, 0x05, 0x03, 0x00, 0x00, 0x00, // lea rax, [next]
            0x50,                                     // push rax
            0x48, 0xcb,                               // retfq
            0x8b, 0x9e, 0x18, 0x02, 0x00, 0x00,       // next: mov ebx, [rsi+0x218]
            0x8a, 0x03,                               // mov al, [rbx]
            0x8b, 0x9e, 0x28, 0x02, 0x00, 0x00,       // mov ebx, [rsi+0x228]
            0x02, 0x03,                               // add al, [rbx]
            0xe6, 0xf4,                               // out 0xf4, al
            0xf4,                                     // hlt
            0xb0, 0x01,                               // failed: mov al, 1
            0xe6, 0xf4,                               // out 0xf4, al
            0xf4);                                    // hlt

    /// Expects a zero page at ESI.
    private static final byte[] LINUX32 = Guests.bytes(
            0x81, 0xbe, 0x02, 0x02, 0x00, 0x00, 0x48, 0x64, 0x72, 0x53, // cmp dword [esi+0x202], HdrS
            0x75, 0x23,                               // jne failed
            0xb8, 0x18, 0x00, 0x00, 0x00,             // mov eax, 0x18
            0x8e, 0xd8,                               // mov ds, eax
            0xea, 0x1a, 0x00, 0x10, 0x00, 0x10, 0x00, // jmp 0x10:next
            0x8b, 0x9e, 0x18, 0x02, 0x00, 0x00,       // next: mov ebx, [esi+0x218]
            0x8a, 0x03,                               // mov al, [ebx]
            0x8b, 0x9e, 0x28, 0x02, 0x00, 0x00,       // mov ebx, [esi+0x228]
            0x02, 0x03,                               // add al, [ebx]
            0xe6, 0xf4,                               // out 0xf4, al
            0xf4,                                     // hlt
            0x90, 0x90,                               // nop; nop
            0xb0, 0x01,                               // failed: mov al, 1
            0xe6, 0xf4,                               // out 0xf4, al
            0xf4);                                    // hlt

    /// Expects a start info with one module at EBX.
    private static final byte[] PVH = Guests.bytes(
            0x81, 0x3b, 0x78, 0xc5, 0x6e, 0x33,       // cmp dword [ebx], 0x336ec578
            0x75, 0x25,                               // jne failed
            0x83, 0x7b, 0x0c, 0x01,                   // cmp dword [ebx+12], 1
            0x75, 0x1f,                               // jne failed
            0xb8, 0x18, 0x00, 0x00, 0x00,             // mov eax, 0x18
            0x8e, 0xd8,                               // mov ds, eax
            0x8e, 0xd0,                               // mov ss, eax
            0xea, 0x1e, 0x00, 0x10, 0x00, 0x10, 0x00, // jmp 0x10:next
            0x8b, 0x4b, 0x10,                         // next: mov ecx, [ebx+16]
            0x8b, 0x09,                               // mov ecx, [ecx]
            0x8a, 0x01,                               // mov al, [ecx]
            0x8b, 0x4b, 0x18,                         // mov ecx, [ebx+24]
            0x02, 0x01,                               // add al, [ecx]
            0xe6, 0xf4,                               // out 0xf4, al
            0xf4,                                     // hlt
            0xb0, 0x01,                               // failed: mov al, 1
            0xe6, 0xf4,                               // out 0xf4, al
            0xf4);                                    // hlt

    /// Expects the magic number in EAX and an information with one module at EBX.
    private static final byte[] MULTIBOOT = Guests.bytes(
            0x3d, 0x02, 0xb0, 0xad, 0x2b,             // cmp eax, 0x2badb002
            0x75, 0x25,                               // jne failed
            0x83, 0x7b, 0x14, 0x01,                   // cmp dword [ebx+20], 1
            0x75, 0x1f,                               // jne failed
            0xb8, 0x18, 0x00, 0x00, 0x00,             // mov eax, 0x18
            0x8e, 0xd8,                               // mov ds, eax
            0x8e, 0xd0,                               // mov ss, eax
            0xea, 0x4d, 0x00, 0x10, 0x00, 0x10, 0x00, // jmp 0x10:next
            0x8b, 0x4b, 0x18,                         // next: mov ecx, [ebx+24]
            0x8b, 0x09,                               // mov ecx, [ecx]
            0x8a, 0x01,                               // mov al, [ecx]
            0x8b, 0x4b, 0x10,                         // mov ecx, [ebx+16]
            0x02, 0x01,                               // add al, [ecx]
            0xe6, 0xf4,                               // out 0xf4, al
            0xf4,                                     // hlt
            0xb0, 0x01,                               // failed: mov al, 1
            0xe6, 0xf4,                               // out 0xf4, al
            0xf4);                                    // hlt

    // @formatter:on

    /// Boots `kernel` with an initrd that begins with 5 and a command line that begins with `0x20`.
    private VmOutcome run(Path kernel) throws IOException, InterruptedException {
        return run(KernelBoot.of(kernel));
    }

    private VmOutcome run(KernelBoot kernel) throws IOException, InterruptedException {
        Path initrd = Files.write(directory.resolve("initrd"), new byte[] {5});
        KernelBoot source = kernel.initrd(initrd).commandLine(" quiet");
        try (Vm vm = Vm.builder().memory(32 * MEBIBYTE).boot(source).build()) {
            vm.start();
            return vm.awaitExit(Host.LIMIT);
        }
    }

    @Test
    void bzImageFindsItsZeroPage() throws Exception {
        Path kernel = new BzImageBuilder().code(LINUX64).write(directory);

        assertEquals(new VmOutcome.DebugExit(0x25), run(kernel));
    }

    @Test
    void elf64FindsItsZeroPage() throws Exception {
        Path kernel = ElfBuilder.elf64().entry(MEBIBYTE).load(MEBIBYTE, LINUX64).write(directory);

        assertEquals(new VmOutcome.DebugExit(0x25), run(kernel));
    }

    @Test
    void elf32FindsItsZeroPage() throws Exception {
        Path kernel = ElfBuilder.elf32().entry(MEBIBYTE).load(MEBIBYTE, LINUX32).write(directory);

        assertEquals(new VmOutcome.DebugExit(0x25), run(kernel));
    }

    @Test
    void pvhKernelFindsItsStartInfo() throws Exception {
        Path kernel =
                ElfBuilder.elf64()
                        .entry(MEBIBYTE + 1) // not this one
                        .load(MEBIBYTE, PVH)
                        .pvh(MEBIBYTE)
                        .write(directory);

        assertEquals(new VmOutcome.DebugExit(0x25), run(kernel));
    }

    @Test
    void multibootKernelFindsItsInformation() throws Exception {
        Path kernel = new MultibootBuilder().code(MULTIBOOT).write(directory);

        assertEquals(new VmOutcome.DebugExit(0x25), run(kernel));
    }

    @Test
    void decompressedKernelFindsItsZeroPage() throws Exception {
        byte[] vmlinux =
                ElfBuilder.elf64().entry(16 * MEBIBYTE).load(16 * MEBIBYTE, LINUX64).build();
        Path kernel =
                new BzImageBuilder()
                        .payload(Compressed.of(Compression.GZIP, vmlinux))
                        .write(directory);
        KernelBoot fast = KernelBoot.of(kernel).fastBoot(true).cache(directory.resolve("cache"));

        assertEquals(new VmOutcome.DebugExit(0x25), run(fast));
        assertEquals(new VmOutcome.DebugExit(0x25), run(fast)); // from the cache
    }
}
