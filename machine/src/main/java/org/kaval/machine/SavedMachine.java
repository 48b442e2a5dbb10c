package org.kaval.machine;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.kaval.devices.Persistent;
import org.kaval.devices.StateException;
import org.kaval.devices.StateFields;
import org.kaval.kvm.Capability;
import org.kaval.kvm.Kvm;
import org.kaval.kvm.KvmVcpu;
import org.kaval.kvm.KvmVcpuState;
import org.kaval.kvm.KvmVmState;
import org.kaval.linux.ErrnoException;
import org.kaval.linux.HostUnsupportedException;
import org.kaval.machine.snapshot.VcpuFields;
import org.kaval.vcpu.Vcpu;
import org.kaval.vcpu.VcpuState;

/// What of a machine is in a snapshot, but for its memory: a tree with the parts `vm`, `vcpus` and
/// `devices`. One thread; no vCPU runs.
///
/// What is on its way from a timer to a vCPU is in one place or the next, so these are read in the
/// direction that an interrupt takes, from the timer to the local APIC, and it is seen twice rather
/// than never.
final class SavedMachine {
    private static final String VM = "vm";
    private static final String VCPUS = "vcpus";
    private static final String DEVICES = "devices";
    private static final String REALTIME = "realtimeNanos";
    private static final String TSC_KILOHERTZ = "tscKilohertz";

    /// Parts of the kernel's state, in the order in which they are read.
    private static final List<KvmVmState> CHIPS =
            List.of(KvmVmState.PIT, KvmVmState.PIC_MASTER, KvmVmState.PIC_SLAVE, KvmVmState.IOAPIC);

    /// KVM keeps a frequency of its own for a machine whose TSC is further off (as QEMU has it).
    private static final double TSC_TOLERANCE = 250e-6;

    /// A disk may have to finish what is in a slow host's hands.
    private static final Duration IDLE_LIMIT = Duration.ofSeconds(30);

    private SavedMachine() {}

    /// Lets the devices finish what they have begun, and begin nothing.
    ///
    /// @throws IOException if one does not finish; the devices go on then
    static void hold(Machine machine) throws IOException, InterruptedException {
        Map<String, Persistent> parts = machine.persistent();
        parts.values().forEach(Persistent::hold);
        boolean idle = false;
        try {
            long deadline = System.nanoTime() + IDLE_LIMIT.toNanos();
            for (Map.Entry<String, Persistent> part : parts.entrySet()) {
                if (!part.getValue().awaitIdle(deadline - System.nanoTime())) {
                    throw new IOException(
                            "%s has not finished its requests within %d s"
                                    .formatted(part.getKey(), IDLE_LIMIT.toSeconds()));
                }
            }
            idle = true;
        } finally {
            if (!idle) {
                release(machine);
            }
        }
    }

    static void release(Machine machine) {
        machine.persistent().values().forEach(Persistent::release);
    }

    /// Reads the state of a machine that is held.
    ///
    /// @throws IllegalStateException if a vCPU is stopped
    static Map<String, Object> save(Machine machine, Kvm kvm)
            throws IOException, InterruptedException {
        List<Integer> msrs = kvm.msrIndexList();
        int xsaveSize = machine.kvm().check(Capability.XSAVE2);
        boolean knowsTsc = kvm.check(Capability.GET_TSC_KHZ) > 0;
        StateFields vm = StateFields.saving();
        for (KvmVmState chip : CHIPS) {
            vm.bytes(chip.name(), machine.kvm().getState(chip));
        }
        long kilohertz = knowsTsc ? machine.vcpus().getFirst().call(KvmVcpu::tscKilohertz) : 0;
        long now = realtimeNanos();
        vm.number(REALTIME, now);
        vm.bytes(KvmVmState.CLOCK.name(), machine.kvm().getState(KvmVmState.CLOCK));
        LongSupplier passed = () -> cycles(nanosSince(now), kilohertz);
        var vcpus = new LinkedHashMap<String, Object>();
        for (Vcpu vcpu : machine.vcpus()) {
            VcpuState state = vcpu.call(each -> VcpuState.read(each, xsaveSize, msrs, passed));
            vcpus.put(Integer.toString(vcpu.index()), VcpuFields.of(state));
        }
        if (knowsTsc) {
            vm.number(TSC_KILOHERTZ, kilohertz);
        }
        StateFields devices = StateFields.saving();
        machine.persistent().forEach((name, part) -> part.persist(devices.part(name)));
        var state = new LinkedHashMap<String, Object>();
        state.put(VM, vm.saved());
        state.put(VCPUS, vcpus);
        state.put(DEVICES, devices.saved());
        return state;
    }

    /// What each vCPU was told of its processor.
    static VcpuState vcpuState(Map<String, Object> state, int index) {
        return VcpuFields.from(part(part(state, VCPUS), Integer.toString(index)));
    }

