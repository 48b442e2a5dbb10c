package org.kaval.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// `struct kvm_run` as the kernel would fill it, with its offsets written out.
class KvmRunTest {
    // linux/kvm.h
    private static final long IMMEDIATE_EXIT = 1;
    private static final long EXIT_REASON = 8;
    private static final long UNION = 32;

    /// Where the kernel has the data of port I/O: beside the structure, on the next page.
    private static final long IO_DATA = 4096;

    private final MemorySegment memory = Arena.ofAuto().allocate(3 * 4096, 8);
    private final KvmRun run = new KvmRun(memory);

    @Test
    void immediateExitIsOneByte() {
        run.immediateExit(true);
        assertEquals(0x100, memory.get(JAVA_SHORT, 0));
        assertEquals(1, memory.get(JAVA_BYTE, IMMEDIATE_EXIT));
        run.immediateExit(false);
        assertEquals(0, memory.get(JAVA_BYTE, IMMEDIATE_EXIT));
    }

    @Test
    void exitReasonIsTheKernels() {
        memory.set(JAVA_INT, EXIT_REASON, KvmExit.HLT);
        assertEquals(KvmExit.HLT, run.exitReason());
    }

    /// direction, size, port, count, data_offset
    private void io(int direction, int size, int port, int count) {
        memory.set(JAVA_BYTE, UNION, (byte) direction);
        memory.set(JAVA_BYTE, UNION + 1, (byte) size);
        memory.set(JAVA_SHORT, UNION + 2, (short) port);
        memory.set(JAVA_INT, UNION + 4, count);
        memory.set(JAVA_LONG, UNION + 8, IO_DATA);
    }

    @Test
    void portAccessIsDescribed() {
        io(1, 2, 0xcf8, 3);
        assertTrue(run.ioIsOut());
        assertEquals(2, run.ioSize());
        assertEquals(0xcf8, run.ioPort());
        assertEquals(3, run.ioCount());
    }

    @Test
    void highPortIsUnsigned() {
        io(0, 1, 0xffff, 1);
        assertFalse(run.ioIsOut());
        assertEquals(0xffff, run.ioPort());
    }

    @ParameterizedTest
    @CsvSource({"1, 84, 85", "2, 8584, 8786", "4, 87868584, 8b8a8988"})
    void valuesAreElementsOfTheAccessesSize(int size, String first, String second) {
        io(1, size, 0x3f8, 2);
        memory.set(JAVA_LONG, IO_DATA, 0x8b8a_8988_8786_8584L);
        assertEquals(Integer.parseUnsignedInt(first, 16), run.ioValue(0));
        assertEquals(Integer.parseUnsignedInt(second, 16), run.ioValue(1));
    }

    @ParameterizedTest
    @CsvSource({"1, 88dd", "2, 7788ccdd", "4, 55667788aabbccdd"})
    void answersAreElementsOfTheAccessesSize(int size, String hex) {
        io(0, size, 0x3f8, 2);
        run.ioAnswer(0, 0xaabb_ccdd);
        run.ioAnswer(1, 0x5566_7788);
        assertEquals(Long.parseUnsignedLong(hex, 16), memory.get(JAVA_LONG, IO_DATA));
    }

    /// phys_addr, data, len, is_write
    private void mmio(long address, long data, int length, boolean write) {
        memory.set(JAVA_LONG, UNION, address);
        memory.set(JAVA_LONG, UNION + 8, data);
        memory.set(JAVA_INT, UNION + 16, length);
        memory.set(JAVA_BYTE, UNION + 20, (byte) (write ? 1 : 0));
    }

    @Test
    void memoryAccessIsDescribed() {
        mmio(0xfee0_0000L, 0, 4, true);
        assertEquals(0xfee0_0000L, run.mmioAddress());
        assertEquals(4, run.mmioLength());
        assertTrue(run.mmioIsWrite());
        mmio(0xfee0_0000L, 0, 4, false);
        assertFalse(run.mmioIsWrite());
    }

    @ParameterizedTest
    @CsvSource({
        "1, 88",
        "2, 9988",
        "3, aa9988",
        "4, bbaa9988",
        "7, eeddccbbaa9988",
        "8, ffeeddccbbaa9988"
    })
    void bytesBeyondTheLengthAreNotPartOfTheValue(int length, String hex) {
        mmio(0x1000, 0xffee_ddcc_bbaa_9988L, length, true);
        assertEquals(Long.parseUnsignedLong(hex, 16), run.mmioValue());
    }

    @Test
    void answerIsWhereTheKernelLooks() {
        mmio(0x1000, 0, 8, false);
        run.mmioAnswer(0x0102_0304_0506_0708L);
        assertEquals(0x0102_0304_0506_0708L, memory.get(JAVA_LONG, UNION + 8));
    }

    /// suberror, ndata, data[16]; a system event has type, ndata, data[16]
    private void detail(int kind, int count, long... data) {
        memory.set(JAVA_INT, UNION, kind);
        memory.set(JAVA_INT, UNION + 4, count);
        memory.asSlice(UNION + 8, 8L * data.length).copyFrom(MemorySegment.ofArray(data));
    }

    @Test
    void internalErrorHasItsData() {
        detail(KvmExit.INTERNAL_ERROR_EMULATION, 2, 7, 8, 9);
        assertEquals(KvmExit.INTERNAL_ERROR_EMULATION, run.internalSuberror());
        assertArrayEquals(new long[] {7, 8}, run.internalData());
    }

    @Test
    void systemEventHasItsData() {
        detail(KvmExit.SYSTEM_EVENT_RESET, 1, 5);
        assertEquals(KvmExit.SYSTEM_EVENT_RESET, run.systemEventType());
        assertArrayEquals(new long[] {5}, run.systemEventData());
    }

    @ParameterizedTest
    @CsvSource({"17, 16", "-1, 0", "2147483647, 16"})
    void dataIsNoMoreThanThereIsRoomFor(int count, int expected) {
        detail(1, count);
        assertEquals(expected, run.internalData().length);
        assertEquals(expected, run.systemEventData().length);
    }

    @Test
    void failedEntryHasTheProcessorsReason() {
        memory.set(JAVA_LONG, UNION, 0x8000_0021L);
        assertEquals(0x8000_0021L, run.failEntryReason());
    }

    /// exception, pad, pc, dr6, dr7
    @Test
    void debugExitHasExceptionAndAddress() {
        memory.set(JAVA_INT, UNION, 3);
        memory.set(JAVA_LONG, UNION + 8, 0xffff_8000_0000_1000L);
        assertEquals(3, run.debugException());
        assertEquals(0xffff_8000_0000_1000L, run.debugAddress());
    }
}
