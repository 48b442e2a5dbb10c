package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.devices.RateLimit;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.machine.ConfigException;

class DiskSpecTest {
    @Test
    void anotherImageTakesThePlaceOfTheOneThatIsNamed() {
        assertEquals(
                "path=/c,,d.qcow2,format=qcow2,overlay,queues=2,serial=a,,b",
                DiskSpec.withImage(
                        "x.img,format=raw,engine=io_uring,queues=2,serial=a,,b",
                        Path.of("/c,d.qcow2"),
                        true));
        assertEquals(
                "path=/c,format=qcow2,id=web",
                DiskSpec.withImage("path=/x,overlay,id=web", Path.of("/c"), false));
    }

    @Test
    void fileAloneIsWritableAndUnlimited() {
        DiskSpec disk = DiskSpec.parse("a disk.img", 1);

        assertEquals(Path.of("a disk.img"), disk.path());
        assertNull(disk.format());
        assertEquals("disk1", disk.name());
        assertEquals(ImageOptions.WRITABLE, disk.image());
        assertEquals(VirtioBlock.Options.DEFAULT, disk.device());
    }

    @Test
    void everyKeyIsHeeded() {
        DiskSpec disk =
                DiskSpec.parse(
                        "path=x,,y=z,format=qcow2,readonly,id=root,serial=S 1,cache=none,"
                                + "discard=ignore,queues=4,iops=100,bandwidth=2M,burst=0.5,engine=io_uring",
                        0);

        assertEquals(Path.of("x,y=z"), disk.path());
        assertEquals(ImageFormat.QCOW2, disk.format());
        assertEquals("root", disk.name());
        assertEquals(
                new ImageOptions(true, ImageOptions.Cache.NONE, ImageOptions.Discard.IGNORE, true),
                disk.image());
        assertEquals(
                new VirtioBlock.Options(
                        "S 1",
                        4,
                        new RateLimit.Rate(100, 50),
                        new RateLimit.Rate(2 << 20, 1 << 20),
                        VirtioBlock.Engine.IO_URING),
                disk.device());
    }

    @Test
    void idIsTheSerialNumberUnlessThereIsOne() {
        assertEquals("root", DiskSpec.parse("a,id=root", 0).device().serial());
    }

    @Test
    void overlayLeavesTheFileToBeOpenedAsItIs() {
        assertTrue(DiskSpec.parse("a,overlay", 0).overlay());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "''; disk[2].path: is missing",
                "path=; disk[2].path: is missing",
                "readonly; disk[2].path: is missing",
                "a,path=b; disk[2].path: is given twice",
                "a,b; disk[2]: 'b' is none of path",
                "a,; disk[2]: '' is none of path",
                "a,size=3; disk[2]: 'size=3' is none of path",
                "a,readonly=yes; disk[2]: 'readonly=yes' is none of path",
                "a,format=vmdk; disk[2].format: 'vmdk' is none of raw, qcow2",
                "a,cache=NONE; disk[2].cache: 'NONE' is none of writeback, none, unsafe",
                "a,queues=0; disk[2]: 0 queues; 1 to 64 are possible",
                "a,queues=65; disk[2]: 65 queues; 1 to 64 are possible",
                "a,queues=4294967297; disk[2].queues: '4294967297' is not a number",
                "a,queues=-1; disk[2].queues: '-1' is not a number",
                "a,iops=0; disk[2].iops: is 0",
                "a,bandwidth=fast; disk[2].bandwidth: 'fast' is not a size",
                "a,bandwidth=99999999T; disk[2].bandwidth: '99999999T' is too large",
                "a,burst=1; disk[2].burst: goes with iops or bandwidth",
                "a,iops=1,burst=-1; disk[2].burst: '-1' is not a number of seconds",
                "a,iops=1,burst=1e999999; disk[2].burst: '1e999999' is not a number",
                "a,serial=123456789012345678901; disk[2]: a serial number has at most 20",
                "a,id=x y; disk[2].id: 'x y' is not of letters",
                "a,readonly,overlay; disk[2].overlay: takes what is written",
            })
    void nonsenseIsRefused(String text, String message) {
        var refused = assertThrows(ConfigException.class, () -> DiskSpec.parse(text, 2));
        assertTrue(String.valueOf(refused.getMessage()).startsWith(message), refused.getMessage());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "a.img | /.../a.img",
                "/a,,b.img,readonly | /a,,b.img,readonly",
                "path=a.img,id=path | path=/.../a.img,id=path",
                "readonly,path=a.img | readonly,path=/.../a.img",
                "a=b.img | /.../a=b.img"
            })
    void pathIsMadeAbsoluteAndTheRestIsKept(String text, String absolute) {
        String here = Path.of("").toAbsolutePath().toString().replace(",", ",,");

        assertEquals(absolute.replace("/...", here), DiskSpec.withAbsolutePath(text));
    }
}
