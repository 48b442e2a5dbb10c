package org.kaval.nested;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.kaval.guests.ArtifactCache;

/// A Linux whose `/dev/kvm` is VT-x with EPT as Bochs' software CPU has it. Any thread may use it.
///
/// Bochs interprets one instruction after the other, and the only way into it is the CD that it
/// boots: so one boots, runs one script, and is switched off. Its clock counts instructions; so a
/// time limit inside means work, not time. It ends when the script has, at its time limit, with
/// {@link #close}, or with this process, however that ends, and leaves nothing behind.
public final class BochsHost implements AutoCloseable {
    /// Where the Java runtime is in it, if it has one.
    public static final String JAVA_HOME = "/kaval/java";

    static final Path BIOS = Path.of("/usr/share/bochs/BIOS-bochs-latest");
    static final Path VGA_BIOS = Path.of("/usr/share/bochs/VGABIOS-lgpl-latest");

    private static final String PACKAGES =
            "apt-get install bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso";

    /// `bochs` itself is a script that may be a process of its own.
    private static final Path PROGRAM = Path.of("/usr/bin/bochs-bin");

    private static final List<Path> NEEDED =
            List.of(
                    PROGRAM,
                    Path.of("/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so"),
                    BIOS,
                    VGA_BIOS,
                    Path.of("/usr/lib/ISOLINUX/isolinux.bin"),
                    Path.of("/usr/lib/syslinux/modules/bios/ldlinux.c32"),
                    Path.of("/usr/bin/xorriso"));

    private static final Pattern STATUS =
            Pattern.compile(Pattern.quote(BochsImage.END) + "([0-9]{1,3})\r?\n");

    private static final Pattern SCREEN =
            Pattern.compile("Bochs connected to screen \"(/dev/pts/[0-9]+)\"");
    private static final int SCREEN_POLL_MILLIS = 20;

    private final Process process;
    private final Console console;
    private final Thread limit;
    private volatile @Nullable String closedBecause;

    private BochsHost(Process process, Settings settings) {
        this.process = process;
        this.console = new Console(process.getErrorStream(), settings.console());
        this.limit =
                Thread.ofVirtual().name("bochs-limit").start(() -> closeAt(settings.timeLimit()));
        Thread.ofVirtual().name("bochs-screen").start(this::emptyScreen);
    }

    /// Starts one that runs a script, with the user's cache.
    ///
    /// @param script of busybox' shell; its output is {@link #output}, its error output goes to the
    ///   console
    /// @param input that the script can read
    /// @throws NestedHostException if Bochs is not installed
    /// @throws IOException if the image cannot be built
    public static BochsHost start(Settings settings, String script, byte[] input)
            throws IOException, InterruptedException {
        return start(settings, script, input, ArtifactCache.ofUser());
    }

    /// The same with a cache of its own.
    public static BochsHost start(
            Settings settings, String script, byte[] input, ArtifactCache cache)
            throws IOException, InterruptedException {
        checkInstalled(Path.of("/"));
        Path folder = BochsImage.of(settings, script, input, cache);
        // The display is nobody's; what would be printed on it takes the way of the second port.
        var builder =
                new ProcessBuilder(
                                "sh",
                                "-c",
                                "exec \"$@\" 3>&1 >/dev/null",
                                "sh",
                                PROGRAM.toString(),
                                "-q",
                                "-f",
                                BochsImage.CONFIGURATION,
                                "-rc",
                                BochsImage.COMMANDS)
                        .directory(folder.toFile())
                        .redirectInput(Path.of("/dev/null").toFile());
        builder.environment().put("TERM", "xterm");
        return new BochsHost(Children.start(builder), settings);
    }

    /// @param root of the file system that has Bochs
    static void checkInstalled(Path root) throws NestedHostException {
        for (Path file : NEEDED) {
            if (!Files.exists(root.resolve(Path.of("/").relativize(file)))) {
                throw new NestedHostException(
                        "Bochs is not complete: no " + file + ": " + PACKAGES);
            }
        }
    }

    /// What the script prints, as it comes. It must be read: once the pipe is full, Bochs waits.
    public InputStream output() {
        return process.getInputStream();
    }

