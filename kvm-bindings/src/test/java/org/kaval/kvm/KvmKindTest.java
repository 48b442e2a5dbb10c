package org.kaval.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KvmKindTest {
    @TempDir Path root;

    @Test
    void intelHasVtX() throws IOException {
        processor("fpu vmx sse2");
        assertEquals(KvmKind.VT_X, KvmKind.detect(root));
    }

    @Test
    void amdHasAmdV() throws IOException {
        processor("fpu svm hypervisor");
        assertEquals(KvmKind.AMD_V, KvmKind.detect(root));
    }

    @Test
    void moduleOfPvmDecides() throws IOException {
        processor("fpu svm");
        Files.createDirectories(root.resolve("sys/module/kvm_pvm"));
        assertEquals(KvmKind.PVM, KvmKind.detect(root));
    }

    @Test
    void flagThatOnlyContainsTheNameDoesNotCount() throws IOException {
        processor("fpu svm_lock xvmx");
        assertEquals(KvmKind.UNKNOWN, KvmKind.detect(root));
    }

    @Test
    void onlyProcessorSupportIsHardware() {
        assertTrue(KvmKind.VT_X.isHardware());
        assertTrue(KvmKind.AMD_V.isHardware());
        assertFalse(KvmKind.PVM.isHardware());
        assertFalse(KvmKind.UNKNOWN.isHardware());
    }

    private void processor(String flags) throws IOException {
        Path proc = Files.createDirectories(root.resolve("proc"));
        Files.writeString(proc.resolve("cpuinfo"), "processor\t: 0\nflags\t\t: " + flags + "\n");
    }
}
