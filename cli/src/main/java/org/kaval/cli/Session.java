package org.kaval.cli;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kaval.cli.control.Controlled;
import org.kaval.linux.ErrnoException;
import org.kaval.machine.ConfigException;
import org.kaval.machine.Vm;
import org.kaval.machine.VmBuilder;
import org.kaval.machine.VmOutcome;

/// A guest in the foreground, from its first start over restarts to its end, and who may end it:
/// the guest, a time limit, signals, keys.
///
/// | from outside       | what happens                                                            |
/// |--------------------|-------------------------------------------------------------------------|
/// | SIGINT             | the guest is stopped                                                    |
/// | SIGTERM, SIGHUP    | the power button; the guest is stopped if it does not listen, after the grace period, and at the second signal |
/// | SIGCONT            | the terminal is made raw again                                          |
/// | SIGWINCH           | the guest is told how large the terminal's window is                    |
/// | Ctrl-] and a key   | as {@link EscapeKeys} has it                                             |
///
/// {@link #run} is called once, by one thread. Signals and keys come on others; no machine is
/// closed while one of them uses it. What may take long, as a snapshot, is done in turns; who ends
/// the guest, or has a look, waits for none of them. Keys are left to threads of the session's own,
/// since the event loop, which reads them, may not wait for the guest.
final class Session implements AutoCloseable {
    private static final int MOST_WAITING = 2;
    private static final int SIGNAL_STATUS = 128;

    private final VmBuilder builder;
    private final Rules rules;
    private final GuestSnapshots snapshots;
    private final GuestConsole console;
    private final ExecutorService actions =
            Executors.newSingleThreadExecutor(
                    Thread.ofPlatform().name("session").daemon().factory());

    /// A second thread for who comes while the first one waits for the power button.
    private final ScheduledExecutorService endings =
            Executors.newScheduledThreadPool(
                    2, Thread.ofPlatform().name("session-end").daemon().factory());

    private final Map<String, Long> exits = new TreeMap<>();
    private final long begin = System.nanoTime();
    private List<String> lastDiagnosis = List.of();
    private StartAction onStart = () -> {};
    private final CurrentGuest<Vm> current = new CurrentGuest<>();
    private boolean stopping; // guarded by this
    private boolean shuttingDown; // guarded by this
    private int stopStatus = ExitStatus.INTERRUPTED; // guarded by this

    /// What the user has said.
    ///
    /// @param restarts whether the guest starts again when it asks for that
    /// @param grace how long a guest may take to shut down
    /// @param limit for everything; null for none
    record Rules(boolean restarts, Duration grace, @Nullable Duration limit) {}

    /// Opens the console of a session, which passes on the keys that are for Kaval.
    @FunctionalInterface
    interface ConsoleOpener {
        GuestConsole open(Consumer<EscapeKeys.Key> pressed) throws IOException;
    }

    /// What is done each time that a guest has begun to run.
    @FunctionalInterface
    interface StartAction {
        void started() throws IOException;
    }

    private Session(VmBuilder builder, Rules rules, GuestSnapshots snapshots, ConsoleOpener opener)
            throws IOException {
        this.builder = builder;
        this.rules = rules;
        this.snapshots = snapshots;
        this.console =
                opener.open(key ->
                        (key == EscapeKeys.Key.QUIT ? endings : actions).execute(() -> press(key)));
    }

    /// Opens the console and takes over the signals; {@link #run} builds the machine.
    static Session open(
            VmBuilder builder, Rules rules, GuestSnapshots snapshots, ConsoleOpener opener)
            throws IOException {
        var session = new Session(builder, rules, snapshots, opener);
        session.console.connect(builder);
        HostSignals.on("INT", () -> session.stop(HostSignals.INT));
        HostSignals.on("TERM", () -> session.terminate(HostSignals.TERM));
        HostSignals.on("HUP", () -> session.terminate(HostSignals.HUP));
        HostSignals.on("CONT", session::continued);
        HostSignals.on("WINCH", session::resized);
        return session;
    }

    /// Before {@link #run}: what is done each time that a guest has begun to run, on its thread.
    void onStart(StartAction action) {
        onStart = action;
    }

