package org.kaval.machine.boot;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The symbols of a kernel, looked for where distributions and the kernel's build put them: in the
/// kernel itself, in a `System.map` beside it, and in what packages with debug symbols install.
///
/// @param table null if none were found
/// @param note where they are from, or why there are none; one line
public record KernelSymbols(@Nullable SymbolTable table, String note) {
    private static final String SYSTEM_MAP = "System.map";

    /// Debian's packages have a file without symbols, which says in a line where they are.
    private static final int STUB_SIZE = 256;

    /// Reads a file that its user has named.
    public static KernelSymbols of(Path file) {
        return firstOf(List.of(file), "");
    }

    /// Looks for those of `kernel`.
    public static KernelSymbols find(Path kernel) {
        return find(kernel, Path.of("/usr/lib/debug"));
    }

    /// @param debug where packages put debug symbols
    static KernelSymbols find(Path kernel, Path debug) {
        return firstOf(
                candidates(kernel, debug).stream().filter(Files::isRegularFile).toList(),
                "no %s beside %s".formatted(SYSTEM_MAP, kernel));
    }

    private static List<Path> candidates(Path kernel, Path debug) {
        var candidates = new ArrayList<Path>();
        String name = String.valueOf(kernel.getFileName());
        int dash = name.indexOf('-');
        if (isElf(kernel)) {
            candidates.add(kernel);
        }
        if (dash >= 0) {
            String version = name.substring(dash);
            candidates.add(kernel.resolveSibling(SYSTEM_MAP + version));
            candidates.add(debug.resolve("boot/System.map" + version));
            candidates.add(debug.resolve("boot/vmlinux" + version));
            candidates.add(debug.resolve("lib/modules/" + version.substring(1) + "/vmlinux"));
        }
        candidates.add(kernel.resolveSibling(SYSTEM_MAP));
        if (name.equals("bzImage")) { // in a kernel's build: arch/x86/boot
            candidates.add(kernel.resolveSibling("../../../System.map").normalize());
        }
        return candidates;
    }

    private static boolean isElf(Path kernel) {
        try (ImageFile file = ImageFile.open(kernel)) {
            ByteBuffer beginning = file.beginning(Integer.BYTES);
            return ElfFile.isIn(beginning);
        } catch (IOException e) {
            return false; // it has been moved since it was booted
        }
    }

    private static KernelSymbols firstOf(List<Path> files, String nothing) {
        var notes = new ArrayList<String>();
        for (Path file : files) {
            try {
                SymbolTable table = SymbolTable.read(file);
                if (table.size() > 0) {
                    return new KernelSymbols(table, "symbols are from " + file);
                }
                notes.add(file + " has no symbols of code" + stub(file));
            } catch (IOException e) {
                notes.add(String.valueOf(e.getMessage()));
            }
        }
        return new KernelSymbols(
                null, "no symbols: " + (notes.isEmpty() ? nothing : String.join("; ", notes)));
    }

    private static String stub(Path file) throws IOException {
        try (ImageFile image = ImageFile.open(file)) {
            if (image.size() > STUB_SIZE || ElfFile.isIn(image.beginning(Integer.BYTES))) {
                return "";
            }
            ByteBuffer bytes = image.beginning(STUB_SIZE);
            String text = StandardCharsets.UTF_8.decode(bytes).toString().strip();
            int name = text.indexOf(' ', text.indexOf(' ') + 1) + 1;
            return ": " + text.substring(name).replaceAll("\\p{Cntrl}+", " ");
        }
    }
}
