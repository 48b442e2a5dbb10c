package org.kaval.vcpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmRun;
import org.kaval.kvm.KvmVcpu;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.linux.Kick;

/// A virtual CPU with the thread that runs it.
///
/// ```
///            resume              stop
///   PAUSED ─────────▶ RUNNING ────────▶ STOPPED
///      ▲ ◀───────────    │                 ▲
///      │      pause      │ guest stopped   │
///      └─────────────────┘                 │
///      └───────────────────────────────────┘
///                      stop
/// ```
///
/// It begins paused, so that its registers can be set. Every method may be called by any thread. A
/// running vCPU is stopped by a flag that `KVM_RUN` looks at when it begins, and then by a signal
/// that ends a `KVM_RUN` which has begun: whichever moment the request comes at, one of them is
/// seen. `KVM_RUN` with the flag set finishes the instruction whose port or memory access has just
/// been answered, so a paused vCPU is between two instructions.
public final class Vcpu {
    /// Where a vCPU is in its life.
    public enum State {
        /// Its thread waits; its registers can be read and written.
        PAUSED,
        /// Its guest runs.
        RUNNING,
        /// Its thread has ended, for good.
        STOPPED
    }

    /// Work for the vCPU's thread.
    public interface Task<T> {
        T run(KvmVcpu vcpu) throws IOException;
    }

    private static final long ASKED_ALREADY = -1;

    private final int index;
    private final KvmVcpu kvm;
    private final KvmRun run;
    private final ExitHandler handler;
    private final Thread thread;
    private final ExitStatistics statistics = new ExitStatistics();
    private volatile int threadId; // the kernel's; 0 until the thread runs
    private volatile long firstRunNanos;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private State goal = State.PAUSED; // guarded by lock
    private State state = State.PAUSED; // guarded by lock
    private long requests; // how often the goal was set; guarded by lock
    private final Queue<FutureTask<?>> tasks = new ArrayDeque<>(); // guarded by lock

    private Vcpu(int index, KvmVcpu kvm, ExitHandler handler) {
        this.index = index;
        this.kvm = kvm;
        this.run = kvm.runState();
        this.handler = handler;
        this.thread = Thread.ofPlatform().name("vcpu-" + index).daemon().unstarted(this::live);
    }

    /// Starts the thread of a vCPU, paused.
    ///
    /// @param index for its name; 0 is the one that boots
    public static Vcpu start(int index, KvmVcpu kvm, ExitHandler handler)
            throws HostUnsupportedException {
        Kick.requireHandler();
        var vcpu = new Vcpu(index, kvm, handler);
        vcpu.thread.start();
        return vcpu;
    }

    public int index() {
        return index;
    }

    /// The thread that runs the guest, for whoever has to name it.
    public Thread thread() {
        return thread;
    }

    public State state() {
        lock.lock();
        try {
            return state;
        } finally {
            lock.unlock();
        }
    }

    public ExitStatistics statistics() {
        return statistics;
    }

    /// When the guest's first instruction began, by {@link System#nanoTime}; 0 if it has not.
    public long firstRunNanos() {
        return firstRunNanos;
    }

    /// How long the thread has been on a processor, in nanoseconds, the guest's time included
    /// (`schedstat` of proc(5)); 0 before it has begun. It stands still while the guest halts.
    public long cpuNanos() throws IOException {
        if (threadId == 0) {
            return 0;
        }
        String text = Files.readString(Path.of("/proc/self/task/%d/schedstat".formatted(threadId)));
        return Long.parseLong(text, 0, text.indexOf(' '), 10);
    }

    /// Lets the guest run; does nothing once it is stopped.
    public void resume() {
        setGoal(State.RUNNING);
    }

    /// Asks for a pause and returns at once.
    public void requestPause() {
        setGoal(State.PAUSED);
    }