    /// Asks the guest that runs now, in a turn: see {@link CurrentGuest}.
    ///
    /// @throws Controlled.ConflictException if there is none at this moment, or if others wait for
    ///   their turn already, since each of them takes a thread from those who do not wait
    <T> T ask(Controlled.Question<T> question)
            throws IOException, InterruptedException, Controlled.ConflictException {
        if (current.waiting() >= MOST_WAITING) {
            throw new Controlled.ConflictException("it is busy with what others have asked for");
        }
        try (CurrentGuest<Vm>.Use turn = current.turn()) {
            return ask(question, turn);
        }
    }

    /// As {@link #ask}, without waiting for a turn.
    <T> T look(Controlled.Question<T> question)
            throws IOException, InterruptedException, Controlled.ConflictException {
        try (CurrentGuest<Vm>.Use use = current.use()) {
            return ask(question, use);
        }
    }

    private static <T> T ask(Controlled.Question<T> question, CurrentGuest<Vm>.@Nullable Use use)
            throws IOException, InterruptedException, Controlled.ConflictException {
        if (use == null) {
            throw new Controlled.ConflictException("the guest is restarting, or has ended");
        }
        return question.ask(use.guest());
    }

    /// Soon, as SIGTERM does: the power button, and an end after `grace`.
    void shutDown(Duration grace) {
        endSoon(() -> terminate(HostSignals.TERM, grace));
    }

    /// Soon, ends the guest as if its power were cut.
    void kill() {
        endSoon(() -> stop(HostSignals.KILL));
    }

    private void endSoon(Runnable ending) {
        try {
            endings.execute(ending);
        } catch (RejectedExecutionException _) {
            // it has ended
        }
    }

    /// Runs the guest until it ends, or for a restart that is not wanted.
    VmOutcome run() throws IOException, InterruptedException {
        while (true) {
            VmOutcome outcome;
            try (Vm next = snapshots.build(builder)) {
                outcome = run(next);
            }
            if (!(outcome instanceof VmOutcome.Rebooted && rules.restarts)) {
                return outcome;
            }
            if (isEnding()) {
                return new VmOutcome.Stopped();
            }
        }
    }

    private VmOutcome run(Vm next) throws IOException, InterruptedException {
        console.built(next);
        try {
            if (!take(next)) {
                return new VmOutcome.Stopped();
            }
            next.start();
            onStart.started();
            VmOutcome outcome = await(next);
            if (outcome instanceof VmOutcome.Halted || outcome instanceof VmOutcome.Panicked) {
                lastDiagnosis = next.diagnose().lines();
            }
            return outcome;
        } finally {
            current.end(); // before it is closed
            next.exitCounts().forEach((reason, count) -> exits.merge(reason, count, Long::sum));
        }
    }

    /// Exits to user space of all that ran, by the kernel's name of the reason.
    Map<String, Long> exitCounts() {
        return exits;
    }

    /// What a guest was at that halted for good or panicked; empty for any other.
    List<String> lastDiagnosis() {
        return lastDiagnosis;
    }

    /// What the shell gets for `outcome`.
    synchronized int exitStatus(VmOutcome outcome) {
        return outcome instanceof VmOutcome.Stopped ? stopStatus : ExitStatus.of(outcome);
    }

    @Override
    public void close() {
        actions.shutdownNow();
        endings.shutdownNow();
        console.close();
    }

    private VmOutcome await(Vm guest) throws InterruptedException {
        Duration limit = rules.limit;
        return limit == null
                ? guest.awaitExit()
                : guest.awaitExit(limit.minusNanos(System.nanoTime() - begin));
    }

    /// @return false if it is to end before it has begun
    private boolean take(Vm next) {
        current.begin(next);
        synchronized (this) {
            return !stopping;
        }
    }

    private synchronized boolean isEnding() {
        return stopping || shuttingDown;
    }

    private void stop(int signal) {
        synchronized (this) {
            if (!stopping) {
                stopping = true;
                stopStatus = SIGNAL_STATUS + signal;
            }
        }
        try (CurrentGuest<Vm>.Use use = current.use()) {
            if (use != null) {
                use.guest().stop();
            }
        }
    }

    private void terminate(int signal) {
        terminate(signal, rules.grace);
    }

