package org.kaval.vcpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.kvm.KvmExit;
import org.kaval.linux.Errno;
import org.kaval.linux.ErrnoException;

class VcpuExitTest {
    @ParameterizedTest
    @MethodSource("exits")
    void everyExitIsOneLineForAPerson(VcpuExit exit, String line) {
        assertEquals(line, exit.toString());
    }

    private static Stream<Arguments> exits() {
        return Stream.of(
                Arguments.of(new VcpuExit.Halted(), "halted"),
                Arguments.of(new VcpuExit.Shutdown(), "triple fault"),
                Arguments.of(
                        new VcpuExit.SystemEvent(KvmExit.SYSTEM_EVENT_RESET, List.of()),
                        "system event 2 []"),
                Arguments.of(
                        new VcpuExit.SystemEvent(KvmExit.SYSTEM_EVENT_CRASH, List.of(1L, -1L)),
                        "system event 3 [0x1 0xffffffffffffffff]"),
                Arguments.of(
                        internalError(KvmExit.INTERNAL_ERROR_EMULATION, 1L, 0xb80ff304L),
                        "KVM internal error: emulation failure [0x1 0xb80ff304]"),
                Arguments.of(
                        internalError(KvmExit.INTERNAL_ERROR_SIMUL_EX),
                        "KVM internal error: simultaneous exceptions []"),
                Arguments.of(
                        internalError(KvmExit.INTERNAL_ERROR_DELIVERY_EV, 14L),
                        "KVM internal error: fault while an event was delivered [0xe]"),
                Arguments.of(
                        internalError(KvmExit.INTERNAL_ERROR_UNEXPECTED_EXIT_REASON),
                        "KVM internal error: unexpected exit of the processor []"),
                Arguments.of(internalError(99), "KVM internal error: suberror 99 []"),
                Arguments.of(
                        new VcpuExit.FailedEntry(0x8000_0021L),
                        "the processor refused to enter the guest, reason 0x80000021"),
                Arguments.of(new VcpuExit.Debug(0x1003, 1), "debug exception 1 at 0x1003"),
                Arguments.of(
                        new VcpuExit.RunFailed(
                                new ErrnoException("KVM_RUN", "vcpu 0", Errno.EINVAL)),
                        "KVM_RUN on vcpu 0: EINVAL"),
                Arguments.of(
                        new VcpuExit.Other(KvmExit.HYPERCALL), "unexpected KVM exit: HYPERCALL"));
    }

    private static VcpuExit internalError(int suberror, Long... data) {
        return new VcpuExit.KvmInternalError(suberror, List.of(data));
    }
}
