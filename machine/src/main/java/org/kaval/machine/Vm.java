package org.kaval.machine;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.kaval.kvm.Kvm;
import org.kaval.machine.diagnosis.Diagnosis;
import org.kaval.machine.snapshot.SnapshotOptions;
import org.kaval.memory.GuestMemory;
import org.kaval.vcpu.Topology;
import org.kaval.vcpu.Vcpu;

/// A virtual machine.
///
/// ```
///   build ──▶ created ──start──▶ running ◀──pause, resume──▶ paused
///                                   │ the guest ends, stop, a time limit
///                                   ▼
///                                 ended ──close──▶ closed
/// ```
///
/// Any thread. A machine has a thread per vCPU (`vcpu-N`), one for its serial output
/// (`serial0-out`), and an event loop (`event-loop`) for its timers and its serial input. They are
/// daemon threads and end with {@link #close}.
public final class Vm implements AutoCloseable {
    private enum State {
        CREATED,
        RUNNING,
        PAUSED,
        CLOSED
    }

    private final Machine machine;
    private final Mainboard board;
    private final Observer observer;
    private final @Nullable SilenceWatch silenceWatch;
    private final Origin origin;
    private volatile State state = State.CREATED; // written by who has this
    private boolean held; // the devices, until the guest first runs; guarded by this

    /// What a machine was made from.
    ///
    /// @param held whether its devices wait for the guest to run
    record Origin(Path kvmDevice, Topology topology, boolean held) {}

    Vm(
            Machine machine,
            Mainboard board,
            Observer observer,
            @Nullable SilenceWatch silenceWatch,
            Origin origin) {
        this.machine = machine;
        this.board = board;
        this.observer = observer;
        this.silenceWatch = silenceWatch;
        this.origin = origin;
        this.held = origin.held;
    }

    /// Begins the description of a machine.
    public static VmBuilder builder() {
        return new VmBuilder();
    }

    /// Makes a machine of the snapshot in `directory`, ready to {@link #start}: where the other
    /// was, it goes on. Its serial output goes nowhere, and it has no devices but the mainboard's;
    /// {@link VmBuilder#restore} has more to say.
    ///
    /// @throws IOException see {@link VmBuilder#restore}
    public static Vm restore(Path directory) throws IOException {
        return builder().restore(directory);
    }

    /// Lets the guest run for the first time, or, restored, go on.
    ///
    /// @throws IllegalStateException if it has been started, or closed
    public synchronized void start() {
        require(State.CREATED, "start");
        run("started");
    }

    /// Stops all vCPUs between two instructions each; returns when they stand still. The guest's
    /// memory can be read then, and nothing but devices changes it.
    ///
    /// @throws IllegalStateException if it does not run
    public synchronized void pause() throws InterruptedException {
        require(State.RUNNING, "pause");
        if (machine.outcome().isDone()) {
            throw new IllegalStateException("cannot pause: the guest has ended");
        }
        state = State.PAUSED;
        pauseVcpus();
        machine.happened("paused");
    }

    private void pauseVcpus() throws InterruptedException {
        machine.vcpus().forEach(Vcpu::requestPause);
        for (Vcpu vcpu : machine.vcpus()) {
            vcpu.pause();
        }
        if (silenceWatch != null) {
            silenceWatch.pause();
        }
    }

    /// Lets the guest go on.
    ///
    /// @throws IllegalStateException if it is not paused
    public synchronized void resume() {
        require(State.PAUSED, "resume");
        run("resumed");
    }

    private void run(String what) {
        state = State.RUNNING;
        machine.happened(what);
        if (silenceWatch != null) {
            silenceWatch.start();
        }
        if (held) {
            held = false;
            SavedMachine.release(machine);
        }
        machine.vcpus().forEach(Vcpu::resume);
    }

    /// Writes the machine into a folder: memory, vCPUs, devices, and of its disks what `options`
    /// say. A snapshot that is there is replaced once the new one is whole, and stays if this
    /// fails. The guest stands still for a part of that time, and goes on then if it ran.
    ///
    /// Devices finish the requests that they have, for which they have half a minute. A disk that
    /// is not in the snapshot, and is written afterwards, no longer is what the guest in the
    /// snapshot takes it for: so the machine is restored with what the disk was, a copy or an image
    /// below an overlay.
    ///
    /// The machine and its disks are not closed before this returns. {@link #stop} does not wait
    /// for it: there is no snapshot then.
    ///
    /// @param directory is made, for its owner alone, if it is not there
    /// @return for how long the guest stood still
    /// @throws IOException if it cannot be written, a device does not finish, or the guest ends
    ///   meanwhile
    /// @throws IllegalStateException if the guest has ended, or the machine is closed
    public Duration snapshot(Path directory, SnapshotOptions options)
            throws IOException, InterruptedException {
        requireAlive();
        try (var task = new SnapshotTask(machine, directory, options)) {
            long still = capture(task);
            task.finish(origin.topology, observer.boot());
            return Duration.ofNanos(still);
        } catch (IllegalStateException e) {
            if (machine.outcome().isDone()) { // what was asked of it could not be done any more
                throw SnapshotTask.ended(directory);
            }
            throw e;
        }
    }

