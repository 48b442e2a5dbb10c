package org.kaval.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kaval.kvm.abi.kvm_regs;
import org.kaval.kvm.abi.kvm_segment;
import org.kaval.kvm.abi.kvm_sregs2;

/// The accessors of `KvmRegs` and `KvmSregs` by reflection: each has a field of its name in the
/// kernel's structure, and is of that field.
class KvmRegistersTest {
    private static final long VALUE = 0x0123_4567_89ab_cdefL;

    private static final KvmSegment SEGMENT =
            new KvmSegment(VALUE, 0xfffff, 0xfff8, 11, true, 3, true, true, true, true);

    static List<Method> generalRegisters() {
        return setters(KvmRegs.class, long.class);
    }

    static List<Method> controlRegisters() {
        return setters(KvmSregs.class, long.class);
    }

    static List<Method> segmentRegisters() {
        return setters(KvmSregs.class, KvmSegment.class);
    }

    static List<Method> tables() {
        return setters(KvmSregs.class, KvmDescriptorTable.class);
    }

    @ParameterizedTest
    @MethodSource("generalRegisters")
    void generalRegisterIsTheFieldOfItsName(Method setter) throws Exception {
        var regs = new KvmRegs();
        setter.invoke(regs, VALUE);
        long offset = kvm_regs.layout().byteOffset(PathElement.groupElement(setter.getName()));
        assertEquals(VALUE, regs.segment.get(ValueLayout.JAVA_LONG, offset));
        assertEquals(VALUE, KvmRegs.class.getMethod(setter.getName()).invoke(regs));
        assertTrue(regs.toString().contains("0123456789abcdef"), regs::toString);
    }

    @ParameterizedTest
    @MethodSource("controlRegisters")
    void controlRegisterIsTheFieldOfItsName(Method setter) throws Exception {
        var sregs = new KvmSregs();
        setter.invoke(sregs, VALUE);
        assertEquals(VALUE, sregs.segment.get(ValueLayout.JAVA_LONG, offset(setter)));
        assertEquals(VALUE, KvmSregs.class.getMethod(setter.getName()).invoke(sregs));
    }

    @ParameterizedTest
    @MethodSource("segmentRegisters")
    void segmentRegisterIsTheFieldOfItsName(Method setter) throws Exception {
        var sregs = new KvmSregs();
        setter.invoke(sregs, SEGMENT);
        MemorySegment field =
                sregs.segment.asSlice(offset(setter), kvm_segment.layout().byteSize());
        assertEquals(SEGMENT, KvmSegment.read(field));
        assertEquals(SEGMENT, KvmSregs.class.getMethod(setter.getName()).invoke(sregs));
    }

    @ParameterizedTest
    @MethodSource("tables")
    void tableIsTheFieldOfItsName(Method setter) throws Exception {
        var sregs = new KvmSregs();
        var table = new KvmDescriptorTable(VALUE, 0xffff);
        setter.invoke(sregs, table);
        assertEquals(VALUE, sregs.segment.get(ValueLayout.JAVA_LONG, offset(setter)));
        assertEquals(table, KvmSregs.class.getMethod(setter.getName()).invoke(sregs));
    }

    @Test
    void everyRegisterHasAnAccessor() {
        assertEquals(18, generalRegisters().size());
        assertEquals(6, controlRegisters().size());
        assertEquals(8, segmentRegisters().size());
        assertEquals(2, tables().size());
    }

    @Test
    void absentSegmentIsUnusable() {
        var sregs = new KvmSregs();
        sregs.ldt(new KvmSegment(0, 0, 0, 0, false, 0, false, false, false, false));
        assertEquals(1, kvm_segment.unusable(kvm_sregs2.ldt(sregs.segment)));
        sregs.ldt(SEGMENT);
        assertEquals(0, kvm_segment.unusable(kvm_sregs2.ldt(sregs.segment)));
    }

    @Test
    void tableLimitIsSixteenBits() {
        assertThrows(IllegalArgumentException.class, () -> new KvmDescriptorTable(0, -1));
        var refused =
                assertThrows(
                        IllegalArgumentException.class, () -> new KvmDescriptorTable(0, 0x10000));
        assertEquals("limit 0x10000", refused.getMessage());
    }

    @Test
    void reportsAreReadable() {
        assertEquals("0x1000+0x27", new KvmDescriptorTable(0x1000, 0x27).toString());
        assertEquals("MSR 0x10=0xff", new KvmMsr(0x10, 0xff).toString());
        assertEquals("fff8:0x123456789abcdef+0xfffff", SEGMENT.toString());
    }

    private static List<Method> setters(Class<?> type, Class<?> parameter) {
        return Arrays.stream(type.getMethods())
                .filter(method -> method.getDeclaringClass() == type)
                .filter(method -> List.of(method.getParameterTypes()).equals(List.of(parameter)))
                .toList();
    }

    private static long offset(Method setter) {
        String name = setter.getName().replace("apicBase", "apic_base");
        return kvm_sregs2.layout().byteOffset(PathElement.groupElement(name));
    }
}
