package org.kaval.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.kvm.abi.kvm_cpuid_entry2;
import org.kaval.kvm.abi.kvm_dtable;
import org.kaval.kvm.abi.kvm_ioeventfd;
import org.kaval.kvm.abi.kvm_irqfd;
import org.kaval.kvm.abi.kvm_msr_entry;
import org.kaval.kvm.abi.kvm_regs;
import org.kaval.kvm.abi.kvm_segment;
import org.kaval.kvm.abi.kvm_sregs2;
import org.kaval.kvm.abi.kvm_userspace_memory_region;
import org.kaval.linux.abi.epoll_event;
import org.kaval.linux.abi.itimerspec;
import org.kaval.linux.abi.timespec;

/// The layouts that matter most, against JNA's idea of the same C declarations.
class JnaLayoutTest {
    static Stream<Arguments> structs() {
        return Stream.of(
                pair(kvm_regs.layout(), new JnaStructures.kvm_regs()),
                pair(kvm_segment.layout(), new JnaStructures.kvm_segment()),
                pair(kvm_dtable.layout(), new JnaStructures.kvm_dtable()),
                pair(kvm_sregs2.layout(), new JnaStructures.kvm_sregs2()),
                pair(
                        kvm_userspace_memory_region.layout(),
                        new JnaStructures.kvm_userspace_memory_region()),
                pair(kvm_irqfd.layout(), new JnaStructures.kvm_irqfd()),
                pair(kvm_ioeventfd.layout(), new JnaStructures.kvm_ioeventfd()),
                pair(kvm_cpuid_entry2.layout(), new JnaStructures.kvm_cpuid_entry2()),
                pair(kvm_msr_entry.layout(), new JnaStructures.kvm_msr_entry()),
                pair(epoll_event.layout(), new JnaStructures.epoll_event()),
                pair(timespec.layout(), new JnaStructures.timespec()),
                pair(itimerspec.layout(), new JnaStructures.itimerspec()));
    }

    @ParameterizedTest
    @MethodSource("structs")
    void structIsLaidOutAsJnaDoes(GroupLayout generated, JnaStructures.Layout jna) {
        assertEquals(jna.size(), generated.byteSize());
        assertEquals(jna.offsets(), offsets(generated));
    }

    private static Arguments pair(GroupLayout generated, JnaStructures.Layout jna) {
        return Arguments.of(Named.of(generated.name().orElseThrow(), generated), jna);
    }

    private static Map<String, Long> offsets(GroupLayout layout) {
        return layout.memberLayouts().stream()
                .map(MemoryLayout::name)
                .flatMap(Optional::stream)
                .collect(
                        Collectors.toMap(
                                name -> name,
                                name -> layout.byteOffset(PathElement.groupElement(name))));
    }
}
