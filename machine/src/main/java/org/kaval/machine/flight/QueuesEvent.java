package org.kaval.machine.flight;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/// How many requests a device took from one of its virtqueues.
@Name("kaval.Queues")
@Label("Requests in Virtqueues")
@Category("Kaval")
@Period("1 s")
@StackTrace(false)
final class QueuesEvent extends Event {
    @Label("Boot vCPU")
    @Description("Tells machines apart")
    final @Nullable Thread bootVcpu;

    @Label("Queue")
    @Description("The device's name and the queue's number")
    final String queue;

    @Label("Count")
    @Description("Since the last event")
    final long count;

    QueuesEvent(@Nullable Thread bootVcpu, String queue, long count) {
        this.bootVcpu = bootVcpu;
        this.queue = queue;
        this.count = count;
    }
}
