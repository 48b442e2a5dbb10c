package org.kaval.ci.bench;

import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
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
        var console = new Mark();
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
            if (!console.seen.await(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
                throw new IllegalStateException("no init:\n" + console.text());
            }
            double millis = (console.time - begin) / 1e6;
            exits.are(vm.exitCounts());
            steps.isAtInit();
            return millis;
        }
    }

    /// Looks for the mark.
    private static final class Mark extends OutputStream {
        final CountDownLatch seen = new CountDownLatch(1);
        private final StringBuilder text = new StringBuilder(); // guarded by this
        private volatile long time;

        @Override
        public void write(int b) {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public synchronized void write(byte[] bytes, int offset, int length) {
            text.append(new String(bytes, offset, length, StandardCharsets.ISO_8859_1));
            if (seen.getCount() > 0 && text.indexOf(BootFiles.MARK) >= 0) {
                time = System.nanoTime();
                seen.countDown();
            }
        }

        synchronized String text() {
            return text.toString();
        }
    }
}
