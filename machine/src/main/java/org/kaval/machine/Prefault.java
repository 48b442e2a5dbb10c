package org.kaval.machine;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.concurrent.atomic.AtomicBoolean;
import org.kaval.devices.Threads;
import org.kaval.linux.ErrnoException;

/// Reads a restored guest's memory from its file, on a thread of its own, until all of it is there
/// or the machine is closed.
final class Prefault {
    private static final Logger LOG = System.getLogger(Prefault.class.getName());

    private Prefault() {}

    static void start(Machine machine) {
        var goOn = new AtomicBoolean(true);
        Thread thread =
                Thread.ofPlatform().name("prefault").daemon().start(() -> run(machine, goOn));
        machine.onClose(() -> {
            goOn.set(false);
            Threads.join(thread); // the memory is unmapped then
        });
    }

    private static void run(Machine machine, AtomicBoolean goOn) {
        try {
            machine.memory().populate(goOn::get);
        } catch (ErrnoException e) {
            LOG.log(Level.WARNING, "memory comes in where it is touched: {0}", e.getMessage());
        }
    }
}
