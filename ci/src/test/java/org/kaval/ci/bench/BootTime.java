package org.kaval.ci.bench;

import java.nio.file.Path;
import java.util.List;

/// How long does Debian's kernel take from the guest's first instruction to its init, and how often
/// does it leave the guest on the way: Kaval beside `qemu-system-x86_64` with its machines microvm
/// and q35, in turns, with the same kernel, initrd and command line?
///
/// In the nested host, unless this one has VT-x or AMD-V.
final class BootTime {
    static final int ROUNDS = 3;

    private BootTime() {}

    /// @param rounds how many each; with 0, exits are counted only
    static void run(int rounds) throws Exception {
        var files = new BootFiles(Path.of("target/bench/boot").toAbsolutePath());
        files.make();
        var times = new BootTimes();
        HardwareJvm.run(
                BootRounds.class,
                HardwareJvm.SHORT,
                List.of(files.folder()),
                List.of(files.folder().toString(), Integer.toString(rounds)),
                times);
        if (rounds > 0) {
            times.print(rounds);
        }
    }
}
