package org.kaval.devices;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;
import org.kaval.linux.Epoll;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.EventFd;
import org.kaval.linux.Fd;

/// One thread that waits for descriptors on behalf of the devices of one machine: consoles,
/// sockets, timers. Nothing that it calls may block.
///
/// {@link #execute} and {@link #close} may be called by any thread, the rest on the loop's own.
public final class EventLoop implements AutoCloseable {
    private static final Logger LOG = System.getLogger(EventLoop.class.getName());
    private static final long WAKE_UP = 0;

    private final Epoll epoll;
    private final EventFd wakeUp;
    private final Thread thread;
    private final Queue<Runnable> tasks = new ConcurrentLinkedQueue<>();
    private final Map<Long, Registration> registrations = new HashMap<>(); // the loop's own
    private final Consumer<Throwable> onBug;
    private long lastToken = WAKE_UP;
    private volatile boolean closing;

    /// Is called when a descriptor is ready.
    @FunctionalInterface
    public interface Handler {
        /// Deals with what is ready; does not block.
        ///
        /// @param events {@link Epoll#IN}, {@link Epoll#OUT}, {@link Epoll#ERROR}, {@link
        ///   Epoll#HANGUP}
        /// @throws ErrnoException if the host refused; the descriptor is then watched no longer
        void ready(int events) throws ErrnoException;
    }

    private EventLoop(String name, Epoll epoll, EventFd wakeUp, Consumer<Throwable> onBug) {
        this.epoll = epoll;
        this.wakeUp = wakeUp;
        this.onBug = onBug;
        this.thread = Thread.ofPlatform().name(name).daemon().unstarted(this::run);
    }

    /// Starts a loop in a thread of that name.
    ///
    /// @param onBug is told of an exception that came out of a task or a handler and ended the loop
    public static EventLoop start(String name, Consumer<Throwable> onBug) throws ErrnoException {
        Epoll epoll = Epoll.create();
        EventFd wakeUp = null;
        try {
            wakeUp = EventFd.create(name + " wake-up");
            epoll.add(wakeUp.fd(), Epoll.IN, WAKE_UP);
        } catch (ErrnoException e) {
            if (wakeUp != null) {
                wakeUp.close();
            }
            epoll.close();
            throw e;
        }
        var loop = new EventLoop(name, epoll, wakeUp, onBug);
        loop.thread.start();
        return loop;
    }

    /// Runs `task` on the loop's thread, soon. What is still waiting when the loop closes is
    /// dropped.
    public synchronized void execute(Runnable task) {
        if (!closing) {
            tasks.add(task);
            wakeUp.signal();
        }
    }

    /// A descriptor that the loop watches.
    public final class Registration {
        private final Fd fd;
        private final long token;
        private final Handler handler;
        private int events;

        private Registration(Fd fd, long token, int events, Handler handler) {
            this.fd = fd;
            this.token = token;
            this.events = events;
            this.handler = handler;
        }

        /// Changes what is watched for; 0 for errors only.
        public void watch(int newEvents) throws ErrnoException {
            if (newEvents != events) {
                epoll.modify(fd, newEvents, token);
                events = newEvents;
            }
        }

        /// Stops watching; the descriptor stays open.
        public void cancel() {
            if (registrations.remove(token) != null) {
                try {
                    epoll.remove(fd);
                } catch (ErrnoException e) {
                    LOG.log(Level.WARNING, "{0}", e.getMessage());
                }
            }
        }
    }

    /// Watches `fd`, which stays the caller's and is closed only after {@link Registration#cancel}.
    ///
    /// @throws ErrnoException with {@link Errno#EPERM} for a regular file, which is always ready
    public Registration register(Fd fd, int events, Handler handler) throws ErrnoException {
        long token = ++lastToken;
        var registration = new Registration(fd, token, events, handler);
        registrations.put(token, registration);
        try {
            epoll.add(fd, events, token);
        } catch (ErrnoException e) {
            registrations.remove(token);
            throw e;
        }
        return registration;
    }

    /// Ends the loop and waits for its thread.
    @Override
    public void close() {
        if (Thread.currentThread() == thread) {
            throw new IllegalStateException(thread.getName() + " cannot wait for itself");
        }
        synchronized (this) {
            if (closing) {
                return;
            }
            closing = true;
            wakeUp.signal();
        }
        Threads.join(thread);
        wakeUp.close();
        epoll.close();
    }

    private void run() {
        try {
            while (!closing) {
                int ready = epoll.await(-1);
                for (int i = 0; i < ready; i++) {
                    dispatch(epoll.token(i), epoll.events(i));
                }
                runTasks();
            }
        } catch (Throwable bug) { // the thread's last frame: the machine has to hear of it
            onBug.accept(bug);
        }
    }

    private void runTasks() {
        for (Runnable task = tasks.poll(); task != null && !closing; task = tasks.poll()) {
            task.run();
        }
    }

    private void dispatch(long token, int events) {
        if (token == WAKE_UP) {
            wakeUp.drain();
            return;
        }
        Registration registration = registrations.get(token);
        if (registration == null) {
            return; // cancelled by a handler of the same round
        }
        try {
            registration.handler.ready(events);
        } catch (ErrnoException e) {
            LOG.log(Level.WARNING, "{0}", e.getMessage());
            registration.cancel();
        }
    }
}
