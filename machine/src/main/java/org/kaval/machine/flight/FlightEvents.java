package org.kaval.machine.flight;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import jdk.jfr.FlightRecorder;
import jdk.jfr.FlightRecorderListener;
import org.jspecify.annotations.Nullable;
import org.kaval.vcpu.Vcpu;

/// Tells the flight recorder of one machine, as soon as there is one: from the start of the process
/// (`-XX:StartFlightRecording`) or later (`jcmd PID JFR.start`).
///
/// Any thread. The recorder has locks of its own, so that it is not called under ours.
public final class FlightEvents implements FlightRecorderListener, AutoCloseable {
    private final Supplier<List<Vcpu>> vcpus;
    private final Supplier<Map<Integer, Long>> interrupts;
    private final Supplier<Map<String, Long>> queues;
    private final Runnable exitsHook = this::emitExits;
    private final Runnable interruptsHook = this::emitInterrupts;
    private final Runnable queuesHook = this::emitQueues;
    private final Map<Vcpu, Map<String, Long>> lastExits = new HashMap<>(); // guarded by this
    private final Map<Integer, Long> lastInterrupts = new HashMap<>(); // guarded by this
    private final Map<String, Long> lastQueues = new HashMap<>(); // guarded by this
    private volatile boolean recorded;
    private volatile boolean closed;

    private FlightEvents(
            Supplier<List<Vcpu>> vcpus,
            Supplier<Map<Integer, Long>> interrupts,
            Supplier<Map<String, Long>> queues) {
        this.vcpus = vcpus;
        this.interrupts = interrupts;
        this.queues = queues;
    }

    /// @param vcpus the machine's
    /// @param interrupts how often each line was pulled so far
    /// @param queues how many requests each queue has had so far
    public static FlightEvents of(
            Supplier<List<Vcpu>> vcpus,
            Supplier<Map<Integer, Long>> interrupts,
            Supplier<Map<String, Long>> queues) {
        var events = new FlightEvents(vcpus, interrupts, queues);
        FlightRecorder.addListener(events);
        return events;
    }

    @Override
    public void recorderInitialized(FlightRecorder recorder) {
        FlightRecorder.addPeriodicEvent(ExitsEvent.class, exitsHook);
        FlightRecorder.addPeriodicEvent(InterruptsEvent.class, interruptsHook);
        FlightRecorder.addPeriodicEvent(QueuesEvent.class, queuesHook);
        recorded = true;
        if (closed) {
            removeHooks(); // it was while we were adding them
        }
    }

    /// Something that happens seldom.
    public void happened(String what) {
        if (recorded) {
            new LifecycleEvent(bootVcpu(), what).commit();
        }
    }

    /// Tells of what has happened since the last time, and then of nothing more.
    @Override
    public void close() {
        closed = true;
        FlightRecorder.removeListener(this);
        if (recorded) {
            emitExits();
            emitInterrupts();
            emitQueues();
            removeHooks();
        }
    }

    private void removeHooks() {
        FlightRecorder.removePeriodicEvent(exitsHook);
        FlightRecorder.removePeriodicEvent(interruptsHook);
        FlightRecorder.removePeriodicEvent(queuesHook);
    }

    private void emitExits() {
        for (Vcpu vcpu : vcpus.get()) {
            exitsSince(vcpu)
                    .forEach((reason, count) ->
                            new ExitsEvent(vcpu.thread(), reason, count).commit());
        }
    }

    private void emitInterrupts() {
        since(lastInterrupts, interrupts.get())
                .forEach((line, count) -> new InterruptsEvent(bootVcpu(), line, count).commit());
    }

    private void emitQueues() {
        since(lastQueues, queues.get())
                .forEach((queue, count) -> new QueuesEvent(bootVcpu(), queue, count).commit());
    }

    private synchronized Map<String, Long> exitsSince(Vcpu vcpu) {
        Map<String, Long> last = lastExits.computeIfAbsent(vcpu, _ -> new HashMap<>());
        return difference(last, vcpu.statistics().counts());
    }

    private synchronized <K> Map<K, Long> since(Map<K, Long> last, Map<K, Long> now) {
        return difference(last, now);
    }

    /// What has been added, which is in `last` then, too.
    private static <K> Map<K, Long> difference(Map<K, Long> last, Map<K, Long> now) {
        var difference = new HashMap<K, Long>();
        now.forEach((key, count) -> {
            Long before = last.put(key, count);
            long more = count - (before == null ? 0 : before);
            if (more > 0) {
                difference.put(key, more);
            }
        });
        return difference;
    }

    /// Null while the machine is being built.
    private @Nullable Thread bootVcpu() {
        List<Vcpu> all = vcpus.get();
        return all.isEmpty() ? null : all.getFirst().thread();
    }
}
