package org.kaval.machine.acpi;

/// A table with the header that all but two have (ACPI 6.5 §5.2.6).
///
/// | offset | size | what                        |
/// |-------:|-----:|-----------------------------|
/// |      0 |    4 | signature                   |
/// |      4 |    4 | length, with the header     |
/// |      8 |    1 | revision                    |
/// |      9 |    1 | makes the sum of all bytes 0 |
/// |     10 |    6 | OEM                         |
/// |     16 |    8 | the OEM's name of the table |
/// |     24 |    4 | its revision                |
/// |     28 |    4 | who made it                 |
/// |     32 |    4 | the maker's revision        |
final class AcpiTable {
    static final int HEADER_SIZE = 36;
    static final String OEM_ID = "KAVAL";

    private static final String OEM_TABLE_ID = "KAVALPC";
    private static final String CREATOR = "KAVL";
    private static final int CHECKSUM_OFFSET = 9;

    private final byte[] bytes;

    private AcpiTable(byte[] bytes) {
        this.bytes = bytes;
    }

    /// Makes the header.
    ///
    /// @param signature four letters
    /// @param body what follows the header
    static AcpiTable of(String signature, int revision, TableBytes body) {
        byte[] bytes =
                new TableBytes()
                        .text(signature, 4, ' ')
                        .u32(HEADER_SIZE + body.size())
                        .u8(revision)
                        .u8(0)
                        .text(OEM_ID, 6, ' ')
                        .text(OEM_TABLE_ID, 8, ' ')
                        .u32(1)
                        .text(CREATOR, 4, ' ')
                        .u32(1)
                        .bytes(body.toBytes())
                        .toBytes();
        setChecksum(bytes, CHECKSUM_OFFSET, bytes.length);
        return new AcpiTable(bytes);
    }

    byte[] toBytes() {
        return bytes.clone();
    }

    /// Sets one byte such that the sum of the first `length` is 0.
    static void setChecksum(byte[] bytes, int offset, int length) {
        bytes[offset] = 0;
        int sum = 0;
        for (int i = 0; i < length; i++) {
            sum += bytes[i];
        }
        bytes[offset] = (byte) -sum;
    }
}
