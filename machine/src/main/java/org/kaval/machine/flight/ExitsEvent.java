package org.kaval.machine.flight;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;

/// How often a vCPU left its guest for one reason.
@Name("kaval.Exits")
@Label("Exits to User Space")
@Category("Kaval")
@Period("1 s")
@StackTrace(false)
final class ExitsEvent extends Event {
    @Label("vCPU")
    final Thread vcpu;

    @Label("Reason")
    @Description("The kernel's name of it")
    final String reason;

    @Label("Count")
    @Description("Since the last event")
    final long count;

    ExitsEvent(Thread vcpu, String reason, long count) {
        this.vcpu = vcpu;
        this.reason = reason;
        this.count = count;
    }
}