    /// Pauses the guest; returns when it is between two instructions, or stopped, or when somebody
    /// else has let it run again.
    ///
    /// @throws IllegalStateException on the vCPU's own thread, which would wait for itself
    public void pause() throws InterruptedException {
        checkOtherThread();
        requestPause();
        lock.lock();
        try {
            while (state == State.RUNNING && goal != State.RUNNING) {
                changed.await();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Asks for the end and returns at once; for good.
    public void requestStop() {
        setGoal(State.STOPPED);
    }

    /// Ends the guest and the thread.
    ///
    /// @return whether the thread has ended within `limit`
    public boolean stop(Duration limit) throws InterruptedException {
        checkOtherThread();
        requestStop();
        return thread.join(limit);
    }

    /// Waits until the thread has ended.
    public void join() throws InterruptedException {
        checkOtherThread();
        thread.join();
    }

    /// Makes the vCPU's thread do something between two instructions of the guest, which goes on
    /// afterwards if it ran, and waits for the result. On the vCPU's own thread, in an {@link
    /// ExitHandler}, it is done at once; the instruction that caused a port or memory access is
    /// unfinished then.
    ///
    /// @throws IllegalStateException if it is stopped
    public <T> T call(Task<T> task) throws IOException, InterruptedException {
        if (Thread.currentThread() == thread) {
            return task.run(kvm);
        }
        var future = new FutureTask<>(() -> task.run(kvm));
        lock.lock();
        try {
            if (state == State.STOPPED) {
                throw new IllegalStateException(thread.getName() + " is stopped");
            }
            tasks.add(future);
            kickLocked();
        } finally {
            lock.unlock();
        }
        try {
            return future.get();
        } catch (CancellationException e) {
            throw new IllegalStateException(thread.getName() + " is stopped", e);
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case IOException refused -> throw refused;
                case RuntimeException bug -> throw bug;
                case Error bug -> throw bug;
                case null, default -> throw new IllegalStateException(e);
            }
        }
    }

    private void checkOtherThread() {
        if (Thread.currentThread() == thread) {
            throw new IllegalStateException(thread.getName() + " cannot wait for itself");
        }
    }

    private void setGoal(State newGoal) {
        lock.lock();
        try {
            if (goal != State.STOPPED) {
                goal = newGoal;
                requests++;
                kickLocked();
            }
        } finally {
            lock.unlock();
        }
    }

    /// Makes the thread look at goal and tasks soon. The flag comes before the signal: a request
    /// that comes between the thread's last look and its `KVM_RUN` is seen by `KVM_RUN` itself.
    private void kickLocked() {
        if (state == State.RUNNING) {
            run.immediateExit(true);
            if (Thread.currentThread() != thread) {
                Kick.send(threadId);
            }
        }
        changed.signalAll();
    }

    private void live() {
        threadId = Kick.currentThreadId();
        try {
            while (awaitRun()) {
                runGuest();
            }
        } catch (Throwable bug) { // the thread's last frame: the machine has to hear of it
            handler.broken(this, bug);
        } finally {
            enterStopped();
        }
    }

    /// Does what others ask for until the guest may run.
    ///
    /// @return false if the vCPU is to stop
    private boolean awaitRun() {
        lock.lock();
        try {
            while (true) {
                FutureTask<?> task = tasks.poll();
                if (task != null) {
                    runUnlocked(task);
                } else if (goal == State.PAUSED) {
                    setStateLocked(State.PAUSED);
                    changed.awaitUninterruptibly();
                } else {
                    if (state == State.PAUSED && firstRunNanos != 0) {
                        kvm.tellOfPause(); // or Linux takes half a minute's for a lockup
                    }
                    setStateLocked(goal);
                    return goal == State.RUNNING;
                }
            }
        } finally {
            lock.unlock();
        }
    }

    private void runUnlocked(FutureTask<?> task) {
        lock.unlock();
        try {
            task.run();
        } finally {
            lock.lock();
        }
    }

    private void setStateLocked(State newState) {
        if (state != newState) {
            state = newState;
            changed.signalAll();
        }
    }

    private void enterStopped() {
        lock.lock();
        try {
            goal = State.STOPPED;
            setStateLocked(State.STOPPED);
            tasks.forEach(task -> task.cancel(false));
            tasks.clear();
        } finally {
            lock.unlock();
        }
    }

    /// Runs the guest until somebody asks for something, or it stops. The hot path: nothing here
    /// allocates or locks until then.
    private void runGuest() {
        if (firstRunNanos == 0) {
            firstRunNanos = System.nanoTime();
        }
        while (true) {
            int reason;
            try {
                reason = kvm.run();
            } catch (ErrnoException e) {
                exit(new VcpuExit.RunFailed(e));
                return;
            }
            statistics.count(reason);
            if (reason == KvmExit.IO) {
                portIo();
            } else if (reason == KvmExit.MMIO) {
                mmio();
            } else if (reason == KvmVcpu.INTERRUPTED) {
                // cleared before goal and tasks are looked at: a later request sets it again
                run.immediateExit(false);
                return;
            } else {
                statistics.remember(reason, 0, 0);
                exit(VcpuExit.of(reason, run));
                return;
            }
        }
    }

    /// Pauses, and asks the machine whether to go on. In this order: whoever the machine tells of
    /// the exit may ask for something at once, and that stands.
    private void exit(VcpuExit exit) {
        long before = pauseUnlessAsked();
        if (handler.exited(this, exit)) {
            resumeUnlessAsked(before);
        }
    }

    /// Makes a pause the goal of a vCPU that was to run.
    ///
    /// @return the number of requests so far, or {@link #ASKED_ALREADY} if it was to do otherwise
    private long pauseUnlessAsked() {
        lock.lock();
        try {
            if (goal != State.RUNNING) {
                return ASKED_ALREADY;
            }
            goal = State.PAUSED;
            return requests;
        } finally {
            lock.unlock();
        }
    }

    private void resumeUnlessAsked(long seen) {
        lock.lock();
        try {
            if (requests == seen && goal == State.PAUSED) {
                goal = State.RUNNING;
            }
        } finally {
            lock.unlock();
        }
    }

    private void portIo() {
        int port = run.ioPort();
        int size = run.ioSize();
        int count = run.ioCount();
        boolean out = run.ioIsOut();
        statistics.remember(KvmExit.IO, port, out ? -size : size);
        for (int i = 0; i < count; i++) {
            if (out) {
                handler.portWrite(port, size, run.ioValue(i));
            } else {
                run.ioAnswer(i, handler.portRead(port, size));
            }
        }
    }

    private void mmio() {
        long address = run.mmioAddress();
        int size = run.mmioLength();
        if (run.mmioIsWrite()) {
            statistics.remember(KvmExit.MMIO, address, -size);
            handler.mmioWrite(address, size, run.mmioValue());
        } else {
            statistics.remember(KvmExit.MMIO, address, size);
            run.mmioAnswer(handler.mmioRead(address, size));
        }
    }
}
