package org.kaval.cli;

import org.kaval.machine.VmOutcome;

/// What the commands return to the shell.
final class ExitStatus {
    static final int OK = 0;

    /// The guest crashed, panicked, or halted for good.
    static final int GUEST_CRASHED = 1;

    /// Wrong options or settings, or a file that is not what it should be.
    static final int USAGE = 2;

    /// The host cannot do it.
    static final int HOST = 3;

    /// Stopped at a time limit.
    static final int TIME_LIMIT = 4;

    /// A bug of this program (sysexits.h, `EX_SOFTWARE`).
    static final int BUG = 70;

    /// Stopped from the keyboard: 128 and the number of SIGINT.
    static final int INTERRUPTED = 130;

    private ExitStatus() {}

    static int of(VmOutcome outcome) {
        return switch (outcome) {
            case VmOutcome.PoweredOff _, VmOutcome.Rebooted _ -> OK;
            case VmOutcome.DebugExit(int code) -> code & 0xff;
            case VmOutcome.Crashed _, VmOutcome.Halted _, VmOutcome.Panicked _ -> GUEST_CRASHED;
            case VmOutcome.TimedOut _ -> TIME_LIMIT;
            case VmOutcome.Stopped _ -> INTERRUPTED;
        };
    }
}
