package org.kaval.machine.diagnosis;

import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import org.kaval.machine.boot.BootDescription;
import org.kaval.machine.boot.SymbolTable;

/// Says what is at an address, with a kernel's symbols where there are any.
///
/// A Linux kernel may have moved itself (KASLR). By how much shows once it has told the processor
/// where its system call entry or its exception handlers are: it is the distance to where the
/// symbol table has them.
final class CodeLocation {
    /// Where Linux maps its code; the physical address is the same less this (`__START_KERNEL_map`,
    /// arch/x86/include/asm/page_64_types.h).
    private static final long KERNEL_MAP = 0xffff_ffff_8000_0000L;

    /// By how much Linux moves at most, and to multiples of what (`KERNEL_IMAGE_SIZE` and
    /// `CONFIG_PHYSICAL_ALIGN`).
    private static final long MAX_SLIDE = 1L << 30;

    private static final long SLIDE_STEP = 2 << 20;

    /// The handlers of exception 0, by the names of Linux 5.8 and older, and before it has set up
    /// the real ones.
    private static final List<String> DIVIDE_HANDLERS =
            List.of("asm_exc_divide_error", "divide_error", "early_idt_handler_array");

    private final @Nullable SymbolTable symbols;
    private final BootDescription boot;
    private final OptionalLong slide;

    CodeLocation(@Nullable SymbolTable symbols, BootDescription boot, List<VcpuPicture> vcpus) {
        this.symbols = symbols;
        this.boot = boot;
        slide = symbols == null ? OptionalLong.empty() : slide(symbols, boot, vcpus);
    }

    /// What `vcpu` executes; empty if nothing is known.
    String of(VcpuPicture vcpu) {
        if (vcpu.ring() == 3) {
            return "a program of the guest's";
        }
        boolean mapped = Long.compareUnsigned(vcpu.rip(), KERNEL_MAP) >= 0;
        if (isDecompressor(vcpu)) {
            return "the kernel's decompressor, or its first instructions";
        }
        if (symbols == null) {
            return "";
        }
        if (mapped && slide.isEmpty()) {
            return "address randomized (KASLR), and the kernel has not yet told the processor where it is";
        }
        long address = vcpu.rip() - (mapped ? slide.orElse(0) : 0);
        Optional<String> exact = symbols.at(address);
        if (exact.isPresent()) {
            return exact.get() + (mapped && slide.orElse(0) != 0 ? moved() : "");
        }
        return mapped || boot.compressed()
                ? ""
                : symbols.at(address + KERNEL_MAP)
                        .map(name -> name + ", at its physical address")
                        .orElse("");
    }

    /// Whether it is in a compressed kernel's own beginning, which runs where nothing is mapped
    /// high, and of which there are no symbols.
    boolean isDecompressor(VcpuPicture vcpu) {
        return boot.compressed()
                && vcpu.ring() == 0
                && vcpu.mode() == VcpuPicture.Mode.LONG
                && vcpu.rip() >= 0
                && vcpu.syscallEntry() == 0;
    }

    private String moved() {
        return ", moved by 0x%x (KASLR)".formatted(slide.orElse(0));
    }

    private static OptionalLong slide(
            SymbolTable symbols, BootDescription boot, List<VcpuPicture> vcpus) {
        if (!boot.relocates()) {
            return OptionalLong.of(0);
        }
        for (VcpuPicture vcpu : vcpus) {
            OptionalLong found = distance(symbols, "entry_SYSCALL_64", vcpu.syscallEntry());
            for (String handler : DIVIDE_HANDLERS) {
                if (found.isEmpty()) {
                    found = distance(symbols, handler, vcpu.divideHandler());
                }
            }
            if (found.isPresent()) {
                return found;
            }
        }
        return OptionalLong.empty();
    }

    private static OptionalLong distance(SymbolTable symbols, String symbol, long seen) {
        OptionalLong linked = symbols.address(symbol);
        long distance = seen - linked.orElse(0);
        boolean plausible =
                seen != 0 && distance >= 0 && distance < MAX_SLIDE && distance % SLIDE_STEP == 0;
        return linked.isPresent() && plausible ? OptionalLong.of(distance) : OptionalLong.empty();
    }
}
