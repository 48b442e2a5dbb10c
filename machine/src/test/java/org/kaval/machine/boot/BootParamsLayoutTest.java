package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Every number that the loaders share with Linux, against what the C compiler makes of the
/// kernel's own header.
class BootParamsLayoutTest {
    private static final String NEEDED =
            "needs a C compiler and the kernel's headers: 'sudo apt-get install gcc libc6-dev"
                    + " linux-libc-dev'";

    private static final int HDR = BzImageHeader.OFFSET;

    /// C expressions and what Java has for them.
    private static final Map<String, Long> EXPECTED = new LinkedHashMap<>();

    static {
        put("sizeof(struct boot_params)", BootLayout.ZERO_PAGE.size());
        field("acpi_rsdp_addr", BootParams.ACPI_RSDP_ADDR, 8);
        field("ext_ramdisk_image", BootParams.EXT_RAMDISK_IMAGE, 4);
        field("ext_ramdisk_size", BootParams.EXT_RAMDISK_SIZE, 4);
        field("e820_entries", BootParams.E820_ENTRIES, 1);
        field("hdr.setup_sects", BzImageHeader.SETUP_SECTS, 1);
        field("hdr.syssize", BzImageHeader.SYSSIZE, 4);
        field("hdr.boot_flag", BzImageHeader.BOOT_FLAG, 2);
        put("offsetof(struct boot_params, hdr.jump) + 1", BzImageHeader.JUMP_LENGTH);
        field("hdr.header", BzImageHeader.HEADER, 4);
        field("hdr.version", BzImageHeader.VERSION, 2);
        field("hdr.type_of_loader", BootParams.TYPE_OF_LOADER, 1);
        field("hdr.loadflags", BzImageHeader.LOADFLAGS, 1);
        field("hdr.code32_start", BootParams.CODE32_START, 4);
        field("hdr.ramdisk_image", BootParams.RAMDISK_IMAGE, 4);
        field("hdr.ramdisk_size", BootParams.RAMDISK_SIZE, 4);
        field("hdr.cmd_line_ptr", BootParams.CMD_LINE_PTR, 4);
        field("hdr.initrd_addr_max", BzImageHeader.INITRD_ADDR_MAX, 4);
        field("hdr.kernel_alignment", BzImageHeader.KERNEL_ALIGNMENT, 4);
        field("hdr.relocatable_kernel", BzImageHeader.RELOCATABLE_KERNEL, 1);
        field("hdr.xloadflags", BzImageHeader.XLOADFLAGS, 2);
        field("hdr.cmdline_size", BzImageHeader.CMDLINE_SIZE, 4);
        field("hdr.payload_offset", BzImageHeader.PAYLOAD_OFFSET, 4);
        field("hdr.payload_length", BzImageHeader.PAYLOAD_LENGTH, 4);
        field("hdr.setup_data", BootParams.SETUP_DATA, 8);
        field("hdr.pref_address", BzImageHeader.PREF_ADDRESS, 8);
        field("hdr.init_size", BzImageHeader.INIT_SIZE, 4);
        put("offsetof(struct boot_params, hdr)", HDR);
        put("offsetof(struct boot_params, e820_table)", BootParams.E820_TABLE);
        put("sizeof(struct boot_e820_entry)", BootParams.E820_ENTRY_SIZE);
        put("offsetof(struct boot_e820_entry, addr)", 0);
        put("offsetof(struct boot_e820_entry, size)", BootParams.E820_SIZE);
        put("offsetof(struct boot_e820_entry, type)", BootParams.E820_TYPE);
        put("E820_MAX_ENTRIES_ZEROPAGE", MemoryMap.MAX_ENTRIES);
        put("offsetof(struct setup_data, next)", 0);
        put("offsetof(struct setup_data, type)", BootParams.DATA_TYPE);
        put("offsetof(struct setup_data, len)", BootParams.DATA_LENGTH);
        put("offsetof(struct setup_data, data)", BootParams.DATA);
        put("SETUP_RNG_SEED", BootParams.SETUP_RNG_SEED);
        put("LOADED_HIGH", BzImageHeader.LOADED_HIGH);
        put("XLF_KERNEL_64", BzImageHeader.XLF_KERNEL_64);
        put("XLF_CAN_BE_LOADED_ABOVE_4G", BzImageHeader.XLF_CAN_BE_LOADED_ABOVE_4G);
    }

    private static Map<String, Long> answers = Map.of();

    private static void put(String expression, long value) {
        EXPECTED.put(expression, value);
    }

    private static void field(String name, long offset, long size) {
        put("offsetof(struct boot_params, %s)".formatted(name), offset);
        put("sizeof(((struct boot_params *) 0)->%s)".formatted(name), size);
    }

    @BeforeAll
    static void askTheCompiler(@TempDir Path directory) throws Exception {
        String prints =
                EXPECTED.keySet().stream()
                        .map("    printf(\"%%lld\\n\", (long long) (%s));\n"::formatted)
                        .collect(Collectors.joining());
        Files.writeString(
                directory.resolve("probe.c"),
                """
                #include <stddef.h>
                #include <stdio.h>
                #include <asm/bootparam.h>
                int main(void) {
                %s    return 0;
                }
                """
                        .formatted(prints));
        run(directory, "gcc", "-w", "-o", "probe", "probe.c");
        List<String> printed = run(directory, "./probe").lines().toList();
        var values = new LinkedHashMap<String, Long>();
        List<String> expressions = List.copyOf(EXPECTED.keySet());
        for (int i = 0; i < expressions.size(); i++) {
            values.put(expressions.get(i), Long.parseLong(printed.get(i)));
        }
        answers = values;
    }

    private static String run(Path directory, String... command)
            throws IOException, InterruptedException {
        Path output = directory.resolve("output");
        int status =
                new ProcessBuilder(command)
                        .directory(directory.toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(output.toFile())
                        .start()
                        .waitFor();
        assertEquals(0, status, () -> NEEDED);
        return Files.readString(output);
    }

    @Test
    void everyNumberIsTheKernels() {
        assertEquals(EXPECTED, answers);
    }
}
