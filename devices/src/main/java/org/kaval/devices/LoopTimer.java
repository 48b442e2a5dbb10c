package org.kaval.devices;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Epoll;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.TimerFd;

/// A timer of an {@link EventLoop}, which makes the calls. It runs on the monotonic clock.
///
/// Any thread (guarded by this, which is not held during a call).
public final class LoopTimer implements DeviceTimer, AutoCloseable {
    private static final Logger LOG = System.getLogger(LoopTimer.class.getName());

    private final TimerFd timer;
    private @Nullable Runnable task;

    private LoopTimer(TimerFd timer) {
        this.timer = timer;
    }

    /// Opens a timer that is not running.
    ///
    /// @param name what it is for, for messages
    public static LoopTimer open(EventLoop loop, String name) throws ErrnoException {
        var timer = new LoopTimer(TimerFd.create(name));
        loop.execute(() -> timer.register(loop));
        return timer;
    }

    @Override
    public synchronized void set(long delayNanos, Runnable newTask) {
        task = newTask;
        start(Math.max(1, delayNanos));
    }

    @Override
    public synchronized void cancel() {
        if (task != null) {
            task = null;
            start(0);
        }
    }

    /// After the loop.
    @Override
    public void close() {
        timer.close();
    }

    private void start(long delayNanos) {
        try {
            timer.set(delayNanos, 0);
        } catch (ErrnoException e) {
            // the descriptor is ours and open, and the time is one: nothing can go wrong
            throw new IllegalStateException(e);
        }
    }

    private void register(EventLoop loop) {
        try {
            loop.register(timer.fd(), Epoll.IN, _ -> expired());
        } catch (ErrnoException e) {
            LOG.log(Level.WARNING, "{0}", e.getMessage());
        }
    }

    private void expired() throws ErrnoException {
        Runnable due;
        synchronized (this) {
            due = timer.drain() > 0 ? task : null;
            task = due == null ? task : null;
        }
        if (due != null) {
            due.run();
        }
    }
}
