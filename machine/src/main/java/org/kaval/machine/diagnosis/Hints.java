package org.kaval.machine.diagnosis;

import java.util.ArrayList;
import java.util.List;
import org.kaval.kvm.KvmExit;
import org.kaval.kvm.KvmKind;
import org.kaval.vcpu.VcpuExit;

/// What is commonly missing where a guest looks like this. Each method knows one picture.
final class Hints {
    /// A guest that has left so seldom has done next to nothing.
    private static final long FEW_EXITS = 100;

    /// A port that is read so often is polled.
    private static final long POLLED = 10_000;

    private static final String ZEROES = "00 00 00 00 00 00 00 00";

    private final Observation seen;
    private final CodeLocation locations;
    private final List<String> hints = new ArrayList<>();

    private Hints(Observation seen) {
        this.seen = seen;
        this.locations = seen.locations();
    }

    /// A line each; none if nothing comes to mind.
    static List<String> of(Observation seen) {
        var hints = new Hints(seen);
        hints.kindOfKvm();
        hints.stopped();
        hints.zeroes();
        hints.halted();
        hints.decompressor();
        hints.console();
        hints.polling();
        return List.copyOf(hints.hints);
    }

    private boolean isKernel() {
        return seen.boot().kernel() != null;
    }

    private void kindOfKvm() {
        if (seen.kvm() == KvmKind.PVM && isKernel()) {
            hints.add(
                    "this host's /dev/kvm is of the PVM kind, where an unmodified kernel does not"
                            + " run; it needs VT-x or AMD-V (`kaval doctor` says more)");
        }
    }

    private void stopped() {
        switch (seen.stopped()) {
            case VcpuExit.Shutdown _ -> tripleFault();
            case VcpuExit.KvmInternalError(int suberror, _)
                    when suberror == KvmExit.INTERNAL_ERROR_EMULATION ->
                    emulation();
            case VcpuExit.FailedEntry _ ->
                    hints.add(
                            "the registers make a state that the processor does not allow, as a"
                                    + " guest's own tables may after they were overwritten");
            case null, default -> {}
        }
    }

    private void tripleFault() {
        boolean noTable =
                seen.vcpus().stream()
                        .anyMatch(vcpu ->
                                vcpu.mode() != VcpuPicture.Mode.REAL && vcpu.idtLimit() == 0);
        if (noTable) {
            hints.add("there is no interrupt table: any exception is a triple fault");
        }
        if (exits() < FEW_EXITS && !seen.serial().touched()) {
            hints.add(
                    isKernel()
                            ? "it died at its beginning: too little memory, or a kernel for"
                                    + " another processor"
                            : "it died at its beginning: the wrong mode for this code, or too"
                                    + " little memory");
        }
    }

    private void emulation() {
        hints.add(
                seen.kvm() == KvmKind.PVM
                        ? "KVM of the PVM kind emulates ring 0, and does not know the instruction"
                                + " at RIP; it needs VT-x or AMD-V"
                        : "KVM cannot emulate the instruction at RIP: code runs where there is no"
                                + " RAM, or a device's memory is accessed by an instruction that"
                                + " is not for that");
    }

    private void zeroes() {
        if (seen.vcpus().stream().anyMatch(vcpu -> vcpu.code().startsWith(ZEROES))) {
            hints.add("it executes zeroes: it has jumped to where nothing was loaded");
        }
    }

    private void halted() {
        List<VcpuPicture> started =
                seen.vcpus().stream()
                        .filter(vcpu -> vcpu.activity() != VcpuPicture.Activity.WAITING)
                        .toList();
        if (started.isEmpty()) {
            return;
        }
        if (started.stream().allMatch(VcpuPicture::isHaltedForEver)) {
            hints.add(
                    "halted with interrupts off: it waits for ever, as after `halt` or a panic"
                            + (isKernel() ? "; panic=-1 makes Linux restart instead" : ""));
        } else if (started.stream()
                .allMatch(vcpu -> vcpu.activity() == VcpuPicture.Activity.HALTED)) {
            hints.add("halted with interrupts on: it is idle, and waits for an event");
        }
    }

    private void decompressor() {
        if (seen.vcpus().stream().anyMatch(locations::isDecompressor)) {
            hints.add(
                    "decompressing takes seconds on a slow host, and for ever with too little"
                            + " memory; with fast boot the host does it");
        }
    }

    private void console() {
        if (!isKernel() || seen.serial().sent() > 0) {
            return;
        }
        if (!seen.boot().says("console=ttyS0")) {
            hints.add(
                    "the command line has no console=ttyS0, without which Linux prints nothing"
                            + " here");
        } else if (!seen.boot().says("earlyprintk") && !seen.boot().says("earlycon")) {
            hints.add(
                    "what Linux says before its console works shows with"
                            + " earlyprintk=serial,ttyS0");
        }
        if (seen.boot().says("quiet")) {
            hints.add("the command line has quiet, which keeps Linux from saying how far it is");
        }
    }

    private void polling() {
        seen.accesses().stream()
                .filter(accesses ->
                        accesses.device() == null
                                && !accesses.access().write()
                                && accesses.access().count() >= POLLED)
                .findFirst()
                .ifPresent(accesses ->
                        hints.add(
                                "it polls %s 0x%x, where there is no device"
                                        .formatted(
                                                accesses.access().memory() ? "address" : "port",
                                                accesses.access().address())));
    }

    private long exits() {
        return seen.exits().values().stream().mapToLong(Long::longValue).sum();
    }
}