    private synchronized void requireAlive() {
        requireOpen("make a snapshot");
        if (machine.outcome().isDone()) {
            throw new IllegalStateException("cannot make a snapshot: the guest has ended");
        }
    }

    private synchronized long capture(SnapshotTask task) throws IOException, InterruptedException {
        requireAlive();
        try (Kvm kvm = Kvm.open(origin.kvmDevice)) {
            task.prepare();
            if (state == State.RUNNING) {
                task.copyWhileRunning();
            }
            long begin = System.nanoTime();
            try {
                whileStill(() -> task.copyStill(kvm));
            } finally {
                if (state == State.RUNNING) {
                    run("snapshot");
                }
            }
            return System.nanoTime() - begin;
        } finally {
            task.endTracking();
        }
    }

    /// What is done with a machine of which nothing moves.
    private interface StillWork {
        void run() throws IOException, InterruptedException;
    }

    private void whileStill(StillWork work) throws IOException, InterruptedException {
        boolean wasHeld = held;
        pauseVcpus();
        requireAlive();
        SavedMachine.hold(machine);
        try {
            work.run();
        } finally {
            if (!wasHeld) {
                SavedMachine.release(machine);
            }
        }
    }

    /// {@link #snapshot(Path, SnapshotOptions)} with these attributes.
    public void snapshot(Path directory, Map<String, String> attributes)
            throws IOException, InterruptedException {
        snapshot(directory, SnapshotOptions.DEFAULT.withAttributes(attributes));
    }

    /// {@link #snapshot(Path, SnapshotOptions)} as it is by default.
    public void snapshot(Path directory) throws IOException, InterruptedException {
        snapshot(directory, SnapshotOptions.DEFAULT);
    }

    /// Makes another machine that goes on where this one is, when it is {@link #start started};
    /// this one stands still meanwhile, and goes on if it ran. Nothing is written to a disk, and
    /// the two share the memory that neither writes: see {@link org.kaval.memory.GuestMemory#copy}
    /// for how long that takes. With {@link org.kaval.memory.Backing.Memfd} the first clone is as
    /// fast as later ones.
    ///
    /// @param builder as {@link VmBuilder#restore} wants it, with devices of its own, in the same
    ///   order
    /// @throws IOException if a device does not finish its requests, `builder` has other devices,
    ///   or the host refused something
    /// @throws IllegalStateException if the guest has ended, or the machine is closed
    public Vm cloneWith(VmBuilder builder) throws IOException, InterruptedException {
        try (var original = new MachineImage(origin.topology, observer.boot())) {
            capture(original);
            return builder.restore(original);
        }
    }

    private synchronized void capture(MachineImage image) throws IOException, InterruptedException {
        requireAlive();
        try (Kvm kvm = Kvm.open(origin.kvmDevice)) {
            whileStill(() -> image.take(machine, kvm));
        } finally {
            if (state == State.RUNNING) {
                run("clone");
            }
        }
    }

    /// Whether it has been paused. Waits for nobody.
    public boolean isPaused() {
        return state == State.PAUSED;
    }

    /// Ends the guest at once, as if its power were cut; returns when its vCPUs have stopped. Does
    /// nothing if it has ended. Not for a device, which is called by a vCPU and would wait for it:
    /// it has {@link MachineContext#end}.
    public void stop() {
        machine.end(new VmOutcome.Stopped());
        finish();
    }

    /// Waits until the guest has ended and its output has been written.
    ///
    /// @throws IllegalStateException if a bug of this program ended it, which is the cause
    public VmOutcome awaitExit() throws InterruptedException {
        try {
            VmOutcome outcome = machine.outcome().get();
            finish();
            return outcome;
        } catch (ExecutionException e) {
            throw new IllegalStateException("a device or a vCPU failed", e.getCause());
        }
    }