    /// Waits until it has ended.
    ///
    /// @return the script's exit status
    /// @throws NestedHostException if it has ended before the script
    public int await() throws IOException, InterruptedException {
        process.waitFor();
        limit.interrupt();
        console.awaitEnd();
        String closed = closedBecause;
        if (closed != null) {
            throw new NestedHostException("the Bochs host has ended: " + closed);
        }
        Matcher status = STATUS.matcher(console.text());
        if (status.find()) {
            return Integer.parseInt(status.group(1));
        }
        String panic = console.panic();
        throw new NestedHostException(
                "the Bochs host has ended: "
                        + (panic != null ? "kernel panic: " + panic : console.lastLine()));
    }

    public boolean isAlive() {
        return process.isAlive();
    }

    /// What its console has printed, and Bochs itself; the end if it was much.
    public String console() {
        return console.text();
    }

    /// Ends it at once. Does nothing if it has ended.
    @Override
    public void close() {
        end("it was closed");
    }

    private void end(String reason) {
        if (process.isAlive() && closedBecause == null) {
            closedBecause = reason;
        }
        limit.interrupt();
        process.destroyForcibly();
    }

    /// Reads what Bochs draws. With its debugger built in, as Debian's is, it draws on a
    /// pseudo-terminal that it opens itself, some bytes at each turn; once 12 KiB of them are
    /// unread it would wait for ever.
    ///
    /// A child reads, which the terminal cannot become the controlling one of.
    private void emptyScreen() {
        try {
            Matcher screen = SCREEN.matcher(console.text());
            while (!screen.find()) {
                if (process.waitFor(SCREEN_POLL_MILLIS, TimeUnit.MILLISECONDS)) {
                    return;
                }
                screen = SCREEN.matcher(console.text());
            }
            Children.start(
                    new ProcessBuilder("cat", screen.group(1))
                            .redirectInput(Path.of("/dev/null").toFile())
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .redirectError(ProcessBuilder.Redirect.DISCARD));
        } catch (IOException e) {
            end("nobody can read its screen: " + e.getMessage());
        } catch (InterruptedException e) {
            end("interrupted");
        }
    }

    private void closeAt(Duration timeLimit) {
        try {
            Thread.sleep(timeLimit);
        } catch (InterruptedException e) {
            return; // it has ended
        }
        end("its time limit of " + timeLimit.toSeconds() + " s was reached");
    }

    /// What a Bochs host is to be like.
    ///
    /// @param mebibytes of RAM, 512 to 2048; all files are in it
    /// @param timeLimit after which it ends, of this machine's time
    /// @param files in its file system: paths there to files or folders here
    /// @param java whether it has a Java runtime, in {@link #JAVA_HOME}
    /// @param console gets what its console prints, if not null
    public record Settings(
            int mebibytes,
            Duration timeLimit,
            Map<String, Path> files,
            boolean java,
            @Nullable OutputStream console) {
        private static final int MIN_MEBIBYTES = 512;
        private static final int MAX_MEBIBYTES = 2048; // Bochs' own

        public Settings {
            files = Map.copyOf(files);
            if (mebibytes < MIN_MEBIBYTES || mebibytes > MAX_MEBIBYTES) {
                throw new IllegalArgumentException("mebibytes: " + mebibytes);
            }
        }

        /// 512 MiB of RAM, 15 minutes, no Java.
        public Settings() {
            this(MIN_MEBIBYTES, Duration.ofMinutes(15), Map.of(), false, null);
        }

        public Settings withTimeLimit(Duration newLimit) {
            return new Settings(mebibytes, newLimit, files, java, console);
        }

        public Settings withFiles(Map<String, Path> more) {
            return new Settings(mebibytes, timeLimit, more, java, console);
        }

        /// With a Java runtime, and RAM for it: 1024 MiB.
        public Settings withJava() {
            return new Settings(2 * MIN_MEBIBYTES, timeLimit, files, true, console);
        }

        public Settings withConsole(@Nullable OutputStream log) {
            return new Settings(mebibytes, timeLimit, files, java, log);
        }
    }
}