    /// Lets the guest shut down. Whoever asks twice does not want to wait.
    private void terminate(int signal, Duration grace) {
        boolean first;
        synchronized (this) {
            first = !shuttingDown;
            shuttingDown = true;
            stopStatus = stopping ? stopStatus : SIGNAL_STATUS + signal;
        }
        try (CurrentGuest<Vm>.Use use = first ? current.use() : null) {
            if (use == null) {
                stop(signal);
                return;
            }
            // the button may have to wait for a snapshot
            var _ = endings.schedule(() -> stop(signal), grace.toNanos(), TimeUnit.NANOSECONDS);
            if (!use.guest().powerButton()) {
                stop(signal);
            }
        }
    }

    private void continued() {
        if (console instanceof GuestConsole.Tty tty) {
            try {
                tty.again();
            } catch (ErrnoException e) {
                say("the terminal is not raw: " + e.getMessage());
            }
        }
    }

    private void resized() {
        try (CurrentGuest<Vm>.Use use = current.use()) {
            if (use != null && console instanceof GuestConsole.Tty tty) {
                tty.passSize(use.guest());
            }
        } catch (ErrnoException e) {
            say("the guest is not told of the window's size: " + e.getMessage());
        }
    }

    private void press(EscapeKeys.Key key) {
        if (key == EscapeKeys.Key.HELP) {
            System.err.println();
            EscapeKeys.help().forEach(System.err::println);
        } else if (key == EscapeKeys.Key.QUIT) {
            stop(HostSignals.INT);
        } else {
            try (CurrentGuest<Vm>.Use turn = current.turn()) {
                if (turn != null) {
                    press(key, turn.guest());
                }
            }
        }
    }

    private void press(EscapeKeys.Key key, Vm guest) {
        switch (key) {
            case HELP, QUIT -> {} // need no guest
            case POWER_BUTTON -> {
                if (!guest.powerButton()) {
                    say("the guest does not listen to the power button");
                }
            }
            case CTRL_ALT_DELETE -> {
                if (!guest.ctrlAltDelete()) {
                    say("the guest does not listen to the keyboard");
                }
            }
            case CONSOLE -> {
                if (!guest.switchConsole()) {
                    say("the guest does not use hvc0");
                }
            }
            case PAUSE -> pauseOrResume(guest);
            case INSPECT -> inspect(guest);
            case STATISTICS -> printStatistics(guest);
            case SNAPSHOT -> snapshot(guest, false);
            case SUSPEND -> snapshot(guest, true);
        }
    }

    private void pauseOrResume(Vm guest) {
        try {
            if (guest.isPaused()) {
                guest.resume();
                say("the guest goes on");
            } else if (guest.outcome().isEmpty()) {
                guest.pause();
                say("the guest is paused; Ctrl-] p lets it go on");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /// @param ends whether the guest ends with it; it does not run in between
    private void snapshot(Vm guest, boolean ends) {
        if (guest.outcome().isPresent()) {
            return;
        }
        boolean paused = guest.isPaused();
        boolean written = false;
        try {
            if (ends && !paused) {
                guest.pause();
            }
            snapshots.write(guest, ends);
            written = true;
            say("the snapshot is in " + snapshots.place());
        } catch (IOException | ConfigException e) {
            say("no snapshot: " + e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (written && ends) {
            synchronized (this) {
                stopping = true;
                stopStatus = ExitStatus.OK;
            }
            guest.stop();
        } else if (ends && !paused && guest.outcome().isEmpty()) {
            guest.resume();
        }
    }

    private void inspect(Vm guest) {
        try {
            List<String> lines = guest.diagnose().lines();
            System.err.println();
            lines.forEach(System.err::println);
        } catch (IOException e) {
            say("the guest cannot be looked at: " + e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void printStatistics(Vm guest) {
        double seconds = (System.nanoTime() - begin) / 1e9;
        System.err.printf("%nkaval: %.1f s since the start, exits to user space:%n", seconds);
        guest.exitCounts()
                .forEach((reason, count) -> System.err.printf("  %-16s %,12d%n", reason, count));
    }

    private static void say(String line) {
        System.err.println("\nkaval: " + line);
    }
}