    /// Gives a machine that has not run the state; it is held then.
    ///
    /// @param state what {@link #save} returned
    /// @throws StateException if it is none, or of another machine
    /// @throws HostUnsupportedException if this host cannot go on with it
    static void restore(Machine machine, Map<String, Object> state)
            throws IOException, InterruptedException {
        Map<String, Object> vmTree = part(state, VM);
        long then = StateFields.restoring(vmTree, 0).number(REALTIME, realtimeNanos());
        StateFields vm = StateFields.restoring(vmTree, nanosSince(then));
        vm.number(REALTIME, then);
        long kilohertz = vm.number(TSC_KILOHERTZ, 0, 0, Integer.MAX_VALUE);
        if (part(state, VCPUS).size() != machine.vcpus().size()) {
            throw new StateException("%d vCPUs".formatted(part(state, VCPUS).size()));
        }
        int xsaveSize = machine.kvm().check(Capability.XSAVE2);
        for (Vcpu vcpu : machine.vcpus()) {
            VcpuState vcpuState = vcpuState(state, vcpu.index());
            vcpu.call(kvm -> {
                write(kvm, vcpuState, kilohertz, then, xsaveSize);
                return true;
            });
        }
        for (KvmVmState chip : CHIPS.reversed()) {
            byte[] bytes = machine.kvm().getState(chip);
            vm.fill(chip.name(), bytes);
            machine.kvm().setState(chip, bytes);
        }
        byte[] clock = machine.kvm().getState(KvmVmState.CLOCK);
        vm.fill(KvmVmState.CLOCK.name(), clock);
        machine.kvm().setClock(clock, then);
        for (Vcpu vcpu : machine.vcpus()) {
            vcpu.call(KvmVcpu::tellOfPause);
        }
        vm.checkAllTaken();
        restoreDevices(machine, part(state, DEVICES), nanosSince(then));
    }

    private static void restoreDevices(Machine machine, Map<String, Object> tree, long elapsed)
            throws IOException, InterruptedException {
        Map<String, Persistent> parts = machine.persistent();
        if (!parts.keySet().equals(tree.keySet())) {
            throw new StateException(
                    "the machine had %s, and this one has %s"
                            .formatted(
                                    String.join(", ", tree.keySet()),
                                    String.join(", ", parts.keySet())));
        }
        StateFields devices = StateFields.restoring(tree, elapsed);
        hold(machine);
        parts.forEach((name, part) -> part.persist(devices.part(name)));
        devices.checkAllTaken();
        parts.values().forEach(Persistent::restored);
    }

    private static void write(
            KvmVcpu vcpu, VcpuState state, long kilohertz, long then, int xsaveSize)
            throws IOException {
        for (KvmVcpuState part : KvmVcpuState.values()) {
            int length = state.parts().getOrDefault(part, new byte[0]).length;
            if (length != vcpu.getState(part).length) {
                throw new StateException("%s of a vCPU is %d bytes".formatted(part, length));
            }
        }
        if (kilohertz > 0) {
            setTscFrequency(vcpu, kilohertz);
        }
        byte[] xsave = state.xsave().bytes();
        int size = vcpu.getXsave(xsaveSize).length;
        for (int i = size; i < xsave.length; i++) {
            if (xsave[i] != 0) {
                throw new HostUnsupportedException(
                        "the snapshot has %d bytes of vector registers, and this host %d"
                                .formatted(xsave.length, size));
            }
        }
        new VcpuState(
                        state.parts(),
                        new VcpuState.XsaveArea(Arrays.copyOf(xsave, size)),
                        state.msrs(),
                        state.cpuid())
                .write(vcpu, xsaveSize, () -> cycles(nanosSince(then), kilohertz));
    }

    private static void setTscFrequency(KvmVcpu vcpu, long kilohertz) throws IOException {
        long own = vcpu.tscKilohertz();
        if (Math.abs(own - kilohertz) <= TSC_TOLERANCE * (double) kilohertz) {
            return;
        }
        try {
            vcpu.setTscKilohertz(kilohertz);
        } catch (ErrnoException e) {
            throw new HostUnsupportedException(
                    "the snapshot's time-stamp counter runs at %d kHz and this host's at %d kHz, which its KVM cannot change"
                            .formatted(kilohertz, own),
                    e);
        }
    }

    /// How long ago that was; asked where it is needed, since on a slow host the rest takes a
    /// while.
    private static long nanosSince(long then) {
        return Math.max(0, realtimeNanos() - then);
    }

    private static long cycles(long nanos, long kilohertz) {
        long second = TimeUnit.SECONDS.toNanos(1);
        return nanos / second * (kilohertz * 1000)
                + nanos % second * kilohertz / TimeUnit.MILLISECONDS.toNanos(1);
    }

    private static long realtimeNanos() {
        Instant now = Instant.now();
        return TimeUnit.SECONDS.toNanos(now.getEpochSecond()) + now.getNano();
    }

    @SuppressWarnings("unchecked") // the keys of JSON are strings
    private static Map<String, Object> part(Map<String, Object> tree, String name) {
        if (!(tree.get(name) instanceof Map<?, ?> part)) {
            throw new StateException("no part '%s'".formatted(name));
        }
        return (Map<String, Object>) part;
    }
}