    /// Waits until the guest has ended, and ends it when `limit` has passed.
    ///
    /// @return {@link VmOutcome.TimedOut} if the limit was what ended it
    /// @throws IllegalStateException if a bug of this program ended it, which is the cause
    public VmOutcome awaitExit(Duration limit) throws InterruptedException {
        try {
            machine.outcome().get(TimeUnit.NANOSECONDS.convert(limit), TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            machine.end(new VmOutcome.TimedOut());
        } catch (ExecutionException e) {
            // awaitExit reports it
        }
        return awaitExit();
    }

    /// How the guest ended; empty while it has not.
    public Optional<VmOutcome> outcome() {
        return machine.outcome().isCompletedExceptionally()
                ? Optional.empty()
                : Optional.ofNullable(machine.outcome().getNow(null));
    }

    /// Gives the guest input on its first serial port, as if it had been typed; on its virtio
    /// console, once it uses that.
    ///
    /// @return how many of the bytes there was room for; the guest has to read some before more fit
    public int typeSerial(byte[] bytes) {
        return board.console().type(bytes, 0, bytes.length);
    }

    /// Gives the guest input as {@link #typeSerial} does, as fast as it reads it; returns when it
    /// has taken, or will find, all of it.
    ///
    /// @return false if the machine ended before
    public boolean typeSerialAll(byte[] bytes, int from, int to) throws InterruptedException {
        return board.console().typeAll(bytes, from, to);
    }

    /// Says how large the window is that shows the guest's virtio console; programs in the guest
    /// that ask their terminal learn of it. Does nothing without one.
    ///
    /// @param columns in characters: 0 to 65535, 0 if that is not known
    /// @param rows in lines, as the columns
    /// @throws IllegalStateException if the machine is closed
    public synchronized void resizeConsole(int columns, int rows) {
        requireOpen("resize its console");
        board.resizeConsole(columns, rows);
    }

    /// Gives what is typed to the first serial port instead of the virtio console, or the other way
    /// round.
    ///
    /// @return false if the guest does not use the virtio console
    public boolean switchConsole() {
        return board.console().switchInput();
    }

    /// Tells the guest that its machine has become another one, as a copy of it has: it makes new
    /// what has to be unique. A machine that is restored from a snapshot is told without that.
    ///
    /// @throws IOException if the host has no random numbers
    /// @throws IllegalStateException if the machine is closed
    public synchronized void renewGeneration() throws IOException {
        requireOpen("renew its generation");
        board.renewGeneration();
    }

    /// Presses the power button: an operating system shuts down and powers off, if it listens to
    /// ACPI.
    ///
    /// @return whether the guest listens; if not, it learns of it when it looks
    /// @throws IllegalStateException if the machine is closed
    public synchronized boolean powerButton() {
        requireOpen("press the power button");
        return board.powerButton();
    }

    /// Types Ctrl-Alt-Del on the keyboard: an operating system restarts, if it listens to the
    /// keyboard.
    ///
    /// @return whether the keyboard took it: not if the guest has switched it off, or reads nothing
    /// @throws IllegalStateException if the machine is closed
    public synchronized boolean ctrlAltDelete() {
        requireOpen("type");
        return board.ctrlAltDelete();
    }

    /// The guest's RAM. While the guest runs, it changes under the reader.
    public GuestMemory memory() {
        return machine.memory();
    }

    /// The vCPUs, for their statistics and, while the machine is paused, their registers.
    public List<Vcpu> vcpus() {
        return machine.vcpus();
    }

    /// How often vCPUs left the guest, by the kernel's name of the reason.
    public Map<String, Long> exitCounts() {
        return machine.exitCounts();
    }

    /// What the guest is at, and what may be wrong with it. It goes on if it runs. If it has
    /// crashed or halted for good, it is what it was at then; once it has ended otherwise, its
    /// registers are no longer known. Not for a device, which would wait for the vCPU that waits
    /// for it.
    ///
    /// @throws IOException if the host does not tell
    public Diagnosis diagnose() throws IOException, InterruptedException {
        return observer.look();
    }

    /// Stops the guest if it runs, and gives everything back.
    @Override
    public synchronized void close() {
        if (state != State.CLOSED) {
            state = State.CLOSED;
            machine.end(new VmOutcome.Stopped());
            machine.close();
        }
    }

    /// What the guest has written goes out before whoever waits for the end hears of it.
    private void finish() {
        machine.stopVcpus();
        board.console().close();
    }

    private void requireOpen(String operation) {
        if (state == State.CLOSED) {
            throw new IllegalStateException(
                    "cannot %s: the machine is closed".formatted(operation));
        }
    }

    private void require(State required, String operation) {
        if (state != required) {
            throw new IllegalStateException(
                    "cannot %s: the machine is %s".formatted(operation, state));
        }
    }
}
