package org.kaval.devices;

import java.io.ByteArrayOutputStream;
import java.util.ArrayDeque;
import java.util.Queue;

/// The other side of a UART, under a test's control.
public final class FakeSerialPort implements SerialPort {
    /// What the UART will receive.
    public final Queue<Integer> input = new ArrayDeque<>();

    /// What the UART has sent.
    public final ByteArrayOutputStream output = new ByteArrayOutputStream();

    /// How many more bytes it takes.
    public int room = Integer.MAX_VALUE;

    public FakeSerialPort() {}

    /// Adds the numbers `from` to `to - 1` to the input.
    public void type(int from, int to) {
        for (int value = from; value < to; value++) {
            input.add(value & 0xff);
        }
    }

    @Override
    public boolean canSend() {
        return room > 0;
    }

    @Override
    public boolean send(byte value) {
        if (room == 0) {
            return false;
        }
        room--;
        output.write(value);
        return true;
    }

    @Override
    public int receive() {
        Integer next = input.poll();
        return next == null ? -1 : next;
    }
}
