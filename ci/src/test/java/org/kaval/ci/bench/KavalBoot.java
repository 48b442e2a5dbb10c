package org.kaval.ci.bench;

import java.time.Duration;
import java.util.Map;
import org.kaval.machine.Vm;
import org.kaval.machine.boot.KernelBoot;

/// Kaval, in this JVM.
///
/// @param fast whether the host decompresses the kernel
record KavalBoot(BootFiles files, boolean fast, Exits exits) implements BootContender {
    private static final Duration LIMIT = Duration.ofMinutes(3);

    /// Gets the exits to this program, by their reason, when init has spoken.
    interface Exits {
        void are(Map<String, Long> counts);
    }

    @Override
    public String name() {
        return fast ? "kaval, fast boot" : "kaval";
    }

    @Override
    public double boot(Steps steps) throws Exception {
        var console = new ConsoleMark(BootFiles.MARK);
        KernelBoot kernel =
                KernelBoot.of(files.kernel())
                        .initrd(files.initrd())
                        .commandLine(BootFiles.COMMAND_LINE)
                        .fastBoot(fast)
                        .cache(files.cache());
        try (Vm vm =
                Vm.builder()
                        .memory((long) BootFiles.MEBIBYTES << 20)
                        .boot(kernel)
                        .serialOutput(console)
                        .build()) {
            steps.begins();
            long begin = System.nanoTime();
            vm.start();
            double millis = (console.await(LIMIT) - begin) / 1e6;
            exits.are(vm.exitCounts());
            steps.isAtInit();
            return millis;
        }
    }
}
