package org.kaval.guests;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/// Makes CDs that boot Linux on a PC with a BIOS, without root: ISOLINUX is the boot loader, and
/// `xorriso` makes the image.
public final class IsoImage {
    private static final Path ISOLINUX = Path.of("usr/lib/ISOLINUX/isolinux.bin");
    private static final Path LDLINUX = Path.of("usr/lib/syslinux/modules/bios/ldlinux.c32");
    private static final Pattern COMMAND_LINE = Pattern.compile("[ -~]{0,2000}");

    private IsoImage() {}

    /// Makes a CD, in place of what was there, or leaves that as it was. The boot loader's messages
    /// go to the first serial port, too.
    ///
    /// @param image file to make
    /// @param kernel a bzImage
    /// @param initramfs for it
    /// @param commandLine for it: printable ASCII, up to 2000 characters
    /// @throws IOException one line: a file can't be read, `image` can't be written, or the boot
    ///   loader or xorriso is missing
    public static void create(Path image, Path kernel, Path initramfs, String commandLine)
            throws IOException, InterruptedException {
        if (!COMMAND_LINE.matcher(commandLine).matches()) {
            throw new IllegalArgumentException("no command line for a kernel: " + commandLine);
        }
        Path configuration = Files.createTempFile("isolinux", null);
        try (var file = new NewFile(image)) {
            Files.writeString(
                    configuration,
                    """
                    SERIAL 0 115200
                    DEFAULT linux
                    PROMPT 0
                    LABEL linux
                    KERNEL /kernel
                    INITRD /initramfs
                    APPEND %s
                    """
                            .formatted(commandLine),
                    StandardCharsets.US_ASCII);
            Map<String, Path> files =
                    Map.of(
                            "kernel", kernel,
                            "initramfs", initramfs,
                            "isolinux/isolinux.cfg", configuration,
                            "isolinux/isolinux.bin", boot(ISOLINUX, "isolinux"),
                            "isolinux/ldlinux.c32", boot(LDLINUX, "syslinux-common"));
            write(file.path(), files);
            file.keep();
        } finally {
            Files.delete(configuration);
        }
    }

    private static void write(Path image, Map<String, Path> files)
            throws IOException, InterruptedException {
        var arguments = new java.util.ArrayList<String>();
        arguments.addAll(List.of("-as", "mkisofs", "-quiet", "-R", "-o", image.toString()));
        arguments.addAll(List.of("-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat"));
        arguments.addAll(List.of("-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"));
        arguments.add("-graft-points");
        files.forEach((name, file) -> arguments.add(name + "=" + escape(file)));
        Tool.of("xorriso", "xorriso").run("to make a CD", arguments);
    }

    /// In a graft point, `=` ends the name in the image, and a backslash quotes.
    private static String escape(Path file) {
        return file.toAbsolutePath().toString().replace("\\", "\\\\").replace("=", "\\=");
    }

    private static Path boot(Path file, String debianPackage) throws ToolException {
        Path found = Path.of("/").resolve(file);
        if (!Files.isRegularFile(found)) {
            throw new ToolException(
                    "%s, needed to make a CD: not installed (on Debian: apt install %s)"
                            .formatted(found, debianPackage));
        }
        return found;
    }
}
