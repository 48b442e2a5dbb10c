package org.kaval.devices;

import java.util.ArrayList;
import java.util.List;

/// Message interrupts that note what happens to them.
public final class FakeMessages implements MessageInterrupts {
    private final List<String> events = new ArrayList<>();
    private int opened;

    public FakeMessages() {}

    @Override
    public MessageInterrupt open(String name) {
        return new Message(opened++);
    }

    /// What has happened since the last call: `0 goes to 0xfee00000, 0x41`, `0 pulses`.
    public synchronized List<String> take() {
        var taken = List.copyOf(events);
        events.clear();
        return taken;
    }

    private synchronized void note(String event) {
        events.add(event);
    }

    private final class Message implements MessageInterrupt {
        private final int number;

        Message(int number) {
            this.number = number;
        }

        @Override
        public void route(long address, int data) {
            note("%d goes to 0x%x, 0x%x".formatted(number, address, data));
        }

        @Override
        public void pulse() {
            note(number + " pulses");
        }

        @Override
        public void close() {
            note(number + " closes");
        }
    }
}
