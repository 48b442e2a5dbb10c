package org.kaval.machine;

import java.util.List;

/// How a machine ended. Its text is one line for a person.
public sealed interface VmOutcome {
    /// The guest powered it off.
    record PoweredOff() implements VmOutcome {
        @Override
        public String toString() {
            return "powered off";
        }
    }

    /// The guest asked for a restart.
    record Rebooted() implements VmOutcome {
        @Override
        public String toString() {
            return "rebooted";
        }
    }

    /// The guest halted all its vCPUs with interrupts off, without powering off: nothing can wake
    /// it.
    record Halted() implements VmOutcome {
        @Override
        public String toString() {
            return "halted for good, without powering off";
        }
    }

    /// The guest's kernel said that it had panicked, and did not restart.
    record Panicked() implements VmOutcome {
        @Override
        public String toString() {
            return "panicked";
        }
    }

    /// The guest wrote to the debug-exit port.
    ///
    /// @param code what it wrote
    record DebugExit(int code) implements VmOutcome {
        @Override
        public String toString() {
            return "exited with code " + code;
        }
    }

    /// The guest cannot go on.
    ///
    /// @param vcpu which one stopped
    /// @param reason one line
    /// @param details what is known: registers, the bytes at RIP, the last exits; a line each
    record Crashed(int vcpu, String reason, List<String> details) implements VmOutcome {
        public Crashed {
            details = List.copyOf(details);
        }

        @Override
        public String toString() {
            return "crashed: vcpu %d: %s".formatted(vcpu, reason);
        }
    }

    /// Somebody stopped it.
    record Stopped() implements VmOutcome {
        @Override
        public String toString() {
            return "stopped";
        }
    }

    /// Its time was over.
    record TimedOut() implements VmOutcome {
        @Override
        public String toString() {
            return "stopped at its time limit";
        }
    }
}
